"""One page that shows a run: report.html, which needs no network and nothing else."""

import dataclasses
import html
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared import quantities, sizes
from shared.config.choices import ARRAYS, POINTS, portable_name
from shared.config.flags import flag, flag_words, twin_of
from shared.config.presets import changed_fields
from shared.config.train_config import TrainConfig
from shared.data import points
from shared.data.image_data import DataInfo
from shared.diagnosis.symptoms import LASTING_STEPS
from shared.diagnosis.watch import Watch
from shared.drawing.images import MOST_CLASS_ROWS
from shared.files.atomic import write_atomically
from shared.files.reading import read_file
from shared.plugins import Plugin
from shared.report import events, guide, tiles
from shared.report.pages import data_uri, is_picture, sharpest, template
from shared.run.run_dir import RunDir

FRAMEWORKS = {"gans_torch": "PyTorch", "gans_jax": "JAX"}
"""By the twin's package."""
# Of a remedy: a flag with its values.
_FLAGS = re.compile(r"(--[\w-]+(?: (?!or\b|smaller\b|--)[\w.-]+)*)")
# Charts that say nothing of the images.
_FOLDED = ("Images per second", "Waiting for the host")

# What a page may hold: a phone must be able to open it.
_MOST_FRAMES = 30
_FRAME_BYTES = 6_000_000
_MOST_POINTS = 1000
_MOST_PAGE_BYTES = 2**28


def write_report(run: RunDir, resume_command: str, prog: str) -> None:
    """Write ``report.html`` from what the run's folder holds.

    Args:
        run: the run's folder.
        resume_command: how to continue, with RUN for the folder, which the page
            replaces by the place that it is opened from.
        prog: the program that trained, such as ``gans_torch.train``.

    Raises:
        UsageError: the folder is damaged, or the page cannot be written.
    """
    config, data = run.config_file.read()
    metrics, samples = run.read_metrics(), run.read_sample_metrics()
    scores, evaluations = run.read_scores(), list(run.read_evaluations().values())
    watch = Watch(config, data)
    watch.replay(metrics, samples, scores, _class_scores(run))
    watch.conclude()
    diagnoses = sorted(watch.diagnoses.values(), key=lambda found: found.first)
    twin, plugin = twin_of(prog), run.config_file.plugin()
    rollbacks = run.config_file.rollbacks()
    are_points = config.dataset in POINTS
    step = max((r["step"] for r in [*metrics, *samples]), default=0)
    evaluate = f"python -m {twin}.evaluate RUN"
    if data.num_classes < 2 and not are_points:  # which need no classifier
        evaluate += " --features none"
    page = template("report.html").render(
        title=config.title,
        framework=_framework(twin),
        step=step,
        data=data,
        image_size=sizes.both(config.image_size),
        plugin=plugin,
        tiles=[
            tiles.score(scores, evaluations, evaluate),
            tiles.time_and_images(config, metrics, step),
            tiles.twins([_framework(x) for x in run.config_file.twins() or [twin]]),
            tiles.health(diagnoses, step, rollbacks),
        ],
        changed=changed_settings(config),
        settings={k: _text(v) for k, v in _portable(config).items()},
        diagnoses=diagnoses,
        lasting_steps=LASTING_STEPS,
        rollbacks=rollbacks,
        flags=_FLAGS,
        charts=list(_charts(config, [*metrics, *samples, *scores])),
        events=list(events.of_run(run, diagnoses, metrics)),
        scored=_joined(scores[-1].get("protocol", {})) if scores else "",
        evaluations=list(_evaluations(run)),
        quantities=quantities.QUANTITIES,
        frames=_frames(run),
        row_names=_row_names(config, data),
        pictures={
            name: data_uri(run.path / f"{name}.png")
            for name in ("real", "interpolation")
            if is_picture(run.path / f"{name}.png")
        },
        files=sorted(p.name for p in run.path.iterdir() if p.name in _LINKED),
        resume=_without_paths(resume_command),
        again=list(_train_commands(config, plugin)),
        are_points=are_points,
        sample=_sample_commands(twin, are_points) if run.checkpoint_steps() else [],
    )
    # A folder's name need not be UTF-8.
    write_atomically(run.path / "report.html", page.encode(errors="replace"))


def refresh_report(run: RunDir) -> None:
    """Write a page that is there anew, with what the run's folder holds now.

    Args:
        run: the run's folder; nothing happens where there is no page.

    Raises:
        UsageError: as `write_report`.
    """
    page = run.path / "report.html"
    # Only the page knows how the run was called.
    if page.is_file() and (found := _RESUME.search(_read_page(page))):
        write_report(run, html.unescape(found[1]), found[2])


def _read_page(page: Path) -> str:
    return read_file(page, most=_MOST_PAGE_BYTES).decode(errors="replace")


