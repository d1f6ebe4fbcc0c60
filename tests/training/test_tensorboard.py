"""Event files: the run's numbers and grids, each step once, and no framework."""

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from shared.commands import command_line
from shared.commands import train as train_command
from shared.drawing.images import save_png
from shared.run.run_dir import RunDir
from shared.training.event_files import EventFiles
from support import TINY, Train, Twin, stopped


def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(
        str(run / "tensorboard"), {"scalars": 0, "images": 0}
    )
    accumulator.Reload()
    return accumulator


def scalars(run: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(run).Scalars(name)]


def logged(run: Path, name: str, file: str = "metrics") -> list[Any]:
    lines = (run / f"{file}.jsonl").read_text().splitlines()
    records = map(json.loads, lines)
    return [(r["step"], pytest.approx(r[name], rel=1e-6)) for r in records]


def test_event_files_hold_what_the_run_holds(train: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(*TINY, "--tensorboard", "--steps", 5, "--run-dir", run)
    assert [step for step, _ in scalars(run, "d_loss")] == [1, 2, 3, 4, 5]
    for name in ("d_loss", "g_loss", "d_real", "d_grad_norm", "images_per_second"):
        assert scalars(run, name) == logged(run, name)
    assert scalars(run, "diversity") == logged(run, "diversity", "samples")
    pictures = events(run).Images("samples")
    assert [picture.step for picture in pictures] == [0, 2, 4, 5]
    for picture in pictures:
        path = run / "samples" / f"{picture.step:06d}.png"
        assert picture.encoded_image_string == path.read_bytes()


def test_a_resumed_run_repeats_no_step(train: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(*TINY, "--tensorboard", "--steps", 4, "--run-dir", run)
    # As if it had been killed after its checkpoint of step 3.
    (run / "checkpoints" / "000004.safetensors").unlink()
    # Its event files go on without the grids that are gone or damaged.
    (run / "samples" / "000000.png").unlink()
    (run / "samples" / "000002.png").write_bytes(b"")
    train("--resume", run, "--steps", 6, "--tensorboard", "--device", "cpu")
    assert scalars(run, "d_loss") == logged(run, "d_loss")
    assert [step for step, _ in scalars(run, "d_loss")] == [1, 2, 3, 4, 5, 6]
    assert [x.step for x in events(run).Images("samples")] == [4, 6]
    assert [step for step, _ in scalars(run, "diversity")] == [0, 2, 4, 6]


def test_event_files_can_start_later_and_are_otherwise_not_there(
    train: Train, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(*TINY, "--steps", 2, "--run-dir", run)
    assert not (run / "tensorboard").exists()
    train("--resume", run, "--steps", 3, "--tensorboard", "--device", "cpu")
    assert [step for step, _ in scalars(run, "g_loss")] == [1, 2, 3]


def test_that_a_run_diverged_is_among_the_events(train: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rates = ("--g-lr", "1e30", "--d-lr", "1e30")
    stopped(1, lambda: train(*TINY, *rates, "--tensorboard", "--run-dir", run))
    assert scalars(run, "diverged") == [(1, 1)]


def test_pictures_keep_their_size(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    save_png(tmp_path / "picture.png", np.zeros((3, 5, 3), np.uint8))
    files = EventFiles(run)
    files.add_image(7, tmp_path / "picture.png")
    files.add_scalars({"step": 7, "missing": None, "protocol": {}, "there": 2})
    (picture,) = events(tmp_path).Images("samples")
    assert (picture.step, picture.width, picture.height) == (7, 5, 3)
    assert events(tmp_path).Tags()["scalars"] == ["there"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_event_files_that_cannot_be_written_are_named(
    twin: Twin,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    write = os.write

    def fill(file: int, content: memoryview) -> int:
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        if "tfevents" in name and (run / "checkpoints" / "000003.safetensors").exists():
            raise full
        return write(file, content)

    monkeypatch.setattr(os, "write", fill)
    stopped(1, lambda: train(*TINY, "--tensorboard", "--run-dir", run))
    monkeypatch.setattr(os, "write", write)
    *_, line = capsys.readouterr().err.splitlines()
    (path,) = (run / "tensorboard").iterdir()
    rule = "cannot be written: No space left on device"
    assert line == f"gans_{twin.name}.train: {path}: {rule}"
    assert RunDir.open(run).checkpoint_steps() == [3]

    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").symlink_to("nowhere")
    again = ("--resume", run, "--tensorboard", "--device", "cpu")
    stopped(2, lambda: train(*again))
    *_, line = capsys.readouterr().err.splitlines()
    assert line.endswith(f"error: {run}/tensorboard: cannot be made: File exists")


def test_a_missing_package_is_said_in_one_line(
    twin: Twin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else found(name, *rest),
    )
    stopped(2, lambda: twin.main("train")(["--tensorboard"]))
    (line,) = capsys.readouterr().err.splitlines()
    assert "--tensorboard: needs the package tensorboard; install it with pip" in line


def test_the_resume_command_keeps_the_flag() -> None:
    options = command_line.parse_train(["--tensorboard"], "prog")
    assert train_command.resume_command(options, Path("RUN"), "prog").endswith(
        " --tensorboard"
    )
    options = command_line.parse_train([], "prog")
    assert "--tensorboard" not in train_command.resume_command(
        options, Path("RUN"), "prog"
    )


def test_event_files_need_no_framework() -> None:
    code = (
        "import sys, shared.training.event_files, shared.training.journal\n"
        "import shared.report.page\n"
        "sys.exit(sum(x in sys.modules for x in ('torch', 'jax', 'tensorflow')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
