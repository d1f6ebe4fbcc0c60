"""Processes of a run that are gone: the others notice it, and say which."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import PATIENCE, TINY, Twin, metrics

# JAX names nobody who is late.
in_pytorch = pytest.mark.parametrize("twin", ["torch"], indirect=True, scope="session")

Start = Callable[..., list[subprocess.Popen[str]]]

_LONG = (*TINY, "--steps", "100000", "--save-every", "5")
_NOTHING = "def register(twin): pass"
# One is taken for frozen sooner than by users.
_SOON = """
from shared.training import heartbeats
def register(twin):
    heartbeats.MOST_SILENT = 8
"""
# The second process takes long for a step, in which its threads live; then it never
# comes again.
_LATE = """
import functools, itertools, time
from datetime import timedelta
import torch.distributed
from gans_torch.backend import Backend
from shared.training import heartbeats
from shared.training.processes import processes
def register(twin):
    heartbeats.MOST_SILENT = 5
    torch.distributed.init_process_group = functools.partial(
        torch.distributed.init_process_group, timeout=timedelta(seconds=15)
    )
    train, steps = Backend.train, itertools.count()
    def late(self, inputs):
        step = next(steps)
        if processes().follows and step in (4, 8):
            time.sleep(8 if step == 4 else 1000)
        return train(self, inputs)
    Backend.train = late
"""


@pytest.fixture
def start(twin: Twin, data_dir: Path, tmp_path: Path, place: str) -> Iterator[Start]:
    """``start(plugin)`` starts both processes of a long run; each writes a log."""
    running: list[subprocess.Popen[str]] = []

    def started(plugin: str = _NOTHING) -> list[subprocess.Popen[str]]:
        (tmp_path / "plugin.py").write_text(plugin)
        words = (*_LONG, "--data-dir", data_dir, "--plugin", tmp_path / "plugin.py")
        words = (*words, "--run-dir", tmp_path / "run", "--num-processes", 2)
        for rank in range(2):
            told = ("--coordinator-address", place, "--process-id", rank)
            with (tmp_path / f"log{rank}").open("w") as log:
                command = twin.command("train", *words, *told)
                running.append(subprocess.Popen(command, stderr=log, text=True))
        return running

    yield started
    for process in running:
        process.kill()
        process.wait()


def _kill_one(
    processes: list[subprocess.Popen[str]], folder: Path, rank: int, sent: int
) -> str:
    """One of both is sent a signal after a checkpoint: the last line of the other."""
    run, other, log = RunDir(folder / "run"), processes[1 - rank], f"log{1 - rank}"
    while not run.checkpoint_steps():
        assert other.poll() is None, (folder / log).read_text()
        time.sleep(0.1)
    os.kill(processes[rank].pid, sent)
    assert other.wait(PATIENCE) == 1, (folder / log).read_text()
    checkpoint.load(run.checkpoint_path(run.checkpoint_steps()[-1]))
    return (folder / log).read_text().splitlines()[-1]


def test_one_that_is_killed_is_named_by_the_other(
    start: Start, twin: Twin, tmp_path: Path
) -> None:
    line = _kill_one(start(), tmp_path, 1, signal.SIGKILL)
    words = rf"gans_{twin.name}.train: rank 1 answers no more: .*pair\.cc"
    assert re.match(words, line)


# Where they have met is in rank 0.
@pytest.mark.parametrize("rank", [1, 0])
def test_one_that_is_frozen_is_named_by_the_other(
    start: Start, twin: Twin, tmp_path: Path, rank: int
) -> None:
    line = _kill_one(start(_SOON), tmp_path, rank, signal.SIGSTOP)
    words = f"gans_{twin.name}: rank {rank} has been silent for "
    assert line.startswith(f"rank {1 - rank}: {words}")


@in_pytorch
def test_one_that_takes_long_is_waited_for_and_named_when_it_does_not_come(
    start: Start, tmp_path: Path
) -> None:
    first, second = start(_LATE)
    assert first.wait(PATIENCE) == 1
    assert second.poll() is None
    last = (tmp_path / "log0").read_text().splitlines()[-1]
    assert last.startswith("gans_torch.train: rank 1 lives, and does not come: ")
    # It was late for the fifth step, and is for the ninth.
    assert [record["step"] for record in metrics(tmp_path / "run")][4:] == [5, 6, 7, 8]
