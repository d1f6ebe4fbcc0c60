"""Bands of reference runs, and what a run is told that leaves them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from conftest import Twin
from run_helpers import stopped
from shared import reference
from shared.backend import DataInfo
from shared.errors import UsageError
from shared.presets import PRESETS
from shared.reference import STEPS, Band, ReferenceCheck
from shared.run_dir import RunDir

_BANDS = {"ring": {"d_loss": Band(1.0, 2.0), "g_loss": Band(0.5, 0.7)}}


@pytest.fixture
def bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_bands", lambda: _BANDS)


def _see(check: ReferenceCheck, **record: float) -> list[str | None]:
    return [check.see(step, record) for step in range(1, STEPS + 2)]


def test_a_band_is_students_interval_for_one_more_run() -> None:
    # With four degrees of freedom the quantile of 0.9995 is 8.610.
    band = reference.make_band([1.0, 2.0, 3.0, 4.0, 5.0])
    reach = 8.610 * 2.5**0.5 * 1.2**0.5
    assert band == pytest.approx((3 - reach, 3 + reach), rel=1e-4)


def test_a_band_is_never_a_point() -> None:
    assert reference.make_band([2.0, 2.0]) == pytest.approx((1.96, 2.04))
    assert reference.make_band([0.0, 0.0]).high > 0


@pytest.mark.usefixtures("bands")
def test_the_verdict_comes_once_after_the_last_step() -> None:
    *before, verdict, after = _see(
        ReferenceCheck(PRESETS["ring"]), d_loss=1.5, g_loss=0.6
    )
    assert set(before) == {None}
    assert after is None
    assert verdict is not None
    assert verdict.startswith("reference: on track; 2 metrics over the first 50 steps")


@pytest.mark.usefixtures("bands")
def test_what_is_out_of_its_band_is_named() -> None:
    *_, verdict, _ = _see(ReferenceCheck(PRESETS["ring"]), d_loss=1.5, g_loss=0.8)
    assert verdict is not None
    assert "NOT on track" in verdict
    assert "g_loss is 0.8, expected 0.5 to 0.7" in verdict
    assert "d_loss" not in verdict


@pytest.mark.usefixtures("bands")
def test_the_mean_is_judged_not_the_last_step() -> None:
    check = ReferenceCheck(PRESETS["ring"])
    for step in range(1, STEPS):
        check.see(step, {"d_loss": 1.5, "g_loss": 0.6})
    verdict = check.see(STEPS, {"d_loss": 9.0, "g_loss": 0.6})
    assert verdict is not None
    assert "NOT" not in verdict  # (49 * 1.5 + 9) / 50 = 1.65


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("record", [{"g_loss": 0.6}, {"d_loss": 1.5, "g_loss": -1.0}])
def test_a_metric_that_is_missing_or_too_low_is_out(record: dict[str, float]) -> None:
    *_, verdict, _ = _see(ReferenceCheck(PRESETS["ring"]), **record)
    assert verdict is not None
    assert "NOT on track" in verdict


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_lr": 0.1}, "compares with preset ring as it is, and --d-lr is not"),
        ({"steps": 20}, "looks at 50 steps, --steps is 20"),
        ({"preset": "grid"}, "no bands for preset grid; there are for ring"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    config = dataclasses.replace(PRESETS["ring"], **changes)
    with pytest.raises(UsageError, match=message):
        ReferenceCheck(config)


@pytest.mark.usefixtures("bands")
def test_seed_length_and_intervals_are_free() -> None:
    free: dict[str, Any] = {"seed": 3, "steps": 60, "log_every": 7}
    ReferenceCheck(dataclasses.replace(PRESETS["ring"], **free))


def test_there_are_bands_for_every_small_preset() -> None:
    for name, preset in PRESETS.items():
        if preset.image_size <= 32:
            ReferenceCheck(preset)
            assert len(reference._bands()[name]) >= 5


def test_a_run_says_that_it_is_on_track(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    length = ["--steps", str(STEPS), "--sample-every", "1000", "--seed", "11"]
    run = ["--run-dir", str(tmp_path / "run"), "--device", "cpu"]
    twin.main("train")(["ring", "--check-reference", *length, *run])
    assert "reference: on track" in capsys.readouterr().err


def test_a_resumed_run_has_no_first_steps(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir.create(tmp_path / "run", PRESETS["ring"], DataInfo(2, 8, 20_000, ""))
    stopped(
        2,
        lambda: twin.main("train")(["--resume", str(run.path), "--check-reference"]),
    )
    assert "--check-reference: looks at the first steps" in capsys.readouterr().err
