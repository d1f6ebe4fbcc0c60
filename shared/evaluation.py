"""The command ``evaluate``: a table of scores, and the same as a file in the run."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from shared import checkpoint, datasets, images, metrics, report
from shared.backend import Backend, DataInfo, ImageData
from shared.cli import EvaluateOptions, Features
from shared.config import TrainConfig, refuse
from shared.errors import UsageError
from shared.files import write_atomically
from shared.image_evaluation import ImageEvaluator
from shared.judges import ClassifierJudge, InceptionJudge
from shared.pixel_evaluation import PixelEvaluator
from shared.point_evaluation import PointEvaluator
from shared.run_dir import RunDir, resolve_checkpoint, root_of
from shared.sampling import load_backend
from shared.scores import Evaluator, Score
from shared.training import MakeBackend

_FEWEST = 16


def evaluate(options: EvaluateOptions, make_backend: MakeBackend) -> None:
    """Score a checkpoint: print a table; write the scores and a picture into the run.

    Args:
        options: what the user asked for.
        make_backend: makes the twin's backend.

    Raises:
        UsageError: there is no such checkpoint, device or network, the data are others
            than the run's, or do not suit the features, or nothing can be written.
    """
    path = resolve_checkpoint(options.run, options.step)
    stored = checkpoint.load(path)
    dataset = options.dataset or stored.config.dataset
    datasets.validate_name(dataset)
    config = dataclasses.replace(stored.config, dataset=dataset)
    check_data(config, stored.data, options.features)
    data = datasets.load(config.dataset, config.image_size, options.data_dir)
    if data.info != stored.data:
        raise UsageError(
            f"{path}: was trained on other images than those of --dataset"
            f" {config.dataset} in --data-dir {options.data_dir}"
        )
    folder = options.out or root_of(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"--out {folder}: cannot be used: {reason}") from error
    backend = load_backend(stored, path, make_backend, options.device)
    evaluator = make_evaluator(
        backend, config, data, options.data_dir, options.features
    )
    num = options.num or evaluator.usual_num
    scores = evaluator.scores(num, options.draws, options.seed)
    further, picture = evaluator.further(num, options.seed)
    scores |= further
    content = {
        "step": stored.step,
        "checkpoint": path.name,
        "protocol": evaluator.protocol(num, options.draws, options.seed),
        "scores": {name: _to_json(score) for name, score in scores.items()},
    }
    suffix = "" if options.features == "classifier" else f"-{options.features}"
    out = folder / f"evaluation-{stored.step:06d}{suffix}.json"
    write_atomically(out, (json.dumps(content, indent=2) + "\n").encode())
    if picture is not None:
        images.save_png(folder / f"nearest-{stored.step:06d}.png", picture)
    sys.stdout.write(_table(config.preset, content))
    sys.stderr.write(f"written: {out}\n")
    if options.out is None:
        report.refresh_report(RunDir(folder))


def check_data(
    config: TrainConfig, data: DataInfo, features: Features | None = None
) -> None:
    """Refuse data that do not suit the features.

    Args:
        config: the run's configuration.
        data: what is known of its data.
        features: of images, what to compare; None: the classifier's, while training.

    Raises:
        UsageError: a classifier lacks labels or images, or points have no features.
    """
    dataset = f"--dataset {config.dataset}"
    if config.dataset in datasets.POINTS:
        if features not in (None, "classifier"):
            raise refuse("features", features, f"not of {dataset}, which are points")
    elif data.count < _FEWEST:
        raise UsageError(
            f"{dataset}: evaluation needs {_FEWEST} images or more, there are"
            f" {data.count}"
        )
    elif data.num_classes < 2 and features in (None, "classifier"):
        needs = (
            "needs labels of two classes or more, to train its classifier on; make each"
            " class a subfolder, or"
        )
        if features is None:
            raise refuse(
                "evaluate_every",
                config.evaluate_every,
                f"{needs} evaluate the run when it is done",
            )
        raise UsageError(
            f"{dataset}: evaluation {needs} use --features none or inception"
        )


def make_evaluator(
    backend: Backend,
    config: TrainConfig,
    data: ImageData,
    data_dir: Path,
    features: Features = "classifier",
) -> Evaluator:
    """What scores the samples of a backend.

    Args:
        backend: with the state to be judged, which may change between evaluations.
        config: the run's configuration.
        data: its training data.
        data_dir: where the classifier is cached.
        features: of images, what to compare.

    Raises:
        UsageError: as `check_data`, or the network for the features cannot be had.
    """
    check_data(config, data.info, features)
    if config.dataset in datasets.POINTS:
        return PointEvaluator(backend, config, data)
    if features == "none":
        return PixelEvaluator(backend, config, data)
    if features == "inception":
        judge = InceptionJudge(backend)
    else:
        judge = ClassifierJudge(backend, config, data, data_dir)
    return ImageEvaluator(backend, config, data, judge)


def _to_json(score: Score) -> dict[str, Any]:
    mean, interval = metrics.mean_interval(score.values)
    shown = f"{mean:.{score.decimals}f}"
    if interval is not None:
        shown += f" ± {interval:.{score.decimals}f}"
    return {
        "title": score.title,
        "shown": shown,
        "value": mean,
        "interval_95": interval,
        "draws": score.values,
        "protocol": score.protocol,
    }


def _table(preset: str, content: dict[str, Any]) -> str:
    lines = [f"{preset}, step {content['step']}"]
    lines += [f"{name:<11}{value}" for name, value in content["protocol"].items()]
    lines.append("")
    scores = content["scores"].values()
    width = max(len(score["title"]) for score in scores)
    lines += [
        f"{score['title']:<{width}}  {score['shown']:<20}  {score['protocol']}"
        for score in scores
    ]
    return "\n".join(lines) + "\n"
