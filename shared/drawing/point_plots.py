"""Pictures of generated points: samples over the density, and D's landscape."""

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.data.points import PointScores
from shared.drawing import images
from shared.drawing.figures import new_figure, plain_style
from shared.files.atomic import write_atomically

_LIMIT = 1.6
_AXIS = np.linspace(-_LIMIT, _LIMIT, 49, dtype=np.float32)
_EDGES = np.linspace(-_LIMIT, _LIMIT, 65)


class Scene(NamedTuple):
    """What is drawn of points."""

    real: NDArray[np.floating]
    """Real points, shape [count, 2]."""
    fake: NDArray[np.floating]
    """Generated points, shape [count, 2]."""
    landscape: NDArray[np.floating]
    """D's outputs before any sigmoid at `landscape_points`."""
    scores: PointScores
    """Shown above the points."""
    title: str
    """Shown above D's landscape."""


def landscape_points() -> NDArray[np.float32]:
    """Where D's landscape is looked at; shape [count, 2]."""
    return np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2)


@plain_style()
def plot_points(path: Path, scene: Scene) -> None:
    """Write a picture: generated points over the real density; D and its gradient.

    Args:
        path: file to write, PNG.
        scene: what it shows.
    """
    figure = new_figure(10, 5, dpi=80)
    # After what prepares for the first import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    samples, _ = figure.subplots(1, 2)
    samples.hist2d(*scene.real.T, bins=(_EDGES, _EDGES), cmap="Greys", cmin=1)
    samples.plot(*scene.fake.T, ".", color="tab:red", markersize=2, alpha=0.5)
    _finish(figure, scene, levels=20)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    images.save_png(path, np.asarray(canvas.buffer_rgba())[..., :3])


@plain_style()
def plot_vectors(path: Path, scene: Scene) -> None:
    """Write what `plot_points` does as vectors, for a page: the density as contours.

    The same points make the same bytes, about twice as many as the other picture has.

    Args:
        path: file to write, SVG.
        scene: what it shows.
    """
    figure = new_figure(10, 5)
    import matplotlib  # likewise

    samples, _ = figure.subplots(1, 2)
    # The histogram's cells would be a path each, and so would the points be.
    density, *_ = np.histogram2d(*scene.real.T, bins=(_EDGES, _EDGES))
    middles = (_EDGES[1:] + _EDGES[:-1]) / 2
    levels = np.linspace(0.05, 1, 8) * max(density.max(), 1)
    samples.contourf(middles, middles, density.T, levels=levels, cmap="Greys")
    samples.add_patch(_dots(scene.fake))
    _finish(figure, scene, levels=12)
    buffer = io.BytesIO()
    # Ids are random and the date is told, unless one asks; letters stay letters.
    settings = {"svg.hashsalt": "points", "svg.fonttype": "none"}
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = re.sub(r'(?<= d=")[^"]+', _shorten, buffer.getvalue().decode())
    write_atomically(path, drawn.encode())


def _shorten(found: re.Match[str]) -> str:
    """A path in a third of the bytes: a tenth of a point is less than anybody sees."""
    path = re.sub(r"(\.\d)\d+", r"\1", found[0]).replace(" \n", "")
    return re.sub(r"M (\S+ [\d.]+)L \1(?![\d.])", r"M\1h0", path)


def _dots(points: NDArray[np.floating]) -> Any:
    """Points as a single path: lines that go nowhere, with round ends."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Line

    line = Line(
        points.repeat(2, axis=0), np.resize([Line.MOVETO, Line.LINETO], 2 * len(points))
    )
    line.should_simplify = False
    return PathPatch(
        line, color="tab:red", fill=False, linewidth=1.4, alpha=0.6, capstyle="round"
    )


def _finish(figure: Any, scene: Scene, levels: int) -> None:
    """Draw D's landscape beside the points, and what is told of both."""
    samples, right_half = figure.axes
    scores = scene.scores
    modes = ""
    if scores.modes is not None:
        modes = f"{scores.modes} mode{'' if scores.modes == 1 else 's'}, "
    samples.set_title(f"{modes}{scores.high_quality:.0%} high quality")

    height = scene.landscape.reshape(len(_AXIS), len(_AXIS))
    drawn = right_half.contourf(_AXIS, _AXIS, height, levels=levels, cmap="viridis")
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
    right_half.set_title(scene.title)
    for axes in (samples, right_half):
        axes.set(xlim=(-_LIMIT, _LIMIT), ylim=(-_LIMIT, _LIMIT), aspect="equal")