def changed_settings(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Settings that are not the preset's: flag, value, the preset's value."""
    shown = _portable(config)
    return [
        (flag(name), _text(shown[name]), _text(of_preset))
        for name, (_, of_preset) in changed_fields(config).items()
    ]


def _framework(twin: str) -> str:
    return FRAMEWORKS.get(twin, twin)


def _portable(config: TrainConfig) -> dict[str, Any]:
    """All settings, without where the images lie on this machine."""
    values = dataclasses.asdict(config)
    shown = {
        "dataset": portable_name(config.dataset),
        "image_size": sizes.text(config.image_size),
    }
    return values | shown


def _without_paths(command: str) -> str:
    """A command of which absolute paths keep the last part: a page is passed on."""
    if " -m " not in command:  # Python's own words
        return command
    words = [
        f"PATH/{Path(word).name}" if Path(word).is_absolute() else word
        for word in shlex.split(command)
    ]
    return shlex.join(words)


def _train_commands(config: TrainConfig, plugin: Plugin | None) -> Iterator[str]:
    """The commands that train the same, of both twins; none, of arrays in memory."""
    if config.dataset == ARRAYS:
        return
    settings = list(_settings(config))
    if plugin is not None:
        settings += flag_words("plugin", Path(plugin.file))
    for twin in FRAMEWORKS:
        yield shlex.join(["python", "-m", f"{twin}.train", *settings])


def _sample_commands(twin: str, are_points: bool) -> list[str]:
    draw = f"python -m {twin}.sample RUN"
    if are_points:
        return [f"{draw} --num {points.COUNTED}"]
    return [f"{draw} --num 100 --columns 10", f"{draw} --interpolate"]


def _settings(config: TrainConfig) -> Iterator[str]:
    """The words of a command that ask for a configuration."""
    changed = changed_fields(config)
    # One measure of the length replaces the other; else no flag says None.
    if any(changed[name][0] is None for name in changed.keys() - {"steps", "epochs"}):
        yield from ("--config", "config.json")
        return
    yield config.preset
    for name, (value, _) in changed.items():
        if value is not None:
            shown = portable_name(value) if name == "dataset" else value
            yield from flag_words(name, shown)


_RESUME = re.compile(r'id="resume">((?:python|torchrun|srun) [^<]*?-m ([\w.]+) [^<]*)<')

_LINKED = {
    *("config.json", "metrics.jsonl", "samples.jsonl", "scores.jsonl", "best.json"),
    *("losses.png", "samples.png", "samples.gif", "samples", "checkpoints", "drawn"),
}


def _charts(
    config: TrainConfig, records: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    ordered = sorted(records, key=lambda record: record["step"])
    for group in quantities.GROUPS:
        curves = [
            {
                "label": label,
                "meaning": quantities.QUANTITIES[name].meaning,
                "points": points,
            }
            for name, label in quantities.members(group.title).items()
            if (points := _points(ordered, name))
        ]
        if curves:
            yield {
                "title": group.title,
                "note": group.note,
                "guide": guide.sentence(config, group.title),
                "lines": [line._asdict() for line in guide.lines(config, group.title)],
                "log": group.log_scale,
                "folded": group.title in _FOLDED,
                "curves": curves,
            }


def _row_names(config: TrainConfig, data: DataInfo) -> list[str]:
    """Classes of the rows of a grid; none where rows are no classes."""
    if not config.conditional or config.dataset in POINTS:
        return []
    ids = range(min(data.num_classes, MOST_CLASS_ROWS))
    return [data.class_names[i] if data.class_names else str(i) for i in ids]


def _points(records: Sequence[Mapping[str, Any]], name: str) -> list[list[float]]:
    points = quantities.series(records, name)
    shown = (points[i] for i in _evenly(len(points), _MOST_POINTS))
    return [[step, float(f"{value:.5g}")] for step, value in shown]


def _frames(run: RunDir) -> list[dict[str, Any]]:
    steps = [x for x in run.sample_steps() if is_picture(run.sample_path(x))]
    if not steps:
        return []
    pictures = [sharpest(run.sample_path(step)) for step in steps]
    largest = max(picture.stat().st_size for picture in pictures)
    most = max(2, min(_MOST_FRAMES, _FRAME_BYTES // largest))
    return [
        {"step": steps[i], "uri": data_uri(pictures[i])}
        for i in _evenly(len(steps), most)
    ]


def _evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` positions, with the first and the last."""
    chosen = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return chosen.tolist()


def _evaluations(run: RunDir) -> Iterator[dict[str, Any]]:
    for path, stored in run.read_evaluations().items():
        name = path.stem.replace("evaluation", "nearest", 1)
        nearest = path.with_name(f"{name}.png")
        if not nearest.exists():  # of an older version, which had one for all
            nearest = run.path / f"nearest-{stored['step']:06d}.png"
        yield {
            "step": stored["step"],
            "scores": list(stored["scores"].values()),
            "protocol": _joined(stored["protocol"]),
            "warnings": stored.get("warnings", []),
            "sanity": stored.get("sanity", {}),
            "nearest": data_uri(nearest) if is_picture(nearest) else None,
        }


def _class_scores(run: RunDir) -> Iterator[dict[str, Any]]:
    """What later evaluations say of the classes, as records of scores.jsonl do."""
    # The others may have a scale of their own, such as batch_norm_gap.
    for stored in run.read_evaluations().values():
        scores = stored["scores"]
        found = {
            n: scores[n].get("value") for n in ("class_kl", "modes") if n in scores
        }
        yield {"step": stored["step"], **found}


def _joined(protocol: Mapping[str, Any]) -> str:
    shown = {name: _text(x) for name, x in protocol.items()}
    if "dataset" in shown:
        shown["dataset"] = portable_name(shown["dataset"])
    return "; ".join(f"{name}: {x}" for name, x in shown.items())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return str(value)
