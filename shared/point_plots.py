"""Pictures of generated points: samples over the density, and D's landscape."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import images
from shared.points import PointScores

_LIMIT = 1.6
_RESOLUTION = 49


def plot_points(
    path: Path,
    real: NDArray[np.floating],
    fake: NDArray[np.floating],
    discriminate: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    scores: PointScores,
    title: str,
) -> None:
    """Write a picture: generated points over the real density; D and its gradient.

    Args:
        path: file to write, PNG.
        real: real points, shape [count, 2].
        fake: generated points, shape [count, 2].
        discriminate: from points [count, 2] to D's output before any sigmoid [count].
        scores: shown above the points.
        title: shown above D's landscape.
    """
    # Imported here: matplotlib takes a second to import. No pyplot: it keeps state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained", dpi=80)
    samples, landscape = figure.subplots(1, 2)
    edges = np.linspace(-_LIMIT, _LIMIT, 65)
    samples.hist2d(*real.T, bins=(edges, edges), cmap="Greys", cmin=1)
    samples.plot(*fake.T, ".", color="tab:red", markersize=2, alpha=0.5)
    modes = "" if scores.modes is None else f"{scores.modes} modes, "
    samples.set_title(f"{modes}{scores.high_quality:.0%} high quality")

    axis = np.linspace(-_LIMIT, _LIMIT, _RESOLUTION, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    height = discriminate(grid).reshape(_RESOLUTION, _RESOLUTION)
    drawn = landscape.contourf(axis, axis, height, levels=20, cmap="viridis")
    figure.colorbar(drawn, ax=landscape, label="D before the sigmoid")
    # Where G's points are pulled to: up the gradient of D.
    up, right = np.gradient(height, axis, axis)
    every = slice(2, None, 4)
    length = np.hypot(up, right) + 1e-12
    landscape.quiver(
        axis[every],
        axis[every],
        (right / length)[every, every],
        (up / length)[every, every],
        color="white",
        alpha=0.7,
        scale=30,
    )
    landscape.set_title(title)
    for axes in (samples, landscape):
        axes.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images.save_png(path, np.asarray(canvas.buffer_rgba())[..., :3])
