"""Texts in plots are what they are: no formula, no warnings, whatever the letters."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.drawing.plots import plot_losses
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
    runs = [Run(name, *run[1:]) for name in NAMES]
    comparison._plot(tmp_path / "a.png", [run])
    comparison._plot(tmp_path / "b.png", runs)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
