"""The words of ``--augment``: what D sees instead of the images."""

import functools

from shared.config.tables import suggestion

NONE = "none"
DIFFAUGMENT = "diffaugment"

POLICIES = ("color", "translation", "cutout")
"""Of DiffAugment, in the order that its name alone stands for."""


@functools.cache
def policies(augment: str) -> tuple[str, ...]:
    """What is done to images, in this order.

    Args:
        augment: ``none``; ``diffaugment``, which is all of `POLICIES`; or
            ``diffaugment:`` and some of them, with commas between.

    Raises:
        ValueError: it is none of these; the message is the rule that it breaks.
    """
    name, colon, listed = augment.partition(":")
    if augment == NONE:
        return ()
    if name != DIFFAUGMENT:
        near = suggestion(name, (NONE, DIFFAUGMENT))
        raise ValueError(
            f"must be {NONE}, {DIFFAUGMENT} or {DIFFAUGMENT}:POLICY,...{near}"
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
