"""What ``--for`` means: a chip, and how many of them in which shape."""

import math
import re
from typing import NamedTuple

from gans_jax._elsewhere.chips import CHIPS, Chip
from shared.errors import UsageError
from shared.words import suggestion

MOST = 256
"""Chips that a target may have."""

# Platforms that programs are lowered for only, and the chip whose figures are taken.
_LOWERED = {"cuda": "h100", "tpu": "v5e"}
_COMPILED = [name for name, chip in CHIPS.items() if chip.platform == "tpu"]
_SHAPE = re.compile(r"[1-9]\d*(x[1-9]\d*)*")


class Target(NamedTuple):
    """Accelerators that need not be here."""

    text: str
    """As the user writes it."""
    name: str
    """Of the chip."""
    shape: tuple[int, ...]
    """How many there are along each axis of their network."""
    compiles: bool
    """Whether a compiler for it can be had without it."""

    @property
    def chip(self) -> Chip:
        """The figures of one of them."""
        return CHIPS[self.name]

    @property
    def number(self) -> int:
        """How many there are."""
        return math.prod(self.shape)


def parse_target(text: str) -> Target:
    """What the user asks for, as in ``v5e:2x2``, ``v5p:2x2x1`` or ``cuda:8``.

    Args:
        text: a chip, and how many; without a number, one.

    Raises:
        UsageError: there is no such chip, or it has no such shape.
    """
    name, _, layout = text.partition(":")
    known = [*_COMPILED, *_LOWERED]
    if name not in known:
        raise UsageError(
            f"--for {text}: must be one of {', '.join(known)}, and how many, as in"
            f" v5e:2x2 or cuda:8{suggestion(name, known)}"
        )
    chip = _LOWERED.get(name, name)
    axes = CHIPS[chip].axes
    shape = tuple(map(int, layout.split("x"))) if _SHAPE.fullmatch(layout) else ()
    if layout == "1" or text == name:
        shape = (1,) * axes
    if len(shape) != axes:
        example = "x".join(["2"] * axes)
        raise UsageError(
            f"--for {text}: how many {name} there are is said like {name}:{example}"
        )
    if math.prod(shape) > MOST:
        raise UsageError(f"--for {text}: must be {MOST} of them or fewer")
    return Target(text, chip, shape, name in _COMPILED)
