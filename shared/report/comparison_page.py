"""Several runs on one page: their table, grids at equal budgets, curves with bands.

Runs of one length that differ by nothing but the seed, or the twin, are one line with a
band.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.config.choices import POINTS
from shared.config.resume import CHANGEABLE_ON_RESUME
from shared.config.schedules import images_seen
from shared.config.train_config import TrainConfig
from shared.drawing.plots import bulk
from shared.files.atomic import write_atomically
from shared.quantities import DECIDING, QUANTITIES, series
from shared.report.pages import data_uri, is_picture, sharpest, template
from shared.run.evaluations import StoredEvaluation
from shared.run.rollbacks import went_back
from shared.run.run_dir import RunDir

# What tells no runs apart: the seed, and all that may change but the length, over which
# rates fall, and bands would end with the shortest.
_ALIKE = {"seed"} | CHANGEABLE_ON_RESUME - {"steps", "epochs"}
# What shares an axis where the objective is one, which gives the scale.
_LOSSES = ("d_loss", "g_loss", "wasserstein_estimate")
# What in a protocol says who the judge is: where it is one, scores are shown.
_JUDGE = ("dataset", "reference", "features", "resizing", "samples")
# And always.
_CURVES = ("modes", "high_quality", "diversity")
_MOMENTS = 4
_POINTS = 200
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 560, 240, 56, 12, 26
_COLOURS = 5


class Run(NamedTuple):
    """What a run left behind."""

    name: str
    """Its folder, shortened as far as the runs' names differ."""
    folder: RunDir
    """Where its grids are."""
    config: TrainConfig
    """Its configuration."""
    twins: list[str]
    """Which packages trained it, in turn."""
    records: list[dict[str, Any]]
    """Its metrics, and its scores while training, in the order of steps."""
    evaluation: StoredEvaluation | None
    """Its last evaluation."""
    rollbacks: int
    """How often it has diverged, and gone back."""
    diverged: bool
    """Whether that has ended it."""

    @property
    def protocols(self) -> list[dict[str, Any]]:
        """How it was scored while training, each time."""
        return [r["protocol"] for r in self.records if r.get("protocol")]

    @property
    def label(self) -> str:
        """Its name in a legend, in which one that begins with _ would have no word."""
        return f" {self.name}" if self.name[0] == "_" else self.name

    @property
    def health(self) -> str | None:
        """What became of it, where it diverged."""
        if self.diverged:
            return "diverged"
        return went_back(self.rollbacks) if self.rollbacks else None


def write_page(path: Path, runs: Sequence[Run], table: Sequence[Sequence[str]]) -> None:
    """Write the page.

    Args:
        path: the file.
        runs: what is compared.
        table: rows of cells, of which the first is the heading.

    Raises:
        UsageError: it cannot be written.
    """
    groups = _groups(runs)
    names = comparable(runs)
    page = template("comparison.html").render(
        names=[run.name for run in runs],
        table=table,
        grids=list(_grids(runs)),
        charts=[x for name in names if (x := _chart(name, groups))],
        legend=[(title, _stroke(number)) for number, title in enumerate(groups)],
        are_points=are_points(runs),
        are_losses_left_out=not set(_LOSSES) <= set(names),
        are_scores_left_out=not set(DECIDING) <= set(names),
        top=_TOP,
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        bottom=_HEIGHT - _BOTTOM,
    )
    write_atomically(path, page.encode(errors="replace"))


def are_points(runs: Sequence[Run]) -> bool:
    """Whether all of them have learnt points."""
    return all(run.config.dataset in POINTS for run in runs)


