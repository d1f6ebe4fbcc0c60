"""What is known of first steps, and what a run is told that takes others."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from shared.config.choices import POINTS
from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo
from shared.diagnosis import reference_check
from shared.diagnosis.reference_check import STEPS, Reference, ReferenceCheck
from shared.errors import UsageError
from shared.run.run_dir import RunDir
from shared.training import driver
from support import Train, Twin, stopped

EXACT = {"d_loss": [1.5, 1.6, 1.7, 1.8, -2.0], "g_loss": [0.5] * STEPS}
REFERENCE = Reference(EXACT, [0.01, 0.01, 0.01, 0.01, 0.1])


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_check, "_references", lambda: {"ring": REFERENCE})


def judge(step: int = 1, **changes: float | None) -> str:
    """The verdict on the very reference, changed at one step."""
    check = ReferenceCheck(PRESETS["ring"])
    verdicts = []
    for number in range(1, STEPS + 2):
        row = min(number, STEPS) - 1
        record: dict[str, Any] = {name: values[row] for name, values in EXACT.items()}
        if number == step:
            record |= changes
        given = {name: value for name, value in record.items() if value is not None}
        verdicts.append(check.see(number, given))
    *before, verdict, after = verdicts
    assert {*before, after} == {None}, "the verdict comes once, after the last step"
    assert verdict is not None
    return verdict


def test_a_metric_may_be_three_times_as_far_off_as_rounding_took_it() -> None:
    one = {**EXACT, "g_loss": [0.5, 0.501, 0.5, 0.5, 0.5]}
    other = {**EXACT, "d_loss": [1.5, 1.6, 1.7, 1.81, -2.0]}
    made = reference_check.make_reference(EXACT, [one, other])
    assert made.metrics is EXACT
    # Shares of the largest value; what rounding does only grows.
    assert made.reach == pytest.approx([0.001, 0.006, 0.006, 0.015, 0.015])


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("step", "d_loss"), [(1, 1.519), (1, 1.481), (5, -2.19), (STEPS + 1, 99.0)]
)
def test_what_is_near_enough_is_on_track(step: int, d_loss: float) -> None:
    assert judge(step, d_loss=d_loss) == (
        "reference: on track; 2 metrics over the first 5 steps are where they should be"
    )


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("d_loss", [1.53, 1.47, float("nan"), None])
def test_what_is_too_far_off_or_missing_is_named(d_loss: float | None) -> None:
    found = "nan" if d_loss is None else f"{d_loss:g}"
    assert judge(d_loss=d_loss) == (
        "reference: NOT on track; of 2 metrics over the first 5 steps, d_loss is"
        f" {found} at step 1, expected 1.48 to 1.52"
    )


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_lr": 0.1}, "compares with preset ring as it is, and --d-lr is not"),
        ({"seed": 1}, "compares with preset ring as it is, and --seed is not"),
        ({"steps": 4}, "looks at 5 steps, --steps is 4"),
        ({"preset": "grid"}, "no reference for preset grid; there are some for ring"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    config = dataclasses.replace(PRESETS["ring"], **changes)
    with pytest.raises(UsageError, match=message):
        ReferenceCheck(config)


@pytest.mark.usefixtures("known")
def test_length_and_intervals_are_free() -> None:
    free: dict[str, Any] = {"steps": 60, "log_every": 7}
    ReferenceCheck(dataclasses.replace(PRESETS["ring"], **free))


def test_the_length_is_not_free_where_rates_fall_over_it() -> None:
    preset = PRESETS["sngan"]
    ReferenceCheck(preset)
    with pytest.raises(UsageError, match="preset sngan as it is, and --steps is not"):
        ReferenceCheck(dataclasses.replace(preset, steps=60))


def test_every_small_preset_has_a_reference() -> None:
    for name, preset in PRESETS.items():
        if preset.dataset in ("digits", *POINTS):
            ReferenceCheck(preset)
            metrics, reach = reference_check._references()[name]
            assert len(metrics) >= 7
            assert {len(values) for values in metrics.values()} == {len(reach)} == {5}


# What is stored against what this machine computes.
@pytest.mark.parametrize("preset", ["ring", "dcgan"])
def test_a_run_is_on_track_and_one_with_twice_the_rate_is_not(
    preset: str,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = (preset, "--check-reference", "--steps", STEPS, "--device", "cpu")
    train(*flags, "--run-dir", tmp_path / "right")
    assert "reference: on track; 8 metrics" in capsys.readouterr().err
    # As if the optimiser were wrong: the run says that it is the preset.
    check = ReferenceCheck(PRESETS[preset])
    monkeypatch.setattr(driver, "ReferenceCheck", lambda _: check)
    twice = 2 * PRESETS[preset].d_lr
    train(*flags, "--d-lr", twice, "--run-dir", tmp_path / "wrong")
    assert "reference: NOT on track; of 8 metrics" in capsys.readouterr().err


def test_a_resumed_run_has_no_first_steps(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDir.create(tmp_path / "run", PRESETS["ring"], DataInfo(2, 8, 20_000, ""))
    stopped(
        2,
        lambda: twin.main("train")(["--resume", str(run.path), "--check-reference"]),
    )
    assert "--check-reference: looks at the first steps" in capsys.readouterr().err
