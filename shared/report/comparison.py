"""Several runs side by side: a table of what differs, and their curves in one plot."""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared import terminal
from shared.config.choices import portable_name
from shared.config.flags import spelled
from shared.config.schedules import images_seen
from shared.config.train_config import TrainConfig
from shared.drawing.figures import panels, plain_style, save_figure
from shared.drawing.plots import running_median, set_range
from shared.errors import UsageError
from shared.evaluation.evaluation import NOT_MEANINGFUL
from shared.files.atomic import make_folder
from shared.quantities import QUANTITIES, series
from shared.report.comparison_page import Run, are_points, comparable, write_page
from shared.run.evaluations import StoredScore
from shared.run.outputs import check_file, check_not_own, writing
from shared.run.run_dir import RunDir
from shared.words import legible

# Last values, of those that any run has.
_FINAL = (
    *("d_loss", "g_loss", "diversity", "fid", "coverage", "modes", "high_quality"),
    "images_per_second",
)
_MISSING = "-"
_LINES = ("-", "--", ":", "-.")


def compare(paths: Sequence[Path], out: Path) -> None:
    """Print a table of runs, and write the picture of their curves and a page.

    Args:
        paths: the runs' folders.
        out: the picture, a PNG file; the page is beside it, and called alike.

    Raises:
        UsageError: a folder holds no run, or what is damaged, or the picture or page
            cannot be written, or would replace a run's own.
    """
    page = out.with_suffix(".html")
    check_file(out, ".png")
    check_not_own(out, page)
    # Unlike `Path.resolve`, it takes links in a circle. A run named twice is one.
    places = {Path(os.path.realpath(path)): path for path in reversed(paths)}
    paths = list(places.values())[::-1]
    names = _names(list(places)[::-1])
    runs = [_read(*pair) for pair in zip(names, paths, strict=True)]
    sys.stdout.write(table(runs))  # first: it needs no disk
    _plot(out, runs)
    with writing(page):
        write_page(page, runs, _rows(runs))
    terminal.say(f"written: {legible(out)} and {legible(page)}")


