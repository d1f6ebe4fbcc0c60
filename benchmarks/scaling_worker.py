"""One process of a training on several; started by `benchmarks.scaling`.

It reads how many steps to make, a number a line, and answers with the seconds.
"""

import dataclasses
import importlib
import os
import sys
import time
from pathlib import Path

from shared.backend import Arithmetic
from shared.config.presets import PRESETS
from shared.data import datasets
from shared.training.session import Session


def main(twin: str, preset: str, batch_size: str, data_dir: str) -> None:
    """Train by a preset, as asked.

    Args:
        twin: ``torch`` or ``jax``.
        preset: its name.
        batch_size: of the whole batch.
        data_dir: folder of data sets.
    """
    # The answers have the output to themselves: whatever a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    config = dataclasses.replace(PRESETS[preset], batch_size=int(batch_size))
    data = datasets.load_for(config, Path(data_dir), None)
    backend = importlib.import_module(f"gans_{twin}.backend")
    made = backend.Backend(config, data.info, "cpu", Arithmetic(threads=1))
    session = Session(config, data, made)
    session.start()
    session.run(1)
    for line in sys.stdin:
        steps = range(session.step, session.step + int(line))
        prepared = session.prepare(steps)
        start = time.perf_counter()
        session.train(prepared)()
        answers.write(f"{time.perf_counter() - start}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
