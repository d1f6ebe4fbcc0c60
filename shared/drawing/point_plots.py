"""Pictures of generated points: samples over the density, and D's landscape."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.data.points import PointScores
from shared.drawing import images

_LIMIT = 1.6
_AXIS = np.linspace(-_LIMIT, _LIMIT, 49, dtype=np.float32)


def landscape_points() -> NDArray[np.float32]:
    """Where D's landscape is looked at; shape [count, 2]."""
    return np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2)


def plot_points(
    path: Path,
    real: NDArray[np.floating],
    fake: NDArray[np.floating],
    landscape: NDArray[np.floating],
    scores: PointScores,
    title: str,
) -> None:
    """Write a picture: generated points over the real density; D and its gradient.

    Args:
        path: file to write, PNG.
        real: real points, shape [count, 2].
        fake: generated points, shape [count, 2].
        landscape: D's outputs before any sigmoid at `landscape_points`.
        scores: shown above the points.
        title: shown above D's landscape.
    """
    # Imported here: matplotlib takes a second to import. No pyplot: it keeps state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained", dpi=80)
    samples, right_half = figure.subplots(1, 2)
    edges = np.linspace(-_LIMIT, _LIMIT, 65)
    samples.hist2d(*real.T, bins=(edges, edges), cmap="Greys", cmin=1)
    samples.plot(*fake.T, ".", color="tab:red", markersize=2, alpha=0.5)
    modes = "" if scores.modes is None else f"{scores.modes} modes, "
    samples.set_title(f"{modes}{scores.high_quality:.0%} high quality")

    height = landscape.reshape(len(_AXIS), len(_AXIS))
    drawn = right_half.contourf(_AXIS, _AXIS, height, levels=20, cmap="viridis")
    figure.colorbar(drawn, ax=right_half, label="D before the sigmoid")
    # Where G's points are pulled to: up the gradient of D.
    up, right = np.gradient(height, _AXIS, _AXIS)
    every = slice(2, None, 4)
    length = np.hypot(up, right) + 1e-12
    right_half.quiver(
        _AXIS[every],
        _AXIS[every],
        (right / length)[every, every],
        (up / length)[every, every],
        color="white",
        alpha=0.7,
        scale=30,
    )
    right_half.set_title(title)
    for axes in (samples, right_half):
        axes.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images.save_png(path, np.asarray(canvas.buffer_rgba())[..., :3])