def table(runs: Sequence[Run]) -> str:
    """A column for each run, a row for each setting that differs and each result."""
    rows = [[legible(cell) for cell in row] for row in _rows(runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def _rows(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    return [("", *(run.name for run in runs)), *_settings(runs), *_results(runs)]


def _names(paths: Sequence[Path]) -> list[str]:
    """The last folders of each, as many as tell the runs apart."""
    longest = max(len(path.parts) for path in paths)
    by_length = (
        [str(Path(*path.parts[-length:])) for path in paths]
        for length in range(1, longest + 1)
    )
    return next(names for names in by_length if len(set(names)) == len(set(paths)))


def _read(name: str, path: Path) -> Run:
    run = RunDir.open(path)
    config, _ = run.config_file.read()
    evaluations = list(run.read_evaluations().values())
    evaluation = evaluations[-1] if evaluations else None
    metrics = run.read_metrics()
    diverged = any("diverged" in record for record in metrics[-1:])
    found = metrics + run.read_sample_metrics() + run.read_scores()
    records = sorted(found, key=lambda record: record["step"])
    twins, rollbacks = run.config_file.twins(), len(run.config_file.rollbacks())
    return Run(name, run, config, twins, records, evaluation, rollbacks, diverged)


def _settings(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    """The twin, the preset, and the settings that differ."""
    yield ("twin", *(", ".join(run.twins) or _MISSING for run in runs))
    for field in dataclasses.fields(TrainConfig):
        values = [_setting(run.config, field.name) for run in runs]
        if field.name == "preset" or len(set(values)) > 1:
            yield (field.name, *values)


def _setting(config: TrainConfig, name: str) -> str:
    value = getattr(config, name)
    if name == "dataset":  # the page is passed on
        return portable_name(value)
    return spelled(name, value) if name == "image_size" else str(value)


def _results(runs: Sequence[Run]) -> Iterator[tuple[str, ...]]:
    yield ("step", *(_number(_last(run, "step")) for run in runs))
    seen = "points" if are_points(runs) else "images"
    yield (f"{seen} seen", *(_images_seen(run) for run in runs))
    if any(run.health for run in runs):
        yield ("health", *(run.health or _MISSING for run in runs))
    for name in _FINAL:
        values = [_last(run, name) for run in runs]
        if any(value is not None for value in values):
            yield (_label(name), *map(_number, values))
    scored = [run.protocols[-1] if run.protocols else None for run in runs]
    for name, *values in _differing(scored):
        yield (f"{name} while training", *values)
    scores = [run.evaluation["scores"] if run.evaluation else {} for run in runs]
    names = list(dict.fromkeys(name for of_run in scores for name in of_run))
    if names:
        steps = [run.evaluation["step"] if run.evaluation else None for run in runs]
        yield ("evaluated step", *map(_number, steps))
    yield from _differing([r.evaluation and r.evaluation["protocol"] for r in runs])
    for name in names:
        yield (name, *(_score(of_run.get(name)) for of_run in scores))


def _label(name: str) -> str:
    """A number's name; one that an evaluation gives too is told apart."""
    evaluated = "evaluation" in QUANTITIES[name].places
    return f"{name} while training" if evaluated else name


def _differing(
    protocols: Sequence[Mapping[str, str | float] | None],
) -> Iterator[tuple[str, ...]]:
    """How the runs were scored, where it differs and scores cannot be compared."""
    known = [protocol for protocol in protocols if protocol is not None]
    for name in dict.fromkeys(name for protocol in known for name in protocol):
        if len({str(protocol.get(name)) for protocol in known}) > 1:
            values = [(protocol or {}).get(name) for protocol in protocols]
            yield (name, *(_MISSING if x is None else str(x) for x in values))


def _images_seen(run: Run) -> str:
    step = _last(run, "step")
    return _MISSING if step is None else f"{images_seen(run.config, int(step)):,}"


def _last(run: Run, name: str) -> float | None:
    points = series(run.records, name)
    return points[-1][1] if points else None


def _number(value: float | None) -> str:
    if isinstance(value, int):
        return str(value)
    return _MISSING if value is None else f"{value:.6g}"


def _score(score: StoredScore | None) -> str:
    if score is None or score["value"] is None:
        return _MISSING
    if score["shown"] == NOT_MEANINGFUL:
        return NOT_MEANINGFUL
    text = f"{score['value']:.4g}"
    interval = score["interval_95"]
    return text if interval is None else f"{text} ± {interval:.2g}"


@plain_style()
def _plot(path: Path, runs: Sequence[Run]) -> None:
    curves = [
        name
        for name in comparable(runs)
        if any(_last(run, name) is not None for run in runs)
    ]
    if not curves:
        raise UsageError("RUN: none of the runs has recorded anything to compare yet")
    figure, all_axes = panels(len(curves), 2.8)
    for axes, name in zip(all_axes, curves, strict=True):
        for number, run in enumerate(runs):
            if points := series(run.records, name):
                steps, values = zip(*points, strict=True)
                marker = "o" if len(points) < 30 else None
                axes.plot(
                    steps,
                    running_median(values),
                    # The same in every panel; there are ten colours.
                    color=f"C{number}",
                    linestyle=_LINES[number // 10 % len(_LINES)],
                    marker=marker,
                    label=run.label,
                )
        set_range(axes, *(line.get_ydata() for line in axes.get_lines()))
        axes.set_ylabel(QUANTITIES[name].title)
    found = (axes.get_legend_handles_labels() for axes in all_axes)
    curve = {label: line for of in found for line, label in zip(*of, strict=True)}
    shown = [run.label for run in runs if run.label in curve]
    all_axes[0].legend([curve[x] for x in shown], shown, frameon=False)
    with writing(path):
        make_folder(path.parent)
        save_figure(path, figure)
