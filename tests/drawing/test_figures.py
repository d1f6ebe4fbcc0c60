"""Texts in plots are what they are: no formula, no warnings, whatever the letters."""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

from shared.data.points import PointScores
from shared.drawing.figures import prepare
from shared.drawing.plots import plot_losses
from shared.drawing.point_plots import (
    Scene,
    landscape_points,
    plot_points,
    plot_vectors,
)
from shared.report import comparison
from shared.report.comparison import Run

RECORDS = [{"step": 1, "d_loss": 1.0, "g_loss": 2.0}]
NAMES = [
    r"cost_$5_and_$x^",
    r"a$\b_{",
    "猫の写真",
    "_hidden",
    "\\frac$\\frac$",
    "utf\udce9",
]
# A user's matplotlibrc may say so; LaTeX need not be here.
_STYLE: dict[Any, Any] = {"text.usetex": True, "font.size": 30.0, "axes.grid": True}


def test_a_home_that_cannot_be_written_is_not_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    homes = {
        name: str(tmp_path / "file" / "x")
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    }
    program = "from shared.drawing.figures import panels; panels(1, 2.0)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | homes,
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("level", [logging.NOTSET, logging.DEBUG])
def test_a_program_that_wants_matplotlibs_log_has_it(
    level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logging.getLogger("matplotlib")
    monkeypatch.setattr(log, "level", level)
    prepare()
    assert log.level == (level or logging.ERROR)


def test_a_users_style_is_in_no_picture(tmp_path: Path) -> None:
    points = np.zeros((4, 2), np.float32)
    landscape = landscape_points().sum(-1)
    scores = PointScores(modes=None, high_quality=1.0)
    scene = Scene(points, points, landscape, scores, "title")
    draw: dict[str, Callable[[Path], None]] = {
        "losses.png": lambda path: plot_losses(path, RECORDS, "title", None),
        "points.png": lambda path: plot_points(path, scene),
        "points.svg": lambda path: plot_vectors(path, scene),
    }
    for name, write in draw.items():
        write(tmp_path / name)
        with matplotlib.rc_context(_STYLE):
            write(tmp_path / f"styled-{name}")
            assert {x: matplotlib.rcParams[x] for x in _STYLE} == _STYLE
        plain = (tmp_path / name).read_bytes()
        assert (tmp_path / f"styled-{name}").read_bytes() == plain, name


@pytest.mark.parametrize("name", NAMES)
def test_any_title_can_be_drawn(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_losses(tmp_path / "losses.png", RECORDS, name, None)
    plot_losses(tmp_path / "plain.png", RECORDS, "", None)
    titled, plain = (
        np.asarray(Image.open(tmp_path / f"{x}.png").convert("L"))
        for x in ("losses", "plain")
    )
    rows, columns = np.nonzero(titled != plain)
    # A line of text at the top, with all of its letters, and nothing else.
    assert rows.max() < 40
    assert np.ptp(columns) > 8 * len(name)


def test_any_run_can_be_compared(finished: Path, tmp_path: Path) -> None:
    run = comparison._read("plain", finished)
    with matplotlib.rc_context(_STYLE):
        comparison._plot(tmp_path / "styled.png", [run])
    runs = [Run(name, *run[1:]) for name in NAMES]
    comparison._plot(tmp_path / "a.png", [run])
    comparison._plot(tmp_path / "b.png", runs)
    a, b, styled = (
        (tmp_path / f"{name}.png").read_bytes() for name in ("a", "b", "styled")
    )
    assert a == styled != b
