"""The command ``evaluate``: a table of scores, and the same as a file in the run."""

import dataclasses
import json
import sys
from typing import Any

from shared import terminal
from shared.backend import MakeBackend
from shared.commands.options import EvaluateOptions
from shared.config import choices
from shared.config.limits import check_drawn
from shared.data import datasets
from shared.drawing import images
from shared.errors import UsageError
from shared.evaluation import evaluation
from shared.evaluation.evaluators import check_data, make_evaluator
from shared.files.atomic import write_atomically
from shared.files.records import finite
from shared.report import page
from shared.run import checkpoint
from shared.run.restore import load_backend
from shared.run.run_dir import RunDir, resolve_checkpoint, root_of


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
    choices.validate_name(dataset)
    config = dataclasses.replace(stored.config, dataset=dataset)
    check_data(config, stored.data, options.features)
    check_drawn(options.num or 0, config)
    data = datasets.load_for(
        config,
        options.data_dir,
        options.cache_dir,
        trust_cache=options.trust_cache,
    )
    if not data.info.has_images_of(stored.data):
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
    backend = load_backend(stored, str(path), make_backend, options.device)
    evaluator = make_evaluator(
        backend,
        config,
        data,
        options.data_dir,
        options.features,
        say=terminal.say,
        cache_dir=options.cache_dir,
    )
    num = options.num or evaluator.usual_num
    found = evaluation.evaluate(evaluator, num, options.draws, options.seed)
    content = {
        "step": stored.step,
        "checkpoint": path.name,
        "protocol": found.protocol,
        "scores": found.scores,
    }
    suffix = "" if options.features == "classifier" else f"-{options.features}"
    out = folder / f"evaluation-{stored.step:06d}{suffix}.json"
    text = json.dumps(finite(content), indent=2, allow_nan=False) + "\n"
    write_atomically(out, text.encode())
    if found.nearest is not None:
        images.save_png(folder / f"nearest-{stored.step:06d}.png", found.nearest)
    if options.out is None:
        page.refresh_report(RunDir(folder))
    terminal.say(f"written: {out}")
    sys.stdout.write(_table(config.preset, content))


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
