"""Which of a run's checkpoints stay on the disk."""

from collections.abc import Collection

from shared.config.choices import Keep
from shared.config.schedules import is_saved
from shared.config.train_config import TrainConfig

# How many checkpoints tell the run's history, evenly spread from its start to now.
_HISTORY = 8

KEEP: Keep = 3
"""What a new run keeps."""


def kept(
    steps: Collection[int], keep: Keep, config: TrainConfig, best: int | None = None
) -> set[int]:
    """Those checkpoints that stay: the last ones, the best, and a history.

    The history holds at most eight: the multiples of the shortest interval that is
    enough, among ``save_every``, twice, four times as long and so on. What a longer run
    keeps has thus been kept all along, so that it depends on nothing but the steps.

    Args:
        steps: steps with a checkpoint.
        keep: how many of the last stay, from 1 up; or all.
        config: says how often checkpoints are made.
        best: the step with the best scores.
    """
    if keep == "all" or not steps:
        return set(steps)
    interval = config.save_every
    while max(steps) // interval > _HISTORY:
        interval *= 2
    stay = {*sorted(steps)[-keep:], best}
    # A run that diverges goes back to the last that no signal has saved.
    stay.add(max((x for x in steps if is_saved(config, x)), default=None))
    return {x for x in steps if x in stay or x % interval == 0}


def most_kept(saved: int, keep: Keep) -> int:
    """The most checkpoints that there are at once, of so many that are saved."""
    # The best; the last by the rhythm; the newest, which is there before one goes.
    return saved if keep == "all" else min(saved, keep + _HISTORY + 3)
