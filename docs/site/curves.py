"""Trains for docs/reading_curves.md: ``python docs/site/curves.py``, ten minutes.

Each objective on the ring, once as it goes well and once as it does not; the page's
picture and table come from these runs. Another processor rounds otherwise, and ends
with other numbers.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from shared import quantities
from shared.config.traits import OBJECTIVES
from shared.drawing.figures import new_figure, plain_style, save_figure, with_grid
from shared.drawing.plots import set_range
from shared.run.run_dir import RunDir

PAGE = Path(__file__).parents[1] / "reading_curves.md"
PICTURE = PAGE.parent / "images" / "curves.png"

_STEPS = 600
# A D that learns too seldom, and momentum; of critics, a bound that is none.
_HEALTHY, _SICK = "", "--width 64 --adam-betas 0.9 0.999 --d-every 3"
_HEALTHY_CRITIC = "--penalty wgan-gp --n-critic 5"
_SICK_CRITIC = "--weight-clip 0.5 --n-critic 5"
_ROW = "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} |\n"
_TABLE = re.compile(r"(?<=\| --- \|\n)(\| `[\w-]+`( \| [^|\n]+){8} \|\n)+")


def flags(objective: str) -> tuple[str, str]:
    """What a healthy run of an objective is trained with, and a sick one."""
    both = f"ring --objective {objective}"
    critic = OBJECTIVES[objective].wasserstein
    states = (_HEALTHY_CRITIC, _SICK_CRITIC) if critic else (_HEALTHY, _SICK)
    healthy, sick = (f"{both} {state} --steps {_STEPS}" for state in states)
    return " ".join(healthy.split()), sick


def trained(what: str, path: Path) -> RunDir:
    """A run of the PyTorch twin with one thread."""
    command = [sys.executable, "-m", "gans_torch.train", *what.split()]
    command += ["--evaluate-every", "200", "--run-dir", str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return RunDir.open(path)


def cells(run: RunDir) -> list[str]:
    """Of a run: medians of both losses in its last quarter, modes, good points."""
    late = [x for x in run.read_metrics() if x["step"] > 0.75 * _STEPS]
    losses = [f"{median(x[name] for x in late):.2f}" for name in ("d_loss", "g_loss")]
    scores = run.read_scores()[-1]
    return [*losses, f"{scores['modes']:.0f}", f"{scores['high_quality']:.0%}"]


@plain_style()
def draw(runs: Mapping[str, Sequence[RunDir]]) -> None:
    """Both losses of each run beside those of its sick twin, a row an objective."""
    figure = new_figure(9, 1.9 * len(runs))
    rows = figure.subplots(len(runs), 2, sharex=True, squeeze=False)
    for row, (objective, pair) in zip(rows, runs.items(), strict=True):
        for axes, run in zip(row, pair, strict=True):
            _draw_losses(axes, objective, run)
        row[0].set_ylabel(objective)
    for axes, state in zip(rows[0], ("healthy", "sick"), strict=True):
        axes.set_title(state, loc="left")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, ncols=2)
    for axes in rows[-1]:
        axes.set_xlabel("step")
    save_figure(PICTURE, figure)


def _draw_losses(axes: Any, objective: str, run: RunDir) -> None:
    traits = OBJECTIVES[objective]
    ends = {"d_loss": traits.chance_loss, "g_loss": traits.g_chance_loss}
    metrics, curves = run.read_metrics(), []
    for name, label in quantities.members("Losses").items():
        steps, values = np.array(quantities.series(metrics, name)).T
        (line,) = axes.plot(steps, values, label=label)
        curves.append(values)
        if (end := ends[name]) is not None:
            axes.axhline(end, color=line.get_color(), linewidth=0.8, linestyle="--")
    set_range(axes, *curves)
    with_grid(axes)


def main() -> None:
    """Train, draw, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            objective: [
                trained(what, Path(folder) / f"{objective}-{place}")
                for place, what in enumerate(flags(objective))
            ]
            for objective in OBJECTIVES
        }
        draw(runs)
        table = "".join(
            _ROW.format(objective, *cells(healthy), *cells(sick))
            for objective, (healthy, sick) in runs.items()
        )
    page = PAGE.read_text(encoding="utf-8")
    written, count = _TABLE.subn(lambda _: table, page)
    assert count == 1, "the page has one table of eight numbers in a row"
    PAGE.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
