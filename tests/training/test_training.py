"""Whole runs, as a user starts, stops and resumes them."""

import fcntl
import importlib
import itertools
import json
import math
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

from shared.backend import Backend
from shared.commands import command_line
from shared.data import datasets, image_cache
from shared.drawing import images
from shared.errors import UsageError
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.run_dir import RunDir
from shared.training import loop, places
from shared.training.session import Session
from support import (
    PATIENCE,
    TINY,
    Train,
    Twin,
    contents,
    copy,
    last_checkpoint,
    metrics,
    stopped,
    untimed_contents,
)

# Stops are sent to runs that would go on for hours.
ENDLESS = (*TINY, "--steps", "1000000")


def grid_size(rows: int, columns: int = 8, size: int = 16) -> tuple[int, int]:
    """Width and height of a grid."""
    return columns * (size + 2) + 2, rows * (size + 2) + 2


def test_a_run_leaves_these_files(finished: Path) -> None:
    assert contents(finished).keys() == {
        "config.json",
        "metrics.jsonl",
        *(f"samples/{step:06d}.png" for step in (0, 2, 4, 6)),
        *(f"checkpoints/{step:06d}.safetensors" for step in (3, 6)),
        "samples.jsonl",
        "real.png",
        "losses.png",
        "samples.png",
        "samples.gif",
        "interpolation.png",
        "report.html",
    }


def test_the_configuration_is_stored_with_the_data(finished: Path) -> None:
    config, data = RunDir.open(finished).config_file.read()
    assert config == command_line.parse_train(["dcgan", *TINY], "prog").config
    assert data[:3] == (1, 10, 1797)
    state = checkpoint.load(last_checkpoint(finished))
    assert (state.step, state.config, state.data) == (6, config, data)


def test_every_logged_step_has_all_metrics(finished: Path) -> None:
    records = metrics(finished)
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    for record in records:
        assert record.keys() == records[0].keys()
        assert all(map(math.isfinite, record.values()))
        for name in ("d_real", "d_fake_before", "d_fake_after"):
            assert 0 < record[name] < 1
        # Without remedies, what D minimises is the negated value of the game.
        assert record["value"] == pytest.approx(-record["d_loss"], rel=1e-6)
        assert record["g_loss"] > 0


def test_pictures_show_the_grids(finished: Path) -> None:
    grids = sorted((finished / "samples").iterdir())
    for path in grids:
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("L", grid_size(rows=8))
    assert len({path.read_bytes() for path in grids}) == len(grids)
    assert (finished / "samples.png").read_bytes() == grids[-1].read_bytes()
    with Image.open(finished / "samples.gif") as animation:
        frames = sum(1 for _ in ImageSequence.Iterator(animation))
        assert (frames, animation.size) == (len(grids), grid_size(rows=8))
    # In the tests' stead of a plot: the steps that it shows.
    assert (finished / "losses.png").read_bytes().endswith(b" [1, 2, 3, 4, 5, 6]")


def make_backend(twin: Twin, state: Checkpoint) -> Backend:
    module = importlib.import_module(f"gans_{twin.name}.train")
    return module.make_backend(state.config, state.data, "cpu")


def test_every_step_has_its_own_draws(
    twin: Twin, finished: Path, data_dir: Path
) -> None:
    state = checkpoint.load(last_checkpoint(finished))
    data = datasets.load("digits", 16, data_dir)
    session = Session(state.config, data, make_backend(twin, state))
    session.start()
    for _ in range(6):
        session.run(1)
    arrays = session.backend.arrays()
    assert arrays.keys() == state.arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state.arrays[name], name)


def test_grids_are_of_fixed_latents_in_evaluation_mode(
    twin: Twin, finished: Path
) -> None:
    state = checkpoint.load(last_checkpoint(finished))
    backend = make_backend(twin, state)
    backend.load(state.arrays)
    z = noise.normal(state.config.seed, "fixed latents", 0, 64, state.config.z_dim)
    with Image.open(finished / "samples.png") as picture:
        grid = np.asarray(picture)
    for number in (0, 13, 63):
        # Batch statistics would make an image depend on its neighbours.
        alone = images.to_uint8(backend.sample(z[number : number + 1], None))[
            0, :, :, 0
        ]
        top, left = (2 + 18 * index for index in divmod(number, 8))
        there = grid[top : top + 16, left : left + 16]
        assert np.abs(alone.astype(int) - there).max() <= 1
    after = backend.arrays()
    assert after.keys() == state.arrays.keys()
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(after[name], array, name)


