"""A generator without the rest of its run."""

from typing import NamedTuple

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.files.arrays import Arrays
from shared.plugins import Plugin
from shared.run.checkpoint import Checkpoint

PREFIX = "generator."


class GeneratorState(NamedTuple):
    """What it takes to draw as a run does."""

    step: int
    """Updates of G that were made."""
    config: TrainConfig
    """Configuration of the run."""
    data: DataInfo
    """What the run knows of its data."""
    arrays: Arrays
    """The weights that are drawn with, as ``generator.<name>``."""
    plugin: Plugin | None = None
    """The user's file that the run needs."""
    standing_stats: int | None = None
    """Batches whose statistics batch norm goes by; None: those of training."""


def generator_of(state: Checkpoint | GeneratorState) -> GeneratorState:
    """The generator that draws for a run: its average, where the run keeps one."""
    if isinstance(state, GeneratorState):
        return state
    prefix = _prefix(state.config)
    return GeneratorState(
        step=state.step,
        config=state.config,
        data=state.data,
        arrays={
            PREFIX + name.removeprefix(prefix): array
            for name, array in state.arrays.items()
            if name.startswith(prefix)
        },
        plugin=state.plugin,
    )


def arrays_of(state: GeneratorState) -> Arrays:
    """The weights that are drawn with, by the names that they have in a run."""
    prefix = _prefix(state.config)
    return {prefix + k.removeprefix(PREFIX): x for k, x in state.arrays.items()}


def _prefix(config: TrainConfig) -> str:
    return "generator_ema." if config.has_ema else PREFIX
