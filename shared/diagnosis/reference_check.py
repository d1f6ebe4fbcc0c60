"""Whether a run's first steps are as they should be: ``train --check-reference``.

All that is random in a run follows from its seed, in both twins and on every machine.
So the metrics of an unchanged preset's first steps are known; they differ by rounding
alone, which training amplifies from step to step. The file beside this one, written by
``python -m benchmarks.reference bands``, holds their values in float64, and how far off
they may be: three times as far as the other twin was, or runs with ten times float32's
error in their first weights, and a tenth of a per cent at least. TF32 and bfloat16 are
coarser: with them a run is not the preset any more, and refused.

A learning rate of twice or half its value is far outside, and so are half the batch or
the width, a little instance noise or other data. What leaves hardly a trace so early is
not noticed: the average of G, a schedule, the second decay rate of Adam.
"""

import functools
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.config.flags import flag
from shared.config.presets import changed_fields
from shared.config.resume import CHANGEABLE_ON_RESUME
from shared.config.train_config import TrainConfig
from shared.errors import UsageError

STEPS = 5
"""How many steps are compared; later ones depend on rounding too much."""
PATH = Path(__file__).with_name("reference.json")

_LEAST_REACH = 1e-3
_MARGIN = 3

# The metrics of the first steps: values by name.
Trajectory = Mapping[str, list[float]]


class Reference(NamedTuple):
    """What is known of a preset's first steps."""

    metrics: Trajectory
    """Where each metric belongs."""
    reach: list[float]
    """How far off it may be at each step, as a share of its largest value."""


def make_reference(exact: Trajectory, rounded: Iterable[Trajectory]) -> Reference:
    """What later runs are compared with.

    Args:
        exact: a run in float64; no metric is 0 throughout.
        rounded: the same run, with errors that must pass.
    """
    off = [
        max(_shares_off(exact, run, step) for run in rounded) for step in range(STEPS)
    ]
    grown = itertools.accumulate(off, max)
    return Reference(exact, [max(_LEAST_REACH, _MARGIN * share) for share in grown])


class ReferenceCheck:
    """Judges one run by its first steps.

    Args:
        config: the run's configuration.

    Raises:
        UsageError: there is no reference for such a run.
    """

    def __init__(self, config: TrainConfig) -> None:
        known = _references()
        if config.preset not in known:
            raise UsageError(
                f"--check-reference: there is no reference for preset {config.preset};"
                f" there are some for {', '.join(sorted(known))}"
            )
        # Rates that fall over a run are others in a run of another length.
        tied = () if config.lr_schedule == "constant" else ("steps", "epochs")
        free = CHANGEABLE_ON_RESUME.difference(tied)
        changed = [flag(name) for name in changed_fields(config) if name not in free]
        if changed:
            raise UsageError(
                f"--check-reference: compares with preset {config.preset} as it is,"
                f" and {', '.join(changed)} {'is' if len(changed) == 1 else 'are'} not"
            )
        if config.steps is not None and config.steps < STEPS:
            raise UsageError(
                f"--check-reference: looks at {STEPS} steps, --steps is {config.steps}"
            )
        self._metrics, self._reach = known[config.preset]
        self._out: dict[str, str] = {}

    def see(self, step: int, record: Mapping[str, float]) -> str | None:
        """Take in a step; says in a line, once, whether the run is on track.

        Args:
            step: counted from 1; each of the first must be given, in order.
            record: its metrics.
        """
        if step > STEPS:
            return None
        for name, values in self._metrics.items():
            found, expected = record.get(name, np.nan), values[step - 1]
            reach = self._reach[step - 1] * _scale(values)
            if not abs(found - expected) <= reach:  # nor is nan
                self._out.setdefault(
                    name,
                    f"{name} is {found:.5g} at step {step}, expected"
                    f" {expected - reach:.5g} to {expected + reach:.5g}",
                )
        if step < STEPS:
            return None
        what = f"{len(self._metrics)} metrics over the first {STEPS} steps"
        if self._out:
            return (
                f"reference: NOT on track; of {what}, {'; '.join(self._out.values())}"
            )
        return f"reference: on track; {what} are where they should be"


@functools.cache
def _references() -> dict[str, Reference]:
    stored = json.loads(PATH.read_text("utf-8"))
    return {preset: Reference(**reference) for preset, reference in stored.items()}


def _scale(values: list[float]) -> float:
    return max(map(abs, values))


def _shares_off(exact: Trajectory, run: Trajectory, step: int) -> float:
    """The largest of all metrics' errors at a step."""
    return max(
        abs(run[name][step] - values[step]) / _scale(values)
        for name, values in exact.items()
    )