def comparable(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of what runs may share an axis of."""
    configs = [run.config for run in runs]
    games = {(c.objective, c.label_smoothing, c.label_flip) for c in configs}
    protocols = [protocol for run in runs for protocol in run.protocols]
    judges = {tuple(protocol.get(name) for name in _JUDGE) for protocol in protocols}
    losses = _LOSSES if len(games) == 1 else ()
    return (*losses, *(DECIDING if len(judges) < 2 else ()), *_CURVES)


def _groups(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of one length that differ by their seed alone, by the first one's name."""
    found: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        values = dataclasses.asdict(run.config)
        kept = tuple(x for x in values.items() if x[0] not in _ALIKE)
        found.setdefault(kept, []).append(run)
    return {
        members[0].name
        + (f" and {len(members) - 1} like it" if len(members) > 1 else ""): members
        for members in found.values()
    }


def _grids(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """At some budgets, the last grid of each run that is within it.

    The budgets are those of the shortest run, but for those that have diverged.
    """
    steps = [
        [x for x in run.folder.sample_steps() if is_picture(run.folder.sample_path(x))]
        for run in runs
    ]
    ends = [
        (run.diverged, images_seen(run.config, max(of)))
        for run, of in zip(runs, steps, strict=True)
        if of
    ]
    if not ends:
        return
    _, end = min(ends)
    shown: list[Any] = []
    for part in range(1, _MOMENTS + 1):
        budget = end * part // _MOMENTS
        cells = []
        for run, of in zip(runs, steps, strict=True):
            within = [x for x in of if images_seen(run.config, x) <= budget]
            last = max(within, default=0)
            uri = data_uri(sharpest(run.folder.sample_path(last))) if within else None
            cells.append({"name": run.name, "uri": uri, "step": last})
        if shown == (now := [cell["step"] for cell in cells]):
            continue  # grids are rarer than budgets
        shown = now
        yield {"budget": f"{budget:,}", "cells": cells}


def _chart(name: str, groups: Mapping[str, list[Run]]) -> dict[str, Any] | None:
    """A quantity of all groups over the images seen; None where no run has it."""
    curves = [_band(name, runs) for runs in groups.values()]
    known = [x for x in curves if x is not None]
    if not known:
        return None
    right = max(1, *(x[:, 0].max() for x in known))
    low, high = bulk(*(x[:, [1, 3]] for x in known))
    margin = 0.06 * (high - low) or abs(high) / 10
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return round(_LEFT + value / right * (_WIDTH - _LEFT - 12), 1)

    def y(value: float) -> float:
        return round(
            _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1
        )

    def line(xs: Any, ys: Any) -> str:
        return " ".join(f"{x(a)},{y(b)}" for a, b in zip(xs, ys, strict=True))

    return {
        "title": QUANTITIES[name].title,
        "curves": [
            {
                "stroke": _stroke(number),
                "middle": line(of[:, 0], of[:, 2]),
                "dot": (x(of[0, 0]), y(of[0, 2])) if len(of) == 1 else None,
                "band": line(of[:, 0], of[:, 1]) + " " + line(of[::-1, 0], of[::-1, 3]),
            }
            for number, of in enumerate(curves)
            if of is not None
        ],
        "ticks": [(y(tick), f"{tick:.4g}") for tick in _ticks(low, high)],
        "right": f"{right:,.0f}",
    }


def _stroke(number: int) -> dict[str, Any]:
    """How a line is drawn: by a colour; where colours repeat, by other dashes."""
    dashes = ("none", "7 4", "2 3", "9 3 2 3")
    again, colour = divmod(number, _COLOURS)
    return {"colour": f"var(--c{colour})", "dashes": dashes[again % len(dashes)]}


def _band(name: str, runs: Sequence[Run]) -> np.ndarray | None:
    """Images seen, and least, mean and largest value over the runs; in columns."""
    curves = []
    for run in runs:
        if points := series(run.records, name):
            seen = [(images_seen(run.config, step), value) for step, value in points]
            curves.append(np.array(seen, np.float64).T)
    if not curves:
        return None
    # Where all of them are: seeds need not have logged at the same steps.
    first = max(xs[0] for xs, _ in curves)
    last = max(min(xs[-1] for xs, _ in curves), first)
    where = np.unique(np.concatenate([xs for xs, _ in curves]))
    where = where[(where >= first) & (where <= last)]
    where = where[np.linspace(0, len(where) - 1, min(len(where), _POINTS)).astype(int)]
    values = np.stack([np.interp(where, xs, ys) for xs, ys in curves])
    return np.stack([where, values.min(0), values.mean(0), values.max(0)], axis=1)


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)]
