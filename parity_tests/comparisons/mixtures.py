"""Mixtures: a variant with several remedies at once, drawn by a seed, in both twins.

Each remedy is compared alone elsewhere. What two of them do to each other no list of
ours would name, and there are too many to try: so some are drawn.
"""

import dataclasses
import functools
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, TypeVar

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.trajectories import REMEDIES, VARIANTS, compare_twins
from shared.config.train_config import TrainConfig
from shared.errors import UsageError

_T = TypeVar("_T")

_STEPS = 6
_MOST_REMEDIES = 5
_SIZES = (8, 12, 16, 20, (8, 12), (16, 12))
_BATCHES = (4, 6, 8)
_SLICES = {"accumulate": 2}
_FULL = 40
# Of the short certificate: they compile in seconds.
_SHORT = (10, 15, 17, 18)


def draw(seed: int) -> tuple[TrainConfig, int, str]:
    """A configuration that is allowed; the channels of its images, and what it is of.

    Args:
        seed: of all that is drawn.
    """
    name = _shuffled(VARIANTS, seed)[0]
    variant = VARIANTS[name].short
    size, batch_size = _shuffled(_SIZES, seed)[0], _shuffled(_BATCHES, seed)[0]
    sides = {} if variant.config.image_size == 1 else {"image_size": size}
    config, parts = variant.config, [name]
    for changes in (sides, {"batch_size": batch_size}, _SLICES):
        config = _changed(config, changes) or config
    settled: set[str] = set()
    for remedy in _shuffled(REMEDIES, seed):
        changes = REMEDIES[remedy]
        changed = None if settled & changes.keys() else _changed(config, changes)
        if changed and changed != config:
            config, parts = changed, [*parts, remedy]
            settled |= changes.keys()
        if len(parts) > _MOST_REMEDIES:
            break
    return config, variant.channels, " + ".join(parts)


def _shuffled(names: Iterable[_T], seed: int) -> list[_T]:
    """In an order by chance, which one more of them leaves as it is."""
    return sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())


def _changed(config: TrainConfig, changes: dict[str, Any]) -> TrainConfig | None:
    """With the changes, where they are allowed."""
    try:
        return dataclasses.replace(config, **changes)
    except UsageError:
        return None


def _compare(seed: int) -> list[Finding]:
    config, channels, words = draw(seed)
    found = compare_twins(config, _STEPS, channels)
    return [x._replace(note=f"{words}; {x.note}") for x in found]


for _seed in range(_FULL):
    check(f"mixture/{_seed}", "mixture", full_only=_seed not in _SHORT)(
        functools.partial(_compare, _seed)
    )
