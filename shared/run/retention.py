"""Which of a run's checkpoints stay on the disk."""

from collections.abc import Collection
from typing import Literal

# How many checkpoints tell the run's history, evenly spread from its start to now.
_HISTORY = 8

Keep = int | Literal["all"]
"""How many of the last checkpoints stay, besides the best and the history; or all."""

KEEP: Keep = 3
"""What a new run keeps."""


def kept(
    steps: Collection[int], keep: Keep, every: int, best: int | None = None
) -> set[int]:
    """Those checkpoints that stay: the last ones, the best, and a history.

    The history holds at most eight: the multiples of the shortest interval that is
    enough, among ``every``, twice, four times as long and so on. What a longer run
    keeps has thus been kept all along, so that it depends on nothing but the steps.

    Args:
        steps: steps with a checkpoint.
        keep: how many of the last stay, from 1 up; or all.
        every: steps between checkpoints.
        best: the step with the best scores.
    """
    if keep == "all" or not steps:
        return set(steps)
    interval = every
    while max(steps) // interval > _HISTORY:
        interval *= 2
    last = set(sorted(steps)[-keep:])
    return {x for x in steps if x in last or x == best or x % interval == 0}


def most_kept(saved: int, keep: Keep) -> int:
    """The most checkpoints that there are at once, of so many that are saved."""
    # The best; and the newest, which is there before the oldest goes.
    return saved if keep == "all" else min(saved, keep + _HISTORY + 2)
