"""Points in the plane whose distribution is known: GANs that can be seen through.

A point is treated as an image of one pixel with two channels, so that every objective,
penalty and remedy applies to it unchanged.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.config.choices import POINTS
from shared.data.image_data import DataInfo, ImageData
from shared.randomness import noise

COUNT = 20_000
"""Points of each data set."""

COUNTED = 2500
"""Generated points that modes are counted in, as in Srivastava et al. 2017,
arXiv:1705.07761."""

_STD = {"ring": 0.04, "grid": 0.025, "swiss-roll": 0.02}


class PointScores(NamedTuple):
    """How good generated points are, against the distribution's own formula."""

    modes: int | None
    """Gaussians that are the nearest of a high-quality point; None for the spiral."""
    high_quality: float
    """Share of points within three standard deviations of a Gaussian's centre, or of
    the spiral."""


def load(name: str) -> ImageData:
    """The points of a data set, always the same; labels are the Gaussians' numbers.

    Args:
        name: one of `choices.POINTS`.
    """
    stream = POINTS.index(name)
    scatter = _STD[name] * noise.normal(0, "points", stream, COUNT, 2)
    labels, classes = None, 0
    if name == "swiss-roll":
        along = noise.uniform(0, "points", len(POINTS) + stream, COUNT)[:, 0]
        points = _spiral(along) + scatter
    else:
        modes = centres(name)
        classes = len(modes)
        labels = np.arange(COUNT, dtype=np.int32) % classes
        points = modes[labels] + scatter
    # There is no file to digest; the number changes with this function.
    info = DataInfo(channels=2, num_classes=classes, count=COUNT, sha256=f"{name}-1")
    images = points.astype(np.float32).reshape(COUNT, 1, 1, 2)
    return ImageData(images, labels, tuple(map(str, range(classes))), info)


def centres(name: str) -> NDArray[np.float64]:
    """Centres of the Gaussians of ``ring`` or ``grid``; shape [modes, 2]."""
    if name == "ring":
        angles = 2 * np.pi * np.arange(8) / 8
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    axis = np.linspace(-1.0, 1.0, 5)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def score(name: str, points: NDArray[np.floating]) -> PointScores:
    """Modes covered, and the share of high-quality points.

    Args:
        name: one of `choices.POINTS`.
        points: generated ones, shape [count, 2]; 2,500 are usual.

    References:
        Srivastava et al. 2017, arXiv:1705.07761, section 4.1 (VEEGAN): both measures,
        with three standard deviations.
    """
    on_spiral = name == "swiss-roll"
    targets = _spiral(np.linspace(0, 1, 2000)) if on_spiral else centres(name)
    distance = np.linalg.norm(points[:, None] - targets[None], axis=2)
    good = distance.min(axis=1) <= 3 * _STD[name]
    modes = None if on_spiral else len(np.unique(distance.argmin(axis=1)[good]))
    return PointScores(modes, float(good.mean()))


def _spiral(along: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points of the spiral, from its inner end (0) to its outer (1)."""
    turn = 1.5 * np.pi * (1 + 2 * along)
    return np.stack([turn * np.cos(turn), turn * np.sin(turn)], axis=1) / (4.5 * np.pi)
