"""The certificate's files and exit status."""

import json
import math
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gans_torch import losses
from parity_tests import __main__ as command
from parity_tests import mutants
from parity_tests.certificate import document, outcomes
from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import CHECKS, Check, Finding
from parity_tests.mutants.mutation import mutant
from support import PATIENCE

ROOT = Path(__file__).parent.parent
CURVE = (1e-16, 3e-16, 2e-15)


def _raise() -> list[Finding]:
    raise AssertionError("<weight>: shapes differ")


TOYS = [
    Check(
        "toy/good",
        "toy",
        ("losses.softplus",),
        lambda: [
            # As some comparisons measure: in NumPy's numbers.
            Finding("value", np.float64(0.0), "exact"),
            Finding("networks", 2e-15, "loss, float64", CURVE, "at step 3"),
        ],
    ),
    Check("toy/too large", "toy", (), lambda: [Finding("value", 0.5, "exact")]),
    Check("toy/NaN", "toy", (), lambda: [Finding("value", math.nan, "exact")]),
    Check("toy/nothing", "other", (), list),
    Check("toy/error", "other", (), _raise),
    Check(
        "toy/long", "toy", (), lambda: [Finding("value", 0.0, "exact")], full_only=True
    ),
]
GOOD = TOYS[0]
MUTANT = mutant("flipped kernel", "the <kernel> is mirrored", losses.softplus, {})


def _build(checks: list[Check], *killers: dict[str, str] | None) -> dict[str, Any]:
    return document.build(
        [outcomes.run(check) for check in checks],
        [(MUTANT, found) for found in killers],
        seconds=1.5,
        full=False,
        only="*",
    )


