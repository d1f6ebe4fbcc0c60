"""Plots of points as vectors: the same bytes each time, small, and all of it there."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from shared.data.points import PointScores
from shared.drawing import point_plots

_RNG = np.random.default_rng(0)
_REAL = _RNG.normal(0, 0.5, (20000, 2))
_FAKE = np.clip(_REAL[:2500], -1.5, 1.5)
_LANDSCAPE = 0.04 * np.sin(3 * point_plots.landscape_points()[:, 0])
_SVG = "{http://www.w3.org/2000/svg}"


def _plotted(path: Path, modes: int = 7) -> bytes:
    scores = PointScores(modes=modes, high_quality=0.5)
    title = "D after 3 steps"
    scene = point_plots.Scene(_REAL, _FAKE, _LANDSCAPE, scores, title)
    point_plots.plot_vectors(path, scene)
    return path.read_bytes()


def test_a_plot_of_vectors_is_small_and_tells_no_time(tmp_path: Path) -> None:
    drawn = _plotted(tmp_path / "a.svg")
    assert drawn == _plotted(tmp_path / "b.svg")
    assert len(drawn) < 200_000
    assert not re.search(rb"<image|data:|dc:date|Matplotlib", drawn)


def test_a_plot_of_vectors_has_every_point_and_every_word(tmp_path: Path) -> None:
    drawn = _plotted(tmp_path / "a.svg")
    root = ElementTree.fromstring(drawn)
    texts = [x.text for x in root.iter(f"{_SVG}text")]
    assert {"7 modes, 50% high quality", "D after 3 steps"} <= set(texts)
    assert b">1 mode, 50% high quality<" in _plotted(tmp_path / "b.svg", modes=1)
    # What a number loses in a path, it keeps in a label.
    assert {"1.5", "0.016"} <= set(texts)
    paths = [x.get("d", "") for x in root.iter(f"{_SVG}path")]
    dots = max(paths, key=lambda path: path.count("h0"))
    found = np.array(re.findall(r"M(\S+) (\S+?)h0", dots), np.float64)
    assert len(found) == len(_FAKE)
    # Up to the scale, they are where they were: y points down.
    for seen, meant in zip(found.T, (_FAKE[:, 0], -_FAKE[:, 1]), strict=True):
        np.testing.assert_allclose(
            (seen - seen.min()) / np.ptp(seen),
            (meant - meant.min()) / np.ptp(meant),
            atol=0.001,
        )
