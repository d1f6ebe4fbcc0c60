"""What draws for a run: found, and made ready."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared import plugins
from shared.config.arguments import about_path
from shared.config.choices import WhichStep
from shared.errors import UsageError
from shared.export import hub
from shared.files.arrays import Arrays
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.exported import is_exported
from shared.run.generator import GeneratorState, generator_of
from shared.run.standing import stand
from shared.training.driver import TrainedRun

# A run's folder, a checkpoint file, or what `fit` has returned.
Run = str | Path | TrainedRun


@runtime_checkable  # for the type checks while tests run
class _Generator(Protocol):
    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays: ...


GeneratorT = TypeVar("GeneratorT", bound=_Generator)


def find_state(twin: str, run: Run, step: WhichStep | None) -> Checkpoint:
    """A run's state.

    Args:
        twin: the package that draws.
        run: a run's folder, a checkpoint file, or what `fit` has returned.
        step: which checkpoint; the one with the best scores; None: the last.

    Raises:
        UsageError: there is no such file, it is damaged, or the run's plugin has been
            loaded as another.
    """
    state = _find_state(run, step)
    plugins.check_loaded(twin, state.plugin)
    return state


def _find_state(run: Run, step: WhichStep | None) -> Checkpoint:
    if isinstance(run, TrainedRun):
        if run.path is None and step is None:
            return run.state
        if run.path is None:
            raise UsageError(f"step {step}: only the last is kept without a folder")
        run = run.path
    _, state = checkpoint.find(Path(run), step)
    return state


def find_generator(
    twin: str, run: Run, step: WhichStep | None
) -> Checkpoint | GeneratorState:
    """What draws for a run: its state, or what an exported folder holds.

    Args:
        twin: as for `find_state`.
        run: as for `find_state`, or a folder that `export` has written.
        step: as for `find_state`.

    Raises:
        UsageError: as `find_state`; or there is a step where there are no checkpoints.
    """
    with about_path("run", path_of(run)):
        if isinstance(run, TrainedRun) or not is_exported(Path(run)):
            return find_state(twin, run, step)
        if step is not None:
            raise UsageError(
                f"--step {step}: {run} is an exported generator, of one step"
            )
        state = hub.read(Path(run))
    plugins.check_loaded(twin, state.plugin)
    return state


def path_of(run: Run | os.PathLike[str]) -> Path | None:
    """Where a run is, as errors write it; None of one that is at hand alone."""
    return run.path if isinstance(run, TrainedRun) else Path(run)


def load_standing(
    load: Callable[[Checkpoint | GeneratorState, str], GeneratorT],
    state: Checkpoint | GeneratorState,
    device: str,
    standing_stats: int | None,
) -> tuple[GeneratorT, Checkpoint | GeneratorState]:
    """A twin's generator, and the state that it is of.

    Args:
        load: makes the generator of a state, on a device.
        state: of a run, or of its generator.
        device: name of a device, or auto.
        standing_stats: batches whose statistics its batch norm is to go by; None: those
            of training.

    Raises:
        UsageError: the number is not positive, or there is no batch norm.
    """
    generator = load(state, device)
    if standing_stats is None:
        return generator, state
    if standing_stats < 1:
        raise UsageError(f"standing_stats {standing_stats}: must be 1 or more")
    state = stand(generator_of(state), generator.batch_statistics, standing_stats)
    return load(state, device), state
