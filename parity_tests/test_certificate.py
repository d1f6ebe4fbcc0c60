"""Every comparison holds, and together they leave nothing out."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gans_jax
import gans_torch
import parity_tests.comparisons  # noqa: F401  (fills CHECKS)
from parity_tests.certificate.outcomes import Outcome, complaints, run
from parity_tests.certificate.registry import CHECKS, Check, Finding
from parity_tests.comparisons.completeness import resolve, uncovered

ROOT = Path(__file__).parents[1]

IN_CI = [check for check in CHECKS.values() if not check.full_only]


@pytest.mark.parametrize("check", IN_CI, ids=lambda check: check.name)
def test_twins_agree(check: Check) -> None:
    # Not `outcomes.run`, so that an error keeps its traceback.
    outcome = Outcome(check, 0.0, check.run())
    assert not complaints(outcome), "\n".join(complaints(outcome))


def test_twins_agree_as_users_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With all that XLA's compiler does, which other tests go without.
    monkeypatch.delenv("XLA_FLAGS")
    command = [sys.executable, "-m", "parity_tests", "--out", str(tmp_path)]
    result = subprocess.run(
        [*command, "--only", "variant/wgan-gp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 of 1 comparisons hold" in result.stdout


def _broken(check: Check) -> list[str]:
    return complaints(run(check))


def _check(*findings: Finding) -> Check:
    return Check("toy/check", "toy", (), lambda: list(findings))


def test_a_finding_beyond_its_bound_is_named() -> None:
    good = Finding("value", 0.0, "exact")
    bad = Finding("input gradient", 0.25, "exact", note="at step 3")
    assert _broken(_check(good)) == []
    (line,) = _broken(_check(good, bad))
    assert line == (
        "toy/check: input gradient differs by 0.25, bound 0 (exact); at step 3"
    )
    assert len(_broken(_check(Finding("value", float("nan"), "exact")))) == 1


def test_a_check_that_compares_nothing_fails() -> None:
    assert _broken(_check()) == ["toy/check: compared nothing"]


def test_a_check_that_raises_fails() -> None:
    def run() -> list[Finding]:
        raise AssertionError("shapes differ")

    check = Check("toy/check", "toy", (), run)
    assert _broken(check) == ["toy/check: AssertionError: shapes differ"]


COVERS = {name for check in IN_CI for name in check.covers}


@pytest.mark.parametrize("twin", [gans_torch, gans_jax], ids=lambda twin: twin.__name__)
def test_every_public_function_and_class_is_named_by_a_check(twin: ModuleType) -> None:
    assert uncovered(twin, COVERS) == []
    # The same test notices one that is left out.
    assert uncovered(twin, COVERS - {"losses.softplus"}) == ["losses.softplus"]


@pytest.mark.parametrize("twin", [gans_torch, gans_jax], ids=lambda twin: twin.__name__)
def test_checks_name_nothing_that_does_not_exist(twin: ModuleType) -> None:
    names = {name for check in CHECKS.values() for name in check.covers}
    assert [name for name in sorted(names) if resolve(twin, name) is None] == []
    assert resolve(twin, "losses.softminus") is None
