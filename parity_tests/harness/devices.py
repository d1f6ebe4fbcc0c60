"""Trainings on several devices, many in a row in processes of their own.

In PyTorch each device has a process, which meets the others by gloo; in JAX one process
has devices that share its processor, or each has one there too. This module is also
what these processes execute.
"""

import contextlib
import importlib
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parity_tests.harness.edits import Edit, edited
from shared.backend import Arithmetic
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.files.arrays import Arrays
from shared.training.processes import processes
from shared.training.session import Session

# What a run holds after a step: metrics and arrays.
State = Mapping[str, NDArray[Any]]


class Job(NamedTuple):
    """A training on several devices."""

    name: str
    config: TrainConfig
    data: ImageData
    steps: int
    start: tuple[Arrays, int] | None = None
    """State and step to go on from; None: the seed's."""
    edits: tuple[Edit, ...] = ()
    """Of the twin's sources."""
    draws: bool = False
    """Whether the first process draws at the end: there is one state more, of what all
    draw together and what it draws alone."""


def train(
    twin: str, devices: int, jobs: Sequence[Job], apart: bool = False
) -> list[dict[str, list[State]]]:
    """Train by each job in turn, on so many devices.

    Args:
        twin: ``torch`` or ``jax``.
        devices: how many.
        jobs: of unique names.
        apart: whether each device has a process in JAX, too.

    Returns:
        What each process has computed, by the jobs' names.

    Raises:
        AssertionError: a process has failed; holds what it says.
    """
    with tempfile.TemporaryDirectory() as folder, meeting_place() as place:
        (Path(folder) / "jobs").write_bytes(pickle.dumps(list(jobs)))
        command = [sys.executable, "-m", __name__, twin, str(devices), folder]
        started = [
            subprocess.Popen(
                command,
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for environment in environments(devices, apart or twin == "torch", place)
        ]
        said = [process.communicate()[0] for process in started]
        for process, words in zip(started, said, strict=True):
            assert process.returncode == 0, words
        return [
            pickle.loads((Path(folder) / str(rank)).read_bytes())
            for rank in range(len(started))
        ]


@contextlib.contextmanager
def meeting_place() -> Iterator[str]:
    """HOST:PORT where processes can meet, which nobody else is given meanwhile."""
    with socket.socket() as held:
        # Bound only, so that whoever asks for this very port may listen there.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        host, port = held.getsockname()
        yield f"{host}:{port}"


def environments(devices: int, apart: bool, place: str) -> list[dict[str, str]]:
    """What tells each process of its devices, and of the other processes.

    Args:
        devices: of the run.
        apart: whether each has a process, with one thread.
        place: where these meet.
    """
    if not apart:
        return [{"JAX_NUM_CPU_DEVICES": str(devices)}]
    host, port = place.split(":")
    return [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(devices),
            "MASTER_ADDR": host,
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }
        for rank in range(devices)
    ]


def _main(twin: str, devices: str, folder: str) -> None:
    jobs: list[Job] = pickle.loads((Path(folder) / "jobs").read_bytes())
    told = {job.name: _tell(twin, int(devices), job) for job in jobs}
    name = os.environ.get("RANK", "0")
    (Path(folder) / name).write_bytes(pickle.dumps(told))


def _tell(twin: str, devices: int, job: Job) -> list[State]:
    states: list[State] = []
    with edited(*job.edits):
        backend = importlib.import_module(f"gans_{twin}.backend")
        config, data = job.config, job.data
        if twin == "jax":
            devices //= processes().count
        arithmetic = Arithmetic(devices=devices)
        session = Session(
            config, data, backend.Backend(config, data.info, "cpu", arithmetic)
        )
        session.start()
        if job.start is not None:
            session.restore(*job.start)
        for _ in range(job.steps):
            states.append(session.run(1) | session.backend.arrays())
        with session.backend.helped() as leads:
            if leads and job.draws:
                states.append(_drawn(session))
    return states


def _drawn(session: Session) -> State:
    """What all draw of batches that they do not share alike, and one draws of them."""
    z_dim, classes = session.config.z_dim, session.data.info.num_classes
    rng = np.random.default_rng(0)
    batches = [
        (
            rng.standard_normal((size, z_dim)).astype(np.float32),
            rng.integers(classes, size=size).astype(np.int32)
            if session.config.conditional
            else None,
        )
        for size in (6, 6, 6, 6, 6, 4)
    ]
    backend = session.backend
    together = backend.sample_batches(batches)
    alone = [backend.sample(*batch) for batch in batches]
    return {"together": np.concatenate(together), "alone": np.concatenate(alone)}


if __name__ == "__main__":
    _main(*sys.argv[1:])