def test_a_new_run_gets_a_folder_of_its_own(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        train("gan", *TINY, "--steps", 1)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "gan-digits-001",
        "gan-digits-002",
    }
    first, second = (tmp_path / "runs" / f"gan-digits-00{number}" for number in (1, 2))
    assert metrics(first) == metrics(second)
    assert untimed_contents(first) == untimed_contents(second)


def test_a_folder_that_is_taken_meanwhile_is_left_alone(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    find = places.default_path

    def find_while_another_starts(preset: str, dataset: str) -> Path:
        path = find(preset, dataset)
        (path / "checkpoints").mkdir(parents=True)
        monkeypatch.setattr(places, "default_path", find)
        return path

    monkeypatch.setattr(places, "default_path", find_while_another_starts)
    train("gan", *TINY, "--steps", 1)
    assert not any((tmp_path / "runs" / "gan-digits-001" / "checkpoints").iterdir())
    assert metrics(tmp_path / "runs" / "gan-digits-002")


def test_log_samples_and_checkpoints_have_their_own_rhythm(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    every = ("--log-every", 3, "--sample-every", 4, "--save-every", 5)
    train(*TINY, "--run-dir", run, "--steps", 7, *every)
    assert [record["step"] for record in metrics(run)] == [3, 6, 7]
    assert RunDir.open(run).sample_steps() == [0, 4, 7]
    assert RunDir.open(run).checkpoint_steps() == [5, 7]
    # No terminal: a line for each grid, after the step that was logged next.
    *lines, done, following = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["6/7", "7/7"]
    assert re.search(r"images/s  \d\d:\d\d left$", lines[0])
    assert lines[1].endswith("images/s")
    assert done == f"done: {run}/report.html; next:"
    assert re.fullmatch(rf"  python -m gans_\w+\.evaluate {run} --data-.*", following)


def test_the_length_may_be_given_in_epochs(train: Train, tmp_path: Path) -> None:
    # 1797 // 8 = 224 batches; the last partial one is left out.
    flags = TINY[: TINY.index("--steps")]
    train(*flags, "--device", "cpu", "--run-dir", tmp_path, "--epochs", 0.01)
    assert RunDir.open(tmp_path).checkpoint_steps() == [2]


def test_a_conditional_grid_has_a_row_for_each_class(
    train: Train, tmp_path: Path
) -> None:
    train("cgan", *TINY, "--run-dir", tmp_path, "--steps", 1)
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == grid_size(rows=10)


# Each keeps another kind of state, or draws other random numbers.
VARIANTS = {
    "dcgan": "float32",
    "wgan --precision float64 --n-critic 1": "float64",
    "lsgan --precision bfloat16 --ema-decay 0.9": "float32",
    "hinge --augment diffaugment --flip --g-own-batch --penalty r1"
    " --burn-in-images 45 --final-g-lr 1e-4 --final-d-lr 2e-4 --final-beta2 0.9"
    " --final-penalty-weight 1 --final-ema-half-life 20": "float32",
    "wgan-gp --n-critic 2 --warmup-steps 4 --ema-decay 0.5": "float32",
    "cgan --label-flip 0.2 --instance-noise 0.1 --d-norm none"
    " --d-weight-norm spectral --d-every 2 --augment ada": "float32",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopping_and_resuming_changes_nothing(
    variant: str, train: Train, tmp_path: Path
) -> None:
    preset, *flags = variant.split()
    words = [preset, *TINY, *flags, "--save-every", 100]
    unbroken, resumed = tmp_path / "unbroken", tmp_path / "resumed"
    train(*words, "--run-dir", unbroken, "--steps", 6)
    train(*words, "--run-dir", resumed, "--steps", 4)
    train("--resume", resumed, "--steps", 6, "--device", "cpu")
    assert metrics(resumed) == metrics(unbroken)
    ours, theirs = untimed_contents(resumed), untimed_contents(unbroken)
    # Where the first part ended, its state was saved.
    del ours["checkpoints/000004.safetensors"]
    assert ours == theirs
    arrays = checkpoint.load(last_checkpoint(resumed)).arrays
    kinds = {array.dtype.name for array in arrays.values()}
    assert kinds - {"int64"} == {VARIANTS[variant]}


def test_a_finished_run_stays_as_it_is(
    train: Train, finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path)
    train("--resume", run, "--device", "cpu")
    assert contents(run) == contents(finished)


def test_a_run_that_was_stopped_before_its_first_checkpoint_resumes(
    train: Train, finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path)
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    (run / "samples.png").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:2]))
    train("--resume", run, "--device", "cpu")
    assert metrics(run) == metrics(finished)
    for name in ("checkpoints", "samples"):
        assert contents(run / name) == contents(finished / name)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--width 8", "--width 8: the run was started with 4; only --accumulate"),
        ("--seed 1", "--seed 1: the run was started with 0; only --accumulate"),
        ("gan", "preset 'gan': the run was started with 'dcgan'"),
        ("--steps 5", "--steps 5: the run has already done 6 steps"),
        ("--run-dir elsewhere", "--run-dir elsewhere: a resumed run stays in its own"),
    ],
)
def test_a_conflicting_setting_is_refused(
    flags: str,
    message: str,
    train: Train,
    finished: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents(finished)
    words = flags.split()
    stopped(2, lambda: train(*words, "--resume", finished, "--device", "cpu"))
    assert message in capsys.readouterr().err
    assert contents(finished) == before


def make_faces(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        picture = np.full((16, 16, 1), 255 * number // count, np.uint8)
        images.save_png(folder / f"{number:02d}.png", picture)


def test_a_folder_of_images_may_move(
    twin: Twin,
    train: Train,
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_faces(tmp_path / "faces", 16)
    run, moved = tmp_path / "run", f"folder:{tmp_path}/moved"
    before = ("--dataset", f"folder:{tmp_path}/faces", "--steps", 1)
    train(*TINY, *before, "--run-dir", run)
    (tmp_path / "faces").rename(tmp_path / "moved")
    for call in (
        lambda: train("--resume", run, "--steps", 2),
        lambda: twin.main("evaluate")([str(run), "--features", "none"]),
    ):
        stopped(2, call)
        assert capsys.readouterr().err.endswith(
            f"error: --dataset folder:{tmp_path}/faces: the run's images are not found"
            " there; if they were moved, --dataset folder:PATH says where they are"
            " now\n"
        )
    command = [run, "--num", 65, "--draws", 1, "--features", "none"]
    command += ["--data-dir", data_dir, "--dataset", moved]
    twin.main("evaluate")(list(map(str, command)))
    assert (run / "evaluation-000001-none.json").exists()
    there = ("--dataset", moved, "--steps", 2, "--device", "cpu")
    train("--resume", run, *there)
    assert RunDir.open(run).config_file.read()[0].dataset == moved
    # The checkpoint of before is one of the same run still.
    RunDir.open(run).checkpoint_path(2).unlink()
    train("--resume", run, *there)
    assert RunDir.open(run).checkpoint_steps() == [1, 2]


def test_other_data_are_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_faces(tmp_path / "faces", 8)
    run = tmp_path / "run"
    dataset = f"folder:{tmp_path}/faces"
    train(*TINY, "--dataset", dataset, "--steps", 1, "--run-dir", run)
    images.save_png(tmp_path / "faces" / "new.png", np.zeros((16, 16, 1), np.uint8))
    before = contents(run)
    stopped(2, lambda: train("--resume", run, "--steps", 2, "--device", "cpu"))
    message = "than those that the run was last trained on (8 of digest "
    assert message in capsys.readouterr().err
    assert contents(run) == before


def test_only_one_process_writes_a_run(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    with RunDir.open(run).lock():
        stopped(2, lambda: train("--resume", run, "--device", "cpu"))
    assert "is being written by another process" in capsys.readouterr().err
    assert contents(run) == contents(finished)


# D's collapse shows in G's loss; G's in the state that is to be saved.
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--d-lr 1e30 --warmup-steps 3", r"step \d has d_loss .* and g_loss nan"),
        (
            "--optimizer rmsprop --g-lr 1e38",
            r"generator\.\S+ is not finite after step 1",
        ),
    ],
)
def test_divergence_is_told_in_one_line(
    flags: str,
    told: str,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    words = ["lsgan", *TINY, "--save-every", 1, *flags.split()]
    stopped(1, lambda: train(*words, "--run-dir", run))
    *log, message = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        rf"gans_\w+\.train: training has diverged: {told}; try lower .*", message
    )
    assert all(line.startswith("step ") for line in log)
    page = (run / "report.html").read_text()
    assert "<h3>Training has diverged" in page
    assert "<code>--clip-grad-norm 1</code>" in " ".join(page.split())
    assert (run / "samples.png").exists()
    for step in RunDir.open(run).checkpoint_steps():
        state = checkpoint.load(RunDir.open(run).checkpoint_path(step))
        assert all(np.isfinite(array).all() for array in state.arrays.values())


def test_what_has_failed_gets_no_scores(train: Train, tmp_path: Path) -> None:
    often = [word for x in ("save", "evaluate") for word in (f"--{x}-every", 1)]
    wild = ("--optimizer", "rmsprop", "--g-lr", 1e38, "--steps", 3)
    stopped(1, lambda: train("ring", *often, *wild, "--run-dir", tmp_path / "run"))
    run = RunDir.open(tmp_path / "run")
    assert run.read_scores() == []
    assert run.best_step() is None


def make_wrapped(
    twin: Twin, monkeypatch: pytest.MonkeyPatch, method: str, wrap: Callable[..., Any]
) -> None:
    """Have this twin's backends call ``wrap(method)`` for one of their methods."""
    module = importlib.import_module(f"gans_{twin.name}.train")
    make = module.make_backend

    def make_backend(*arguments: object) -> Backend:
        backend = make(*arguments)
        monkeypatch.setattr(backend, method, wrap(getattr(backend, method)))
        return backend

    monkeypatch.setattr(module, "make_backend", make_backend)


def slow(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        time.sleep(0.1)
        return function(*arguments)

    return call


def slow_to_end(train: Callable[..., Any]) -> Callable[..., Any]:
    return lambda inputs: slow(train(inputs))


def test_the_log_says_how_long_the_device_waits(
    twin: Twin, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    for method, wrap in (("train", slow_to_end), ("prepare", slow)):
        with monkeypatch.context() as patch:
            make_wrapped(twin, patch, method, wrap)
            # It is measured from the last grid on; compiling thus does not count.
            flags = ("--sample-every", 6, "--steps", 12)
            train(*TINY, *flags, "--run-dir", tmp_path / method)
        *_, last = (tmp_path / method / "metrics.jsonl").read_text().splitlines()
        shares.append(json.loads(last)["wait_share"])
    # Not by how much: that depends on what else the machine does.
    assert 0 <= shares[0] < shares[1] < 1


# A disk is full for a picture, or for a checkpoint; the next steps' inputs fail.
@pytest.mark.parametrize(
    ("place", "calls", "leaves"),
    [
        ("shared.drawing.images.save_png", 3, {"samples": 1, "checkpoints": 0}),
        ("shared.run.checkpoint.save", 2, {"samples": 4, "checkpoints": 1}),
        ("shared.training.session.draw", 6, {"samples": 3, "checkpoints": 1}),
    ],
)
def test_an_error_in_any_thread_ends_the_run(
    place: str,
    calls: int,
    leaves: dict[str, int],
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, _, name = place.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    count = itertools.count(1)

    def fail(*arguments: Any, **options: Any) -> Any:
        if next(count) >= calls:
            raise UsageError("no space left")
        return function(*arguments, **options)

    monkeypatch.setattr(place, fail)
    threads = set(threading.enumerate())
    stopped(1, lambda: train(*TINY, "--run-dir", tmp_path))
    *_, message = capsys.readouterr().err.splitlines()
    assert message.endswith(".train: no space left")
    assert set(threading.enumerate()) <= threads
    run = RunDir.open(tmp_path)
    assert len(run.sample_steps()) == leaves["samples"]
    assert len(run.checkpoint_steps()) == leaves["checkpoints"]
    assert [x["step"] for x in run.read_sample_metrics()] == run.sample_steps()
    # A page comes with each checkpoint; what the end leaves is not there.
    assert (tmp_path / "report.html").exists() is (leaves["checkpoints"] > 0)
    assert not (tmp_path / "samples.png").exists()


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    latest = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < latest, "nothing happened"
        time.sleep(0.01)


def logged_steps(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_resume(
    number: signal.Signals, twin: Twin, train: Train, data_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "a run"
    places = ("--run-dir", run, "--data-dir", data_dir)
    command = twin.command("train", *ENDLESS, *places, "--save-every", 1000000)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        wait_until(lambda: logged_steps(run) >= 3, process)
        process.send_signal(number)
        _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert b"\r" not in log
    assert b"saving, after this step; again: stop without saving\n" in log
    *_, told, advice = log.decode().splitlines()
    (step,) = RunDir.open(run).checkpoint_steps()
    assert step >= 3
    assert told == f"stopped after {step} of 1000000 steps; continue with:"
    assert metrics(run)[-1]["step"] == step
    assert (run / "samples.png").read_bytes() == (
        RunDir.open(run).sample_path(step).read_bytes()
    )
    python, dash_m, module, *arguments = shlex.split(advice)
    assert (python, dash_m, module) == ("python", "-m", f"gans_{twin.name}.train")
    assert arguments == [
        *("--resume", str(run), "--data-dir", str(data_dir), "--device", "cpu")
    ]
    flags = ("--steps", step + 3, "--save-every", 1000000)
    train(*arguments, *flags)
    unbroken = tmp_path / "unbroken"
    train(*TINY, *flags, "--run-dir", unbroken)
    assert last_checkpoint(run).read_bytes() == last_checkpoint(unbroken).read_bytes()
    assert metrics(run) == metrics(unbroken)


def test_a_second_signal_stops_at_once_and_says_how_to_resume(
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Training, "run_to_end", interrupted)
    stopped(130, lambda: train(*TINY, "--run-dir", tmp_path))
    told, advice = capsys.readouterr().err.splitlines()
    assert told == "stopped; continue from what was saved:"
    assert shlex.split(advice)[3:5] == ["--resume", str(tmp_path)]


def test_a_killed_run_resumes_from_its_last_checkpoint(
    twin: Twin, train: Train, data_dir: Path, tmp_path: Path
) -> None:
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    places = ("--run-dir", killed, "--data-dir", data_dir)
    command = twin.command("train", *ENDLESS, *places, "--save-every", 5)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: logged_steps(killed) >= 8, process)
        process.kill()
    assert f"python -m gans_{twin.name}.train" in (killed / "report.html").read_text()
    saved = RunDir.open(killed).checkpoint_steps()
    step = saved[-1] + 7
    train("--resume", killed, "--steps", step, "--device", "cpu")
    train(*TINY, "--save-every", 5, "--steps", step, "--run-dir", unbroken)
    assert metrics(killed) == metrics(unbroken)
    ours, theirs = untimed_contents(killed), untimed_contents(unbroken)
    # Earlier checkpoints name the length that the run had then.
    for earlier in saved:
        name = f"checkpoints/{earlier:06d}.safetensors"
        del ours[name], theirs[name]
    assert ours == theirs


def test_a_terminal_gets_a_progress_bar(
    twin: Twin, data_dir: Path, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 200, 0, 0))
    places = ("--run-dir", tmp_path / "run", "--data-dir", data_dir)
    command = twin.command("train", *TINY, *places)
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # Linux says that the other end is closed with an error.
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    *_, last, done, _ = filter(None, re.split(r"[\r\n]+", shown.decode()))
    assert done == f"done: {tmp_path}/run/report.html; next:"
    number = r"-?\d+\.\d+"
    assert re.search(
        rf"100%\|.*\| 6/6 \[.*<00:00, .*D loss {number}  G loss {number}"
        rf"  D\(x\) {number}  D\(G\(z\)\) {number}/{number}  \d+ images/s\]",
        last,
    ), shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_the_other_twin_continues_a_run(
    twin: Twin, finished: Path, train: Train, data_dir: Path, tmp_path: Path
) -> None:
    other = Twin({"torch": "jax", "jax": "torch"}[twin.name])
    run = tmp_path / "run"
    train("dcgan", *TINY, "--steps", 3, "--run-dir", run)
    flags = ("--resume", run, "--steps", 6, "--device", "cpu", "--data-dir", data_dir)
    other.main("train")(list(map(str, flags)))
    # The first part ended with a grid that the unbroken run does not have.
    added = {"samples/000003.png"}
    assert contents(run).keys() == contents(finished).keys() | added
    for ours, theirs in zip(metrics(run), metrics(finished), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert (
        RunDir.open(run).config_file.read() == RunDir.open(finished).config_file.read()
    )
    twins = [f"gans_{twin.name}", f"gans_{other.name}"]
    assert RunDir.open(run).config_file.twins() == twins
    states = [checkpoint.load(last_checkpoint(path)) for path in (run, finished)]
    assert states[0][:3] == states[1][:3]
    assert states[0].arrays.keys() == states[1].arrays.keys()


def test_json_is_readable_by_any_program(finished: Path) -> None:
    text = (finished / "config.json").read_text()
    values = json.loads(text)
    assert values["image_size"] == 16
    assert "\n" in text.strip()


def test_a_trusted_cache_is_not_read_through(
    twin: Twin,
    finished: Path,
    train: Train,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> str:
        raise AssertionError("the images were read")

    monkeypatch.setattr(image_cache, "digest", never)
    train(*TINY, "--steps", 1, "--trust-cache", "--run-dir", tmp_path / "run")
    words = [finished, "--num", 65, "--features", "none", "--out", tmp_path]
    words += ["--data-dir", data_dir, "--trust-cache", "--device", "cpu"]
    twin.main("evaluate")(list(map(str, words)))
