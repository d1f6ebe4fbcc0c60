"""Where the samples of a batch meet, so that the batch is more than its parts.

Several devices compute these things together: see `distribution` in the twins. Slices
of a batch that come one after the other cannot, so ``--accumulate`` is refused there.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES


class Meeting(NamedTuple):
    """One thing that ties samples together."""

    field: str
    """The setting that brings it."""
    happens: Callable[[Any], bool]
    """Whether a `TrainConfig` has it."""
    how: str
    """What it does, for people."""


_STATISTICS = "takes statistics of the whole batch"
# What a user has registered may say of itself that it is separable.
_WHOLE = "takes a batch as a whole; what does not is registered as separable"

MEETINGS = (
    Meeting("g_norm", lambda config: config.g_has_batch_norm, _STATISTICS),
    Meeting("d_norm", lambda config: config.d_norm == "batch", _STATISTICS),
    Meeting(
        "minibatch_discrimination",
        lambda config: config.minibatch_discrimination > 0,
        "compares each sample with all others",
    ),
    Meeting(
        "minibatch_std",
        lambda config: config.minibatch_std > 0,
        "compares the samples of a group",
    ),
    Meeting(
        "feature_matching",
        lambda config: config.feature_matching > 0,
        "compares means over the whole batch",
    ),
    Meeting(
        "objective",
        lambda config: not OBJECTIVES[config.objective].separable,
        _WHOLE,
    ),
    Meeting(
        "penalty",
        lambda config: not PENALTIES[config.penalty].separable,
        _WHOLE,
    ),
    Meeting(
        "architecture",
        lambda config: not ARCHITECTURES[config.architecture].separable,
        _WHOLE,
    ),
)
"""All of them: besides these, only means over the batch ask `distribution` for sums."""


def meetings(config: Any) -> list[Meeting]:
    """Where the samples of a batch meet, in this order.

    Args:
        config: a `TrainConfig`, whose rules ask for this.
    """
    return [x for x in MEETINGS if x.happens(config)]
