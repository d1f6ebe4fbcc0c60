"""Plots of a run's losses."""

import bisect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import quantities
from shared.drawing.figures import panels, plain_style, save_figure

# Here is the room to spell them out.
_NETWORKS = {"D": "discriminator", "G": "generator"}


@plain_style()
def plot_losses(
    path: Path,
    metrics: Sequence[Mapping[str, Any]],
    title: str,
    chance: float | None,
) -> None:
    """Write a plot of a run: both losses above, what D says below.

    Below are the Wasserstein estimate of a critic, or D's mean outputs on real and
    generated images. Thin lines are the records, thick ones their running medians.

    Args:
        path: the file (PNG).
        metrics: records with ``step`` and the metrics of that step; a metric may be
            missing or None in some or all of them.
        title: line above the plot.
        chance: D's output where it cannot tell samples apart; None: it has no scale.

    Raises:
        UsageError: the file cannot be written.
    """
    losses = quantities.members("Losses")
    losses = {name: _NETWORKS[label] for name, label in losses.items()}
    lower = quantities.members("Wasserstein estimate")
    if not _recorded(metrics, lower):
        lower = quantities.members("Output of D")
    shown = [("loss", losses)]
    if _recorded(metrics, lower):
        shown.append(("output of D", lower))
    figure, all_axes = panels(len(shown), 3.4)
    for axes, (name, curves) in zip(all_axes, shown, strict=True):
        _plot_panel(axes, metrics, curves, chance if "d_real" in curves else None)
        axes.set_ylabel(name)
    all_axes[0].set_title(title, loc="left")
    save_figure(path, figure)


def _recorded(metrics: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> bool:
    return any(quantities.series(metrics, name) for name in names)


def _plot_panel(
    axes: Any,
    metrics: Sequence[Mapping[str, Any]],
    curves: Mapping[str, str],
    chance: float | None,
) -> None:
    colours = ("tab:blue", "tab:orange", "tab:green")
    everything = []
    for colour, (name, label) in zip(colours, curves.items(), strict=False):
        points = quantities.series(metrics, name)
        if not points:
            continue
        steps, values = np.array(points, np.float64).T
        everything.append(values)
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
        # A line through one point would show nothing.
        marker = "o" if len(values) < 3 else None
        axes.plot(
            steps,
            running_median(values),
            color=colour,
            linewidth=1.8,
            marker=marker,
            label=label,
        )
    if everything:
        _set_range(axes, np.concatenate(everything), chance)
        # Above the panel, where no curve can run.
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0,
            frameon=False,
            ncols=len(curves),
        )


def _set_range(axes: Any, values: NDArray[np.float64], chance: float | None) -> None:
    """Choose the vertical range; probabilities get their own, and a line at chance."""
    if chance is not None:
        axes.axhline(chance, color="black", linewidth=0.8, linestyle="--", alpha=0.6)
        if values.min() >= 0 and values.max() <= 1:
            axes.set_ylim(-0.02, 1.02)  # both ends may have a curve on them
            return
    set_range(axes, values)


def set_range(axes: Any, *curves: NDArray[np.float64]) -> None:
    """Choose the vertical range of a panel, as `bulk` has it.

    Args:
        axes: the panel.
        *curves: values of all that is drawn in it.
    """
    low, high = bulk(*curves)
    margin = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def bulk(*curves: NDArray[np.float64]) -> tuple[float, float]:
    """From where to where curves run, but for a few wild values of each.

    Those, as on the first steps, must not flatten all the others. As in report.html,
    they are one in 200 at either end.

    Args:
        *curves: values; a long curve hides no short one.
    """
    ordered = [np.sort(values, axis=None) for values in curves]
    low = min(values[len(values) // 200] for values in ordered)
    high = max(values[-1 - len(values) // 200] for values in ordered)
    # All 0, as shares are at first: up from there, as they cannot fall.
    return (low, high) if low or high else (0.0, 1.0)


def running_median(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Centred running median over a twentieth of the run; shorter at both ends.

    As the page of a run has it. A single spike leaves no plateau, as it does in a mean.
    """
    half, last = len(values) // 40, len(values) - 1
    near: list[float] = []  # in ascending order, values from begin to end
    begin = end = 0
    medians = []
    for i in range(len(values)):
        reach = min(half, i, last - i)
        for value in values[end : i + reach + 1]:
            bisect.insort(near, value)
        for value in values[begin : i - reach]:
            del near[bisect.bisect_left(near, value)]
        begin, end = i - reach, i + reach + 1
        medians.append(near[reach])
    return medians
