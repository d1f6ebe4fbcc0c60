"""Processes of a run in PyTorch that are gone: the others notice it, and say which."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import TINY, Twin, metrics

pytestmark = [
    pytest.mark.needs("torch"),
    pytest.mark.parametrize("twin", ["torch"], indirect=True, scope="session"),
]

Start = Callable[..., list[subprocess.Popen[str]]]

_LONG = (*TINY, "--steps", "100000", "--save-every", "5")
# One is taken for frozen sooner than by users.
_SOON = """
from gans_torch import _processes
def register(twin):
    _processes._MOST_SILENT = 8
"""
# The second process takes long for a step, in which its threads live; then it never
# comes again.
_LATE = """
import functools, itertools, time
from datetime import timedelta
import torch.distributed
from gans_torch import _processes
from gans_torch.backend import Backend
from shared.training.processes import processes
def register(twin):
    _processes._MOST_SILENT = 5
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
def start(twin: Twin, data_dir: Path, tmp_path: Path) -> Iterator[Start]:
    """``start(plugin)`` starts both processes of a long run; each writes a log."""
    running: list[subprocess.Popen[str]] = []

    def started(plugin: str) -> list[subprocess.Popen[str]]:
        (tmp_path / "plugin.py").write_text(plugin)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{free.getsockname()[1]}"
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


def _last_line(log: Path) -> str:
    return log.read_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("sent", "rank", "words"),
    [
        (signal.SIGKILL, 1, r"gans_torch.train: rank 1 answers no more: .*pair\.cc"),
        (signal.SIGSTOP, 1, r"rank 0: gans_torch: rank 1 has been silent for \d+ s: "),
        # Where they have met is in this one.
        (signal.SIGSTOP, 0, r"rank 1: gans_torch: rank 0 has been silent for \d+ s: "),
    ],
)
def test_one_that_is_gone_is_named_by_the_other(
    start: Start, tmp_path: Path, sent: int, rank: int, words: str
) -> None:
    processes = start(_SOON)
    run, other = RunDir(tmp_path / "run"), processes[1 - rank]
    while not run.checkpoint_steps():
        assert other.poll() is None, (tmp_path / f"log{1 - rank}").read_text()
        time.sleep(0.1)
    os.kill(processes[rank].pid, sent)
    assert other.wait(60) == 1
    assert re.match(words, _last_line(tmp_path / f"log{1 - rank}"))
    checkpoint.load(run.checkpoint_path(run.checkpoint_steps()[-1]))


def test_one_that_takes_long_is_waited_for_and_named_when_it_does_not_come(
    start: Start, tmp_path: Path
) -> None:
    first, second = start(_LATE)
    assert first.wait(120) == 1
    assert second.poll() is None
    assert _last_line(tmp_path / "log0").startswith(
        "gans_torch.train: rank 1 lives, and does not come: "
    )
    # It was late for the fifth step, and is for the ninth.
    assert [record["step"] for record in metrics(tmp_path / "run")][4:] == [5, 6, 7, 8]
