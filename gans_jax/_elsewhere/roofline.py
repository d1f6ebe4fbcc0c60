"""What a step takes at best: the slowest of what it has to do, and what it sends.

The roof is that of an accelerator that computes and reads its memory at the same time,
both at their peak. Messages come on top, as steps here wait for them: the first is
needed before the next layer can go on.

References:
    Williams et al. 2009, "Roofline: an insightful visual performance model".
"""

from collections.abc import Sequence
from typing import NamedTuple

from gans_jax._elsewhere.collectives import Message
from gans_jax._elsewhere.target import Target


class Roofline(NamedTuple):
    """Seconds of a step, on each device."""

    compute: float | None
    """Of its operations; None: nobody knows how many."""
    memory: float | None
    """Of the bytes that pass its memory; None: nobody knows how many."""
    links: float
    """Of its messages."""

    @property
    def step(self) -> float:
        """Of all three: the longer of the first two, and the links."""
        return max(self.compute or 0.0, self.memory or 0.0) + self.links

    @property
    def share(self) -> float:
        """The messages' part of it."""
        return self.links / self.step


def roofline(
    target: Target,
    precision: str,
    operations: float | None,
    traffic: float | None,
    sent: Sequence[Message],
) -> Roofline:
    """What a step takes at best.

    Args:
        target: on which it runs.
        precision: of products, one of the chip's ``peaks``.
        operations: of floating-point numbers, on each device; None: unknown.
        traffic: bytes read and written, on each device; None: unknown.
        sent: its messages.
    """
    chip = target.chip
    return Roofline(
        None if operations is None else operations / chip.peaks[precision],
        None if traffic is None else traffic / chip.bandwidth,
        sum((chip.links.seconds(x.kind, x.size, target.shape) for x in sent), 0.0),
    )
