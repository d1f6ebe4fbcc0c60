"""Texts in plots are what they are: no formula, no warnings, whatever the letters."""

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.drawing.figures import prepare
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
