"""A run says what goes wrong, and is silent while nothing does."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import TINY
from run_helpers import Train, copy
from shared import diagnosis
from shared.config import TrainConfig
from shared.diagnosis import Watch
from shared.presets import PRESETS
from shared.run_dir import RunDir

DCGAN = TrainConfig()
WGAN_GP = PRESETS["wgan-gp"]
STEPS = range(10, 2001, 10)

Series = dict[str, Callable[[int], float]]


def findings(config: TrainConfig, series: Series) -> list[str]:
    """Problems that a run with these metrics shows."""
    watch = Watch(config, num_classes=10)
    steps = range(config.log_every, 2001, config.log_every)
    watch.replay([{"step": t, **{k: f(t) for k, f in series.items()}} for t in steps])
    return [finding.problem for finding in watch.findings.values()]


# The extremes of what healthy runs of the presets showed.
HEALTHY: Series = {
    "d_loss": lambda t: 0.002 if t % 200 else 0.07,
    "diversity": lambda t: 0.01 if t < 50 else min(0.9, 0.1 + t / 500),
    "batch_norm_gap": lambda t: 0.05,
    "gradient_norm": lambda t: 0.6 if t < 200 else 1.2,
    "d_grad_norm": lambda t: 90.0 if t < 50 else 2.6,
    "g_grad_norm": lambda t: 0.002 if t < 50 else 0.07,
    "class_kl": lambda t: 2.3 if t < 500 else 0.5,
}


@pytest.mark.parametrize("preset", PRESETS)
def test_healthy_runs_are_not_disturbed(preset: str) -> None:
    assert findings(PRESETS[preset], HEALTHY) == []


def test_a_critic_may_have_any_loss() -> None:
    assert findings(WGAN_GP, HEALTHY | {"d_loss": lambda t: 0.0}) == []


@pytest.mark.parametrize(
    ("config", "series", "problem"),
    [
        (DCGAN, {"d_loss": lambda t: 0.001}, "D has won"),
        (DCGAN, {"diversity": lambda t: 0.8 if t < 900 else 0.3}, "G is collapsing"),
        (DCGAN, {"diversity": lambda t: 0.01}, "G has collapsed"),
        (DCGAN, {"class_kl": lambda t: 0.7}, "G has lost modes"),
        (DCGAN, {"batch_norm_gap": lambda t: 0.7}, "G's batch norm disagrees"),
        (WGAN_GP, {"gradient_norm": lambda t: 3.0}, "the critic has left"),
        (DCGAN, {"d_grad_norm": lambda t: 4.0 ** (t / 100)}, "D's gradient explodes"),
        (DCGAN, {"g_grad_norm": lambda t: 4.0 ** (t / 100)}, "G's gradient explodes"),
        (DCGAN, {"d_grad_norm": lambda t: 4.0 ** (-t / 100)}, "D's gradient vanishes"),
        (DCGAN, {"g_grad_norm": lambda t: 4.0 ** (-t / 100)}, "G's gradient vanishes"),
    ],
)
def test_each_problem_is_named_and_no_other(
    config: TrainConfig, series: Series, problem: str
) -> None:
    found = findings(config, HEALTHY | series)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_classes_count_late_and_only_where_samples_can_hit_them_all() -> None:
    hit = [{"step": 400 * i, "modes": 400} for i in range(1, 6)]
    for num_classes, first in ((1000, 2000), (800, None), (1001, None), (0, None)):
        watch = Watch(DCGAN, num_classes)
        watch.replay(hit)
        assert [x.first for x in watch.findings.values()] == ([first] if first else [])


@pytest.mark.parametrize("objective", ["least-squares", "hinge", "relativistic"])
def test_near_zero_depends_on_the_loss(objective: Any) -> None:
    config = dataclasses.replace(DCGAN, objective=objective)
    assert findings(config, {"d_loss": lambda t: 0.002})
    assert not findings(config, {"d_loss": lambda t: 0.03})


def test_smoothed_and_flipped_labels_raise_the_least_loss() -> None:
    smoothed = dataclasses.replace(DCGAN, label_smoothing=0.1)
    least = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert findings(smoothed, {"d_loss": lambda t: least + 0.005})
    assert not findings(smoothed, {"d_loss": lambda t: least + 0.05})
    flipped = dataclasses.replace(DCGAN, label_flip=0.1)
    assert findings(flipped, {"d_loss": lambda t: 2 * least + 0.003})
    assert not findings(flipped, {"d_loss": lambda t: 2 * least + 0.05})


def test_only_what_lasts_is_reported() -> None:
    watch = Watch(DCGAN, num_classes=10)
    steps = [t for t in STEPS if t <= 200]
    said = [watch.see({"step": t, "d_loss": 0.0}) for t in steps[:-1]]
    assert not any(said)
    assert len(watch.see({"step": 200, "d_loss": 0.0})) == 1
    # Said once, and kept in mind.
    assert watch.see({"step": 210, "d_loss": 0.0}) == []
    assert watch.see({"step": 220, "d_loss": 0.5}) == []
    (finding,) = watch.findings.values()
    assert (finding.first, finding.last) == (200, 210)


def test_what_was_not_measured_or_not_finite_is_left_out() -> None:
    nothing: Series = {"g_grad_norm": lambda t: np.inf, "d_loss": lambda t: np.nan}
    assert findings(DCGAN, nothing) == []
    watch = Watch(DCGAN, num_classes=10)
    watch.replay([{"step": t, "d_loss": None} for t in STEPS])
    assert not watch.findings


def test_diversity_is_relative_to_real_images_of_the_same_row() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (12, 4, 4, 1), np.uint8)
    assert diagnosis.diversity(real, real, rows=3) == 1
    assert diagnosis.diversity(real // 2, real, rows=3) == pytest.approx(0.5, abs=0.02)
    one_of_each_class = real[::4].repeat(4, axis=0)
    assert diagnosis.diversity(one_of_each_class, real, rows=3) == 0
    assert diagnosis.diversity(one_of_each_class, real, rows=1) > 0.5


def test_batch_norm_gap_is_on_the_same_scale() -> None:
    real = np.zeros((2, 2, 2, 1), np.uint8)
    real[1] = 200
    brighter = real + np.uint8(50)
    assert diagnosis.batch_norm_gap(real, real, real) == 0
    for pair in ((real, brighter), (brighter, real)):
        assert diagnosis.batch_norm_gap(*pair, real) == pytest.approx(0.25)


def test_a_run_made_to_fail_is_warned_and_remembers_it(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    fail = ("--d-lr", 0.02, "--g-lr", 1e-6, "--log-every", 10, "--sample-every", 100)
    words = [*TINY, *fail, "--save-every", 250]
    train(*words, "--steps", 250, "--run-dir", run)
    warnings = [x for x in capsys.readouterr().err.splitlines() if "warning" in x]
    assert len(warnings) == 1
    assert "D has won" in warnings[0]
    assert "--label-smoothing 0.1" in warnings[0]
    assert "D has won" in (run / "report.html").read_text()
    # The resumed run has already said it.
    resumed = copy(run, tmp_path)
    train("--resume", resumed, "--steps", 260, "--device", "cpu")
    assert "warning" not in capsys.readouterr().err
    assert "D has won" in (resumed / "report.html").read_text()


def test_a_run_that_is_fine_is_left_alone(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    every = ("--log-every", 10, "--sample-every", 100)
    train(*TINY, *every, "--steps", 250, "--run-dir", run)
    assert "warning" not in capsys.readouterr().err
    assert "No warnings" in (run / "report.html").read_text()
    records = RunDir(run).read_sample_metrics()
    assert [record["step"] for record in records] == [0, 100, 200, 250]
    assert all(0 < record["diversity"] < 2 for record in records)
    assert all(0 <= record["batch_norm_gap"] < 0.5 for record in records)


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge the classes early, for the sake of short runs."""
    monkeypatch.setattr(diagnosis, "_CLASSES_START_STEPS", 100)


