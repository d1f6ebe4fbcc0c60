"""Several runs side by side: a table of what differs, and their curves in one plot."""

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shared import terminal
from shared.config.train_config import TrainConfig
from shared.drawing.figures import save_figure
from shared.drawing.plots import moving_average
from shared.errors import UsageError
from shared.quantities import QUANTITIES
from shared.run.run_dir import RunDir

# What is drawn, if any run has it.
_CURVES = ("d_loss", "g_loss", "fid", "coverage", "modes", "high_quality")
# Last values, of those that any run has.
_FINAL = (
    *("d_loss", "g_loss", "diversity", "modes", "high_quality"),
    "images_per_second",
)
_MISSING = "-"


class Run(NamedTuple):
    """What a run left behind."""

    name: str
    """Its folder, shortened as far as the runs' names differ."""
    config: TrainConfig
    """Its configuration."""
    twins: list[str]
    """Which packages trained it, in turn."""
    records: list[dict[str, Any]]
    """Its metrics, and its scores while training."""
    evaluation: dict[str, Any]
    """Its last evaluation; empty without one."""


def compare(paths: Sequence[Path], out: Path) -> None:
    """Print a table of runs and write the picture of their curves.

    Args:
        paths: the runs' folders.
        out: the picture, a PNG file.

    Raises:
        UsageError: a folder holds no run, or what is damaged, or the picture cannot be
            written.
    """
    names = _names([path.resolve() for path in paths])
    runs = [_read(*pair) for pair in zip(names, paths, strict=True)]
    _plot(out, runs)
    terminal.say(f"written: {out}")
    sys.stdout.write(table(runs))


def table(runs: Sequence[Run]) -> str:
    """A column for each run, a row for each setting that differs and each result."""
    rows = [("", *(run.name for run in runs)), *_settings(runs), *_results(runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def _names(paths: Sequence[Path]) -> list[str]:
    """The last folders of each, as many as tell the runs apart."""
    longest = max(len(path.parts) for path in paths)
    for length in range(1, longest + 1):
        names = [str(Path(*path.parts[-length:])) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _read(name: str, path: Path) -> Run:
    run = RunDir.open(path)
    config, _ = run.read_config()
    evaluations = run.read_evaluations()
    evaluation = evaluations[-1] if evaluations else {}
    found = run.read_metrics() + run.read_sample_metrics() + run.read_scores()
    records = sorted(found, key=lambda record: record["step"])
    return Run(name, config, run.read_twins(), records, evaluation)


def _settings(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """The twin, the preset, and the settings that differ."""
    yield ("twin", *(", ".join(run.twins) or _MISSING for run in runs))
    for field in dataclasses.fields(TrainConfig):
        values = [str(getattr(run.config, field.name)) for run in runs]
        if field.name == "preset" or len(set(values)) > 1:
            yield (field.name, *values)


def _results(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    yield ("step", *(_number(_last(run, "step")) for run in runs))
    yield ("images seen", *(_images_seen(run) for run in runs))
    for name in _FINAL:
        values = [_last(run, name) for run in runs]
        if any(value is not None for value in values):
            yield (_label(name), *map(_number, values))
    scores = [run.evaluation.get("scores", {}) for run in runs]
    names = list(dict.fromkeys(name for of_run in scores for name in of_run))
    if names:
        yield ("evaluated step", *(_number(run.evaluation.get("step")) for run in runs))
    yield from _protocols(runs)
    for name in names:
        yield (name, *(_score(of_run.get(name)) for of_run in scores))


def _label(name: str) -> str:
    """A number's name; one that an evaluation gives too is told apart."""
    evaluated = "evaluation" in QUANTITIES[name].places
    return f"{name} while training" if evaluated else name


def _protocols(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """How the runs were evaluated, where it differs and scores cannot be compared."""
    protocols = [r.evaluation["protocol"] for r in runs if r.evaluation]
    for name in dict.fromkeys(name for protocol in protocols for name in protocol):
        if len({str(protocol.get(name)) for protocol in protocols}) > 1:
            values = [run.evaluation.get("protocol", {}).get(name) for run in runs]
            yield (name, *(_MISSING if x is None else str(x) for x in values))


def _images_seen(run: Run) -> str:
    """Real images that D was trained on: the budget that should be equal."""
    step = _last(run, "step")
    if step is None:
        return _MISSING
    config = run.config
    updates = -(-int(step) // config.d_every) * config.n_critic
    return f"{updates * config.batch_size:,}"


def _last(run: Run, name: str) -> float | None:
    values = [record[name] for record in run.records if record.get(name) is not None]
    return values[-1] if values else None


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.6g}"


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return _MISSING
    text = f"{score['value']:.4g}"
    interval = score["interval_95"]
    return text if interval is None else f"{text} ± {interval:.2g}"


def _plot(path: Path, runs: Sequence[Run]) -> None:
    # Matplotlib takes long to import.
    from matplotlib.figure import Figure

    curves = [name for name in _CURVES if any(_last(r, name) is not None for r in runs)]
    if not curves:
        raise UsageError("RUN: none of the runs has recorded anything yet")
    figure = Figure(figsize=(9, 2.8 * len(curves)), layout="constrained")
    all_axes = figure.subplots(len(curves), sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(all_axes, curves, strict=True):
        for number, run in enumerate(runs):
            points = [
                (r["step"], r[name]) for r in run.records if r.get(name) is not None
            ]
            if points:
                steps, values = zip(*points, strict=True)
                marker = "o" if len(points) < 30 else None
                axes.plot(
                    steps,
                    moving_average(values),
                    color=f"C{number}",  # the same in every panel
                    marker=marker,
                    # Of a name that begins with _ there would be no word.
                    label=f" {run.name}" if run.name[0] == "_" else run.name,
                )
        axes.set_ylabel(QUANTITIES[name].title)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].legend(frameon=False)
    all_axes[-1].set_xlabel("step")
    save_figure(path, figure)
