"""One page that shows a run: report.html, which needs no network and nothing else."""

import base64
import dataclasses
import functools
import html
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from shared import quantities
from shared.config.choices import POINTS
from shared.config.presets import changed_fields
from shared.config.train_config import TrainConfig, flag
from shared.diagnosis.symptoms import LASTING_STEPS
from shared.diagnosis.watch import Watch
from shared.files.atomic import write_atomically
from shared.run.run_dir import RunDir

# What a page may hold: a phone must be able to open it.
_MOST_FRAMES = 30
_FRAME_BYTES = 6_000_000
_MOST_POINTS = 1000


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
    config, data = run.read_config()
    metrics, samples = run.read_metrics(), run.read_sample_metrics()
    scores = run.read_scores()
    watch = Watch(config, data)
    watch.replay(metrics, samples, scores, _class_scores(run))
    watch.conclude()
    twin = prog.partition(".")[0]
    are_points = config.dataset in POINTS
    draw = f"python -m {twin}.sample RUN"
    page = _template().render(
        title=config.title,
        framework={"gans_torch": "PyTorch", "gans_jax": "JAX"}.get(twin, twin),
        step=max((r["step"] for r in [*metrics, *samples]), default=0),
        last=metrics[-1] if metrics else {},
        data=data,
        plugin=run.read_plugin(),
        changed=changed_settings(config),
        settings={k: _text(v) for k, v in dataclasses.asdict(config).items()},
        diagnoses=sorted(watch.diagnoses.values(), key=lambda found: found.first),
        lasting_steps=LASTING_STEPS,
        rollbacks=run.read_rollbacks(),
        charts=list(_charts([*metrics, *samples, *scores])),
        scored=_joined(scores[-1].get("protocol", {})) if scores else "",
        evaluations=list(_evaluations(run)),
        frames=_frames(run),
        pictures={
            name: _data_uri(run.path / f"{name}.png")
            for name in ("real", "interpolation")
            if (run.path / f"{name}.png").is_file()
        },
        files=sorted(p.name for p in run.path.iterdir() if p.name in _LINKED),
        resume=resume_command,
        are_points=are_points,
        sample=[f"{draw} --num 2500"]
        if are_points
        else [f"{draw} --num 100 --columns 10", f"{draw} --interpolate"],
    )
    write_atomically(run.path / "report.html", page.encode())


def refresh_report(run: RunDir) -> None:
    """Write a page that is there anew, with what the run's folder holds now.

    Args:
        run: the run's folder; nothing happens where there is no page.

    Raises:
        UsageError: as `write_report`.
    """
    page = run.path / "report.html"
    # Only the page knows how the run was called.
    if page.is_file() and (found := _RESUME.search(page.read_text("utf-8"))):
        resume_command = html.unescape(found[1])
        write_report(run, resume_command, shlex.split(resume_command)[2])


def changed_settings(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Settings that are not the preset's: flag, value, the preset's value."""
    return [
        (flag(name), _text(value), _text(of_preset))
        for name, (value, of_preset) in changed_fields(config).items()
    ]


_RESUME = re.compile(r'id="resume">(python -m [^<]+)<')

_LINKED = {
    *("config.json", "metrics.jsonl", "samples.jsonl", "scores.jsonl", "best.json"),
    *("losses.png", "samples.png", "samples.gif", "samples", "checkpoints", "drawn"),
}


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _charts(records: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    ordered = sorted(records, key=lambda record: record["step"])
    for group in quantities.GROUPS:
        curves = [
            {"label": label, "points": points}
            for name, label in quantities.members(group.title).items()
            if (points := _points(ordered, name))
        ]
        if curves:
            yield {
                "title": group.title,
                "note": group.note,
                "log": group.log_scale,
                "curves": curves,
            }


def _points(records: Sequence[Mapping[str, Any]], name: str) -> list[list[float]]:
    # Of two values of a step, the later: scores come after what grids were measured.
    values = {
        r["step"]: r[name] for r in records if isinstance(r.get(name), int | float)
    }
    points = list(values.items())
    shown = (points[i] for i in _evenly(len(points), _MOST_POINTS))
    return [[step, float(f"{value:.5g}")] for step, value in shown]


def _frames(run: RunDir) -> list[dict[str, Any]]:
    steps = run.sample_steps()
    if not steps:
        return []
    largest = max(run.sample_path(step).stat().st_size for step in steps)
    most = max(2, min(_MOST_FRAMES, _FRAME_BYTES // largest))
    return [
        {"step": steps[i], "uri": _data_uri(run.sample_path(steps[i]))}
        for i in _evenly(len(steps), most)
    ]


def _evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` positions, with the first and the last."""
    chosen = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return chosen.tolist()


def _evaluations(run: RunDir) -> Iterator[dict[str, Any]]:
    for stored in run.read_evaluations():
        nearest = run.path / f"nearest-{stored['step']:06d}.png"
        yield {
            "step": stored["step"],
            "scores": list(stored["scores"].values()),
            "protocol": _joined(stored["protocol"]),
            "nearest": _data_uri(nearest) if nearest.is_file() else None,
        }


def _class_scores(run: RunDir) -> Iterator[dict[str, Any]]:
    """What later evaluations say of the classes, as records of scores.jsonl do."""
    # The others may have a scale of their own, such as batch_norm_gap.
    for stored in run.read_evaluations():
        scores = stored["scores"]
        found = {
            n: scores[n].get("value") for n in ("class_kl", "modes") if n in scores
        }
        yield {"step": stored["step"], **found}


def _joined(protocol: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_text(x)}" for name, x in protocol.items())


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return str(value)
