"""A run that has diverged goes back, and on; each time the same, however it is run."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.data.image_data import ImageData
from shared.errors import TrainingError
from shared.randomness.draws import Draws, draw
from shared.run import checkpoint
from shared.run.rollbacks import Rollback
from shared.run.run_dir import RunDir
from shared.training.journal import Journal
from shared.training.recorder import MemoryRecorder
from shared.training.session import Prepared, Session
from support import TINY, Train, Twin, metrics, stopped, untimed_contents

FLAGS = (*TINY, "--save-every", 3, "--steps", 8)


@pytest.fixture
def diverge(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """``diverge(step, times)``: a step's loss is NaN until so many rollbacks."""

    def call(step: int, times: int) -> None:
        train = Session.train

        def wild(session: Session, prepared: Prepared) -> Callable[[], Any]:
            read = train(session, prepared)
            if step - 1 not in prepared.steps or len(session.rollbacks) >= times:
                return read
            return lambda: read() | {"d_loss": np.full(len(prepared.steps), np.nan)}

        monkeypatch.setattr(Session, "train", wild)

    return call


def _state(run: Path, step: int) -> checkpoint.Checkpoint:
    return checkpoint.load(RunDir.open(run).checkpoint_path(step))


def test_a_run_goes_back_and_on(
    train: Train,
    diverge: Callable[[int, int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, run = tmp_path / "plain", tmp_path / "run"
    train(*FLAGS, "--run-dir", plain)
    assert "rollbacks" not in json.loads((plain / "config.json").read_text())
    diverge(5, 2)
    capsys.readouterr()
    train(*FLAGS, "--run-dir", run, "--on-nan", "rollback")
    told = [x for x in capsys.readouterr().err.splitlines() if "diverged" in x]
    assert [line.partition("; ")[2] for line in told] == [
        f"back to step 3, with other draws and learning rates of {rest}"
        for rest in ("1/2 (1 of at most 5 times)", "1/4 (2 of at most 5 times)")
    ]
    assert [record["step"] for record in metrics(run)] == list(range(1, 9))
    assert metrics(run)[:3] == metrics(plain)[:3]
    assert metrics(run)[3] != metrics(plain)[3]
    before, after = _state(run, 3), _state(run, 8)
    done = (Rollback(3, 5), Rollback(3, 5))
    assert (before.rollbacks, after.rollbacks) == ((), done)
    noted = json.loads((run / "config.json").read_text())["rollbacks"]
    assert noted == [{"to": 3, "at": 5}] * 2
    # Stopped on the way, or diverged without the flag: it comes to the same.
    for name, flags in (("stopped", ["--on-nan", "rollback"]), ("diverged", [])):
        other = tmp_path / name
        if flags:
            train(*FLAGS, "--run-dir", other, "--steps", 4, *flags)
        else:
            stopped(1, lambda: train(*FLAGS, "--run-dir", other))  # noqa: B023
        resumed = ("--resume", other, "--steps", 8, "--device", "cpu")
        train(*resumed, "--on-nan", "rollback")
        ours, theirs = untimed_contents(other), untimed_contents(run)
        if flags:  # A checkpoint names the length that the run had then.
            for files in (ours, theirs):
                del files["checkpoints/000003.safetensors"]
        assert ours == theirs
        assert metrics(other) == metrics(run)
    assert "went back" in (run / "report.html").read_text()


def test_it_gives_up_in_the_end(
    train: Train,
    diverge: Callable[[int, int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    diverge(2, 99)
    flags = ("--on-nan", "rollback", "--run-dir", tmp_path)
    stopped(1, lambda: train(*FLAGS, *flags))
    *_, last, message = capsys.readouterr().err.splitlines()
    assert "back to step 0" in last
    assert "(5 of at most 5 times)" in last
    assert "training has diverged: step 2 has d_loss nan" in message
    assert message.endswith(
        "; try lower learning rates, --clip-grad-norm, or a penalty"
    )


def test_it_goes_back_to_the_last_state(
    train: Train,
    diverge: Callable[[int, int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    diverge(8, 1)
    train(*FLAGS, "--on-nan", "rollback", "--run-dir", tmp_path)
    assert "; back to step 6, with other draws" in capsys.readouterr().err
    assert _state(tmp_path, 8).rollbacks == (Rollback(6, 8),)


def test_python_goes_back_too(twin: Twin, diverge: Callable[[int, int], None]) -> None:
    config = dataclasses.replace(
        *(PRESETS["dcgan"],),
        **{"image_size": 16, "width": 2, "batch_size": 4, "z_dim": 3, "steps": 4},
        **{"log_every": 1, "save_every": 2},
    )
    pixels = np.arange(6 * 16 * 16, dtype=np.uint8).reshape(6, 16, 16, 1)
    data: ImageData = twin.library.data.from_arrays(pixels)
    diverge(3, 1)
    with pytest.raises(TrainingError, match="has diverged"):
        twin.library.fit(config, data, device="cpu")
    run = twin.library.fit(config, data, device="cpu", on_nan="rollback")
    assert run.state.rollbacks == (Rollback(2, 3),)
    assert [record["step"] for record in run.records] == [1, 2, 3, 4]


def _drawn(rollbacks: int) -> Draws:
    changes: dict[str, Any] = {"penalty": "dragan", "d_norm": "layer", "n_critic": 2}
    changes |= {"label_flip": 0.3, "instance_noise": 0.1, "batch_size": 8}
    config = dataclasses.replace(PRESETS["dcgan"], image_size=8, **changes)
    return draw(config, 1, 100, 50, range(3, 5), rollbacks)


def test_what_is_at_hand_goes_back_too() -> None:
    recorder = MemoryRecorder(None)
    for step in (1, 2, 3):
        recorder.log({"step": step})
        recorder.log_scores({"step": step})
    recorder.go_back(2, (Rollback(to=2, at=3),))
    assert recorder.records() == recorder.scores() == [{"step": 1}, {"step": 2}]


def test_other_draws_and_half_the_rates_but_the_same_order() -> None:
    before, *after = (_drawn(count) for count in range(3))
    for count, draws in enumerate(after, start=1):
        np.testing.assert_array_equal(draws.indices, before.indices)
        np.testing.assert_array_equal(draws.g_lr, before.g_lr / 2**count)
        np.testing.assert_array_equal(draws.d_lr, before.d_lr / 2**count)
        for name in ("z", "penalty_noise", "flips", "instance_noise"):
            ours, theirs = getattr(draws, name), getattr(before, name)
            assert ours.shape == theirs.shape
            assert (ours != theirs).any()
    assert (after[0].z != after[1].z).all()


def test_a_run_that_goes_on_still_says_that_it_went_back(
    train: Train, diverge: Callable[[int, int], None], tmp_path: Path
) -> None:
    diverge(5, 1)
    train(*FLAGS, "--run-dir", tmp_path, "--on-nan", "rollback")
    train("--resume", tmp_path, "--steps", 9, "--device", "cpu")
    assert RunDir.open(tmp_path).config_file.rollbacks() == [Rollback(3, 5)]


def test_what_is_judged_of_a_run_that_goes_back_begins_there_anew(
    train: Train,
    diverge: Callable[[int, int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[list[int]] = []
    reopen = Journal.reopen

    def note(journal: Journal) -> None:
        found.append([x["step"] for x in RunDir(tmp_path).read_metrics()])
        reopen(journal)

    monkeypatch.setattr(Journal, "reopen", note)
    diverge(5, 1)
    train(*FLAGS, "--run-dir", tmp_path, "--on-nan", "rollback")
    assert found[-1] == [1, 2, 3]