def _documented(heading: str) -> set[str]:
    """Fields of one table of the description."""
    text = (ROOT / "docs" / "parity_report.md").read_text()
    table = text.partition(heading)[2].partition("\n\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_data_are_as_described() -> None:
    built = _build(TOYS, {"loss/softplus": "value: 1 > 0"})
    text = (ROOT / "docs" / "parity_report.md").read_text()
    assert f"Version {document.VERSION}." in text
    assert built.keys() == _documented("raises it.")
    assert built["checks"][0].keys() == _documented("Each of `checks`:")
    assert built["checks"][0]["findings"][0].keys() == _documented(
        "Each of `findings`:"
    )
    assert built["mutants"][0].keys() == _documented("Each of `mutants`,")
    assert set(built["environment"]) == {
        "python", "torch", "jax", "jaxlib", "flax", "optax", "numpy",
        "platform", "machine", "cores",
    }  # fmt: skip


def test_the_data_hold_what_was_found() -> None:
    built = _build(TOYS)
    assert json.loads(json.dumps(built, allow_nan=False)) == built
    assert not built["holds"]
    assert built["broken"] == ["toy/too large", "toy/NaN", "toy/nothing", "toy/error"]
    good, large, nan, nothing, error, _ = built["checks"]
    assert good["covers"] == ["losses.softplus"]
    value, networks = good["findings"]
    assert (value["difference"], value["bound"], value["holds"]) == (0.0, 0.0, True)
    assert networks["curve"] == list(CURVE)
    assert networks["note"] == "at step 3"
    assert networks["measured"] > 0
    assert large["findings"][0]["holds"] is False
    assert nan["findings"][0]["difference"] is None
    assert nothing["findings"] == []
    assert error["error"] == "AssertionError: <weight>: shapes differ"


@pytest.mark.parametrize(
    ("checks", "killers", "holds"),
    [
        ([GOOD], [], True),
        ([GOOD], [None], True),
        ([GOOD], [{"loss/softplus": "value: 1 > 0"}], True),
        ([GOOD], [{}], False),
        ([GOOD, TOYS[1]], [], False),
        ([GOOD, TOYS[2]], [], False),
        ([GOOD, TOYS[3]], [], False),
        ([GOOD, TOYS[4]], [], False),
    ],
)
def test_one_failure_is_enough(
    checks: list[Check], killers: list[dict[str, str] | None], holds: bool
) -> None:
    built = _build(checks, *killers)
    assert built["holds"] is holds
    assert built["survivors"] == (["flipped kernel"] if {} in killers else [])


class _Page(HTMLParser):
    """Checks that tags close in order, and collects what would be fetched."""

    VOID = ("meta", "input", "link", "img", "br", "hr", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.failures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("script", "img", "link", "iframe", "use"):
            self.fetched += [
                str(values[key]) for key in ("src", "href") if key in values
            ]
        self.failures += tag == "tbody" and values.get("data-holds") == "0"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _parse(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_shows_the_same() -> None:
    page = document.render(_build(TOYS, {}, None, {"loss/softplus": "value: 1 > 0"}))
    parsed = _parse(page)
    assert parsed.fetched == []
    assert "http" not in page
    assert parsed.failures == 4
    assert "4 of 6 comparisons do not hold" in page
    assert "&lt;weight&gt;: shapes differ" in page
    assert "the &lt;kernel&gt; is mirrored" in page
    assert "survived" in page
    assert "not tried" in page
    assert page.count("<polyline") == 1
    assert "at step 3" in page


def test_the_page_says_when_all_is_well() -> None:
    page = document.render(_build([GOOD]))
    assert _parse(page).failures == 0
    assert "All 1 comparisons hold" in page


def test_mutants_that_nobody_tried_are_no_table() -> None:
    page = document.render(_build([GOOD], None))
    assert "They were not tried this time" in page
    assert "flipped kernel" not in page
    _parse(page)


@pytest.fixture
def toy_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that the real ones are not added to the toys below.
    import parity_tests.comparisons  # noqa: F401

    for name in list(CHECKS):
        monkeypatch.delitem(CHECKS, name)
    for check in TOYS:
        monkeypatch.setitem(CHECKS, check.name, check)


def _status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as done:
        command.main(arguments)
    assert isinstance(done.value.code, int)
    return done.value.code


@pytest.mark.usefixtures("toy_checks")
@pytest.mark.parametrize(
    ("arguments", "status", "names"),
    [
        (["--only", "toy/good"], 0, ["toy/good"]),
        (["--only", "*large"], 1, ["toy/too large"]),
        (["--only", "toy/[gl]o*"], 0, ["toy/good"]),
        (["--only", "toy/[gl]o*", "--full"], 0, ["toy/good", "toy/long"]),
    ],
)
def test_the_command_runs_what_is_asked_for(
    arguments: list[str],
    status: int,
    names: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "a" / "b"
    assert _status([*arguments, "--out", str(out)]) == status
    built = json.loads((out / "parity_report.json").read_text())
    assert [check["name"] for check in built["checks"]] == names
    assert built["holds"] is (status == 0)
    assert built["mutants"]
    assert all(mutant["killed_by"] is None for mutant in built["mutants"])
    assert (out / "parity_report.html").read_text() == document.render(built)
    printed = capsys.readouterr().out
    assert ("BROKEN    toy/too large: value differs by 0.5, bound 0" in printed) == (
        status == 1
    )
    assert f"{len(names) - status} of {len(names)} comparisons hold" in printed
    held = [line.split()[1] for line in printed.splitlines() if line[:5] == "holds"]
    assert held == ([] if status else [name.split()[0] for name in names])


def _interrupt(*_: object) -> list[Finding]:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("toy_checks")
def test_one_that_is_interrupted_leaves_what_was_compared(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for check in TOYS[1:-1]:
        monkeypatch.delitem(CHECKS, check.name)
    for name, run in (("toy/ctrl-c", _interrupt), ("toy/after", GOOD.run)):
        monkeypatch.setitem(CHECKS, name, Check(name, "toy", (), run))
    assert _status(["--out", str(tmp_path)]) == 130
    built = json.loads((tmp_path / "parity_report.json").read_text())
    assert [check["name"] for check in built["checks"]] == ["toy/good"]
    assert (built["broken"], built["interrupted"]) == ([], True)
    assert not built["holds"]
    page = (tmp_path / "parity_report.html").read_text()
    assert "Interrupted: 1 comparisons hold" in page
    printed = capsys.readouterr().out
    assert "1 of 1 comparisons that were made of 3 hold" in printed


@pytest.mark.usefixtures("toy_checks")
def test_what_was_said_before_an_interrupt_is_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_say", _interrupt)
    assert _status(["--only", "toy/good", "--out", str(tmp_path)]) == 130
    built = json.loads((tmp_path / "parity_report.json").read_text())
    assert [check["name"] for check in built["checks"]] == ["toy/good"]


@pytest.mark.usefixtures("toy_checks")
def test_the_full_certificate_tries_every_mutant(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for check in TOYS[1:-1]:
        monkeypatch.delitem(CHECKS, check.name)
    monkeypatch.setitem(
        CHECKS,
        "toy/softplus",
        Check("toy/softplus", "toy", (), lambda: [_softplus_of_0()]),
    )
    identity = {"-F.logsigmoid(-x)": "x"}
    found = mutant("identity", "toy", losses.softplus, identity, "toy/softplus")
    missed = mutant("missed", "the <kernel>", losses.softplus, identity, "toy/good")
    monkeypatch.setattr(mutants, "MUTANTS", {"identity": found, "missed": missed})
    assert _status(["--full", "--out", str(tmp_path)]) == 1
    built = json.loads((tmp_path / "parity_report.json").read_text())
    names = [check["name"] for check in built["checks"]]
    assert names == ["toy/good", "toy/long", "toy/softplus"]
    assert built["broken"] == []
    assert built["survivors"] == ["missed"]
    first, second = (mutant["killed_by"] for mutant in built["mutants"])
    assert first == {"toy/softplus": "value differs by 1, bound 0 (exact)"}
    assert second == {}
    assert "SURVIVED  missed: the <kernel>" in capsys.readouterr().out


def _softplus_of_0() -> Finding:
    value = losses.softplus(torch.zeros((), dtype=torch.float64)).numpy()
    return Finding("value", difference(value, np.log(2.0)), "exact")


@pytest.mark.usefixtures("toy_checks")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nonsense"], "--only nonsense: no comparison has such a name"),
        (["--only", "toy/long"], "some are run with --full only"),
        (["--out", __file__], f"--out {__file__}: "),
        (["--nonsense"], "Unrecognized"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _status(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("toy_checks")
def test_a_folder_in_the_place_of_a_report_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "parity_report.html").mkdir()
    assert _status(["--only", "toy/good", "--out", str(tmp_path)]) == 2
    assert "parity_report.html is a folder" in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "parity_tests",
            "--only",
            "loss/table",
            "--out",
            tmp_path,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 of 1 comparisons hold" in result.stdout


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_true_ctrl_c_leaves_a_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "parity_tests", "--out", tmp_path]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("holds ")
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, "")
    assert "comparisons that were made of" in printed
    built = json.loads((tmp_path / "parity_report.json").read_text())
    assert built["interrupted"]
    told = re.findall(r"^holds +(.*)  [\d.]+ s$", first + printed, re.MULTILINE)
    names = [check["name"] for check in built["checks"]]
    assert told == names[: len(told)]
    # One more may have been made, and not been said yet.
    assert len(names) <= len(told) + 1
