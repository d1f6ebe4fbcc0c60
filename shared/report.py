"""One page that shows a run: report.html, which needs no network and nothing else."""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from shared.config import TrainConfig
from shared.diagnosis import Watch
from shared.files import write_atomically
from shared.presets import PRESETS
from shared.run_dir import RunDir

# What a page may hold: a phone must be able to open it.
_MOST_FRAMES = 30
_FRAME_BYTES = 6_000_000
_MOST_POINTS = 1000


class _Chart(NamedTuple):
    title: str
    curves: dict[str, str]
    """Metrics and their labels."""
    note: str = ""
    log_scale: bool = False


_CHARTS = (
    _Chart("Losses", {"d_loss": "D", "g_loss": "G"}),
    _Chart(
        "Output of D",
        {
            "d_real": "D(x)",
            "d_fake_before": "D(G(z)) before D's update",
            "d_fake_after": "D(G(z)) after it",
        },
        "Probabilities, or a critic's scores.",
    ),
    _Chart(
        "Wasserstein estimate",
        {"wasserstein_estimate": "E D(x) - E D(G(z))"},
        "Falls as G gets better; its scale is the critic's own.",
    ),
    _Chart(
        "Penalty",
        {"penalty": "penalty", "gradient_norm": "norm of D's gradient in its input"},
        "WGAN's penalties hold the norm near 1.",
    ),
    _Chart(
        "Gradients of the weights",
        {"d_grad_norm": "D", "g_grad_norm": "G"},
        "Global norms, before clipping.",
        log_scale=True,
    ),
    _Chart(
        "Samples",
        {"diversity": "diversity", "batch_norm_gap": "gap between batch norm's modes"},
        "Diversity is the mean distance of two images of a row of the grid; both are"
        " shares of that distance among real images.",
    ),
    _Chart(
        "Further terms",
        {
            "feature_gap": "feature matching",
            "d_class_loss": "classes, D",
            "g_class_loss": "classes, G",
        },
    ),
    _Chart("Images per second", {"images_per_second": "seen by D"}),
)


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
    watch = Watch(config)
    watch.replay(metrics, samples)
    twin = prog.partition(".")[0]
    page = _template().render(
        title=f"{config.preset} on {config.dataset}",
        framework={"gans_torch": "PyTorch", "gans_jax": "JAX"}.get(twin, twin),
        step=max((r["step"] for r in [*metrics, *samples]), default=0),
        last=metrics[-1] if metrics else {},
        data=data,
        changed=changed_settings(config),
        settings={k: _text(v) for k, v in dataclasses.asdict(config).items()},
        findings=sorted(watch.findings.values(), key=lambda finding: finding.first),
        charts=_charts(metrics, samples, run.read_scores()),
        evaluations=_evaluations(run.path),
        frames=_frames(run),
        pictures={
            name: _data_uri(run.path / f"{name}.png")
            for name in ("real", "interpolation")
            if (run.path / f"{name}.png").is_file()
        },
        files=sorted(p.name for p in run.path.iterdir() if p.name in _LINKED),
        resume=resume_command,
        sample=f"python -m {twin}.sample RUN --num 100 --columns 10",
        interpolate=f"python -m {twin}.sample RUN --interpolate",
    )
    write_atomically(run.path / "report.html", page.encode())


def changed_settings(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Settings that are not the preset's: flag, value, the preset's value."""
    preset = PRESETS.get(config.preset, TrainConfig())
    fields = [field.name for field in dataclasses.fields(config)]
    return [
        (_flag(name), _text(getattr(config, name)), _text(getattr(preset, name)))
        for name in fields
        if getattr(config, name) != getattr(preset, name)
    ]


_LINKED = {
    *("config.json", "metrics.jsonl", "samples.jsonl", "scores.jsonl", "best.json"),
    *("losses.png", "samples.png", "samples.gif", "samples", "checkpoints", "drawn"),
}


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shared"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _charts(
    metrics: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    names = {
        name: None
        for record in scores
        for name, value in record.items()
        if name != "step" and isinstance(value, int | float)
    }
    score_charts = [_Chart(f"Score: {name}", {name: name}) for name in names]
    drawn = []
    for records, charts in ((scores, score_charts), ((*metrics, *samples), _CHARTS)):
        for chart in charts:
            curves = [
                {"label": label, "points": points}
                for name, label in chart.curves.items()
                if (points := _points(records, name))
            ]
            if curves:
                drawn.append(
                    {
                        "title": chart.title,
                        "note": chart.note,
                        "log": chart.log_scale,
                        "curves": curves,
                    }
                )
    return drawn


def _points(records: Sequence[Mapping[str, Any]], name: str) -> list[list[float]]:
    points = [
        [r["step"], float(f"{r[name]:.5g}")]
        for r in records
        if isinstance(r.get(name), int | float)
    ]
    return [points[i] for i in _evenly(len(points), _MOST_POINTS)]


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


def _evaluations(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("evaluation-*.json")):
        stored = json.loads(path.read_text("utf-8"))
        protocol = stored["protocol"].items()
        scores = [
            {
                "name": name,
                "value": _text(score["value"])
                + (f" ± {score['interval_95']:.2g}" if score["interval_95"] else ""),
                "protocol": score["protocol"],
            }
            for name, score in stored["scores"].items()
        ]
        joined = "; ".join(f"{name}: {_text(value)}" for name, value in protocol)
        found.append({"step": stored["step"], "scores": scores, "protocol": joined})
    return found


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return str(value)
