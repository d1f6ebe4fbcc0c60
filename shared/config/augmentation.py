"""The words of ``--augment``: what D sees instead of the images."""

import functools
from typing import NamedTuple

from shared.words import suggestion

NONE = "none"
DIFFAUGMENT = "diffaugment"
ADA = "ada"

POLICIES = ("color", "translation", "cutout")
"""Of DiffAugment, in the order that its name alone stands for."""


class Pipe(NamedTuple):
    """How often ADA's transformations of a kind are made, in multiples of p."""

    colours: float
    cutout: float


PIPES = {ADA: Pipe(1.0, 0.0), f"{ADA}:r3gan": Pipe(0.5, 1.0)}
"""Karras et al. 2020's, arXiv:2006.06676, called bgc; and that of Huang et al. 2024,
arXiv:2501.05441, by its authors' code."""

# ADA's controller: see `adjustment`.
TARGET = (3, 5)
"""What the mean sign is held at, a fraction: 0.6."""
INTERVAL = 4
"""Steps after each of which p is adjusted, by the signs that D gave real images."""
_IMAGES = 500_000


@functools.cache
def policies(augment: str) -> tuple[str, ...]:
    """What is done to images, in this order.

    Args:
        augment: ``none``; one of `PIPES`, which is one by itself; ``diffaugment``,
            which is all of `POLICIES`; or ``diffaugment:`` and some of them, with
            commas between.

    Raises:
        ValueError: it is none of these; the message is the rule that it breaks.
    """
    name, colon, listed = augment.partition(":")
    if augment == NONE:
        return ()
    if augment in PIPES:
        return (augment,)
    if name != DIFFAUGMENT:
        near = suggestion(augment, (NONE, DIFFAUGMENT, *PIPES))
        pipes = " or ".join(PIPES)
        raise ValueError(
            f"must be {NONE}, {DIFFAUGMENT}, {DIFFAUGMENT}:POLICY,..., {pipes}{near}"
        )
    if not colon:
        return POLICIES
    chosen = tuple(listed.split(","))
    for policy in chosen:
        if policy not in POLICIES:
            near = suggestion(policy, POLICIES)
            raise ValueError(f"each policy must be one of {', '.join(POLICIES)}{near}")
    if len(set(chosen)) < len(chosen):
        raise ValueError("each policy may stand once")
    return chosen


def adjustment(images_per_step: float) -> float:
    """By how much ADA's controller moves p at a time, after `INTERVAL` steps.

    From 0 to 1 it takes 500,000 images.

    Args:
        images_per_step: real images that D is trained on in each step.

    References:
        Karras et al. 2020, arXiv:2006.06676, section 3.
    """
    return INTERVAL * images_per_step / _IMAGES