@pytest.mark.usefixtures("early")
def test_points_that_miss_modes_are_noticed_and_others_are_not(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--width", 16, "--batch-size", 64, "--log-every", 100, "--device", "cpu")
    flags = ("ring", *flags, "--steps", 450, "--sample-every", 150)
    # An untrained G makes a blob in the middle.
    train(*flags, "--g-lr", 1e-6, "--d-lr", 1e-6, "--run-dir", tmp_path / "blob")
    assert "warning at step 450: G has lost modes" in capsys.readouterr().err
    page = (tmp_path / "blob" / "report.html").read_text()
    assert "G has lost modes" in page
    assert "<code>--d-norm</code> none" in " ".join(page.split())
    train(*flags, "--run-dir", tmp_path / "fine")
    assert "warning" not in capsys.readouterr().err
    assert RunDir(tmp_path / "fine").read_sample_metrics()[-1]["modes"] >= 6


@pytest.mark.usefixtures("early")
def test_images_of_few_classes_are_noticed_and_others_are_not(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("--image-size", 8, "--width", 4, "--z-dim", 8, "--batch-size", 16)
    every = ("--log-every", 100, "--sample-every", 300, "--evaluate-every", 100)
    flags = (*small, *every, "--steps", 300, "--device", "cpu")
    train(*flags, "--g-lr", 1e-6, "--d-lr", 1e-6, "--run-dir", tmp_path / "few")
    assert "warning at step 300: G has lost modes" in capsys.readouterr().err
    assert "G has lost modes" in (tmp_path / "few" / "report.html").read_text()
    train(*flags, "--g-lr", 2e-3, "--d-lr", 2e-3, "--run-dir", tmp_path / "fine")
    assert "warning" not in capsys.readouterr().err
    assert RunDir(tmp_path / "fine").read_scores()[-1]["classes_hit"] == 10
