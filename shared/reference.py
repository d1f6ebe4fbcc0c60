"""Whether a run's first steps look as they should: ``train --check-reference``.

The file beside this one, written by ``python -m benchmarks.reference bands``, holds for
each preset a band for the mean of each metric over the first steps, from runs with
several seeds. A framework that is installed wrongly, or a change of the code
that alters what is computed, falls out of the bands long before pictures tell.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.config import CHANGEABLE_ON_RESUME, TrainConfig, flag
from shared.errors import UsageError
from shared.presets import changed_fields

STEPS = 50
"""How many steps the means run over."""
PATH = Path(__file__).with_name("reference.json")

# What may differ from the preset: none of it changes what a band is about.
_FREE = {*CHANGEABLE_ON_RESUME, "seed"}


class Band(NamedTuple):
    """Where the mean of a metric belongs."""

    low: float
    high: float


def make_band(means: list[float]) -> Band:
    """The band for a metric, from its means in several runs.

    Student's interval for one more run: a healthy one falls out once in a thousand
    times, for each metric.

    Args:
        means: one for each seed, two at least.
    """
    # Imported here: only who makes bands needs it.
    from scipy.stats import t

    count = len(means)
    centre, deviation = float(np.mean(means)), float(np.std(means, ddof=1))
    reach = float(t.ppf(1 - 0.5e-3, count - 1)) * deviation * np.sqrt(1 + 1 / count)
    # Seeds may agree by chance, and so may a metric that hardly moves.
    reach = max(reach, 0.02 * abs(centre), 1e-6)
    return Band(centre - reach, centre + reach)


@functools.cache
def _bands() -> dict[str, dict[str, Band]]:
    stored = json.loads(PATH.read_text("utf-8"))["bands"]
    return {
        preset: {metric: Band(*band) for metric, band in bands.items()}
        for preset, bands in stored.items()
    }


class ReferenceCheck:
    """Judges one run by its first steps.

    Args:
        config: the run's configuration.

    Raises:
        UsageError: there are no bands for such a run.
    """

    def __init__(self, config: TrainConfig) -> None:
        bands = _bands().get(config.preset)
        if bands is None:
            raise UsageError(
                f"--check-reference: there are no bands for preset {config.preset};"
                f" there are for {', '.join(sorted(_bands()))}"
            )
        changed = [flag(name) for name in changed_fields(config) if name not in _FREE]
        if changed:
            raise UsageError(
                f"--check-reference: compares with preset {config.preset} as it is,"
                f" and {', '.join(changed)} {'is' if len(changed) == 1 else 'are'} not"
            )
        if config.steps is not None and config.steps < STEPS:
            raise UsageError(
                f"--check-reference: looks at {STEPS} steps, --steps is {config.steps}"
            )
        self._bands = bands
        self._sums = dict.fromkeys(bands, 0.0)

    def see(self, step: int, record: Mapping[str, float]) -> str | None:
        """Take in a step; says in a line, once, whether the run is on track.

        Args:
            step: counted from 1; each of the first must be given, in order.
            record: its metrics.
        """
        if step > STEPS:
            return None
        for name in self._sums:
            self._sums[name] += record.get(name, np.nan) / STEPS
        if step < STEPS:
            return None
        out = [
            f"{name} is {mean:.4g}, expected {band.low:.4g} to {band.high:.4g}"
            for name, mean in self._sums.items()
            if not (band := self._bands[name]).low <= mean <= band.high
        ]
        what = f"{len(self._sums)} metrics over the first {STEPS} steps"
        if out:
            return f"reference: NOT on track; of {what}, {'; '.join(out)}"
        return f"reference: on track; {what} are within their bands"
