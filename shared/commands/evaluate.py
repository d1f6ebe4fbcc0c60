"""The command ``evaluate``: a table of scores, and the same as a file in the run."""

import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared import plugins, sizes, terminal
from shared.backend import MakeBackend
from shared.commands.options import EvaluateOptions
from shared.config import choices
from shared.config.arguments import named_as
from shared.config.choices import FEWEST_SCORED
from shared.config.flags import refuse
from shared.config.limits import check_drawn
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.data.image_data import DataInfo, ImageData
from shared.data.reading import Reading
from shared.data.survey import without_advice
from shared.drawing import images
from shared.errors import UsageError
from shared.evaluation import evaluation
from shared.evaluation.evaluators import (
    check_features,
    check_scored_split,
    make_evaluator,
)
from shared.files.atomic import write_object
from shared.files.records import finite
from shared.library import evaluating
from shared.quantities import QUANTITIES
from shared.randomness import noise
from shared.report import page
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.outputs import check_not_own, is_among, made_out
from shared.run.restore import load_backend
from shared.run.run_dir import RunDir
from shared.sizes import ImageSize
from shared.training.processes import processes
from shared.words import legible

_DRAWS = 5


def evaluate(options: EvaluateOptions, twin: str, make_backend: MakeBackend) -> None:
    """Score a checkpoint, or images: print a table; write the scores and a picture.

    Args:
        options: what the user asked for.
        twin: the package that scores.
        make_backend: makes the twin's backend.

    Raises:
        UsageError: there is no such checkpoint, device or network, the data are others
            than the run's, or do not suit the features, or nothing can be written.
    """
    if options.samples is not None:
        _evaluate_images(options, options.samples, twin, make_backend)
        return
    assert options.run is not None, "there is a run where there are no samples"
    path, stored = checkpoint.find(options.run, options.step)
    plugins.check_drawn_with(options.plugin, stored.plugin)
    load = functools.partial(
        load_backend,
        stored,
        str(path),
        make_backend,
        options.device,
        devices=options.devices,
        standing_stats=options.standing_stats,
    )
    if processes().follows:
        with load().helped():
            return
    dataset = _dataset(options, stored.config.dataset)
    config = dataclasses.replace(stored.config, dataset=dataset)
    _check_asked(options, config, stored.data)
    home = checkpoint.root_of(path)
    is_of_run = options.out is None or _are_same(options.out, home)
    if options.out is not None and not is_of_run:
        check_not_own(options.out, options.out / f"evaluation-{stored.step:06d}.json")
    load_data = functools.partial(
        datasets.load_for,
        config,
        options.data_dir,
        options.cache_dir,
        trust_cache=options.trust_cache,
    )
    data = load_data()
    if not data.info.has_images_of(stored.data):
        raise UsageError(
            f"{path}: was trained on other images than those of --dataset"
            f" {config.dataset} in --data-dir {options.data_dir}"
        )
    against = load_data(split="test") if options.split == "test" else None
    backend = load()
    folder = options.out or home
    with made_out(folder):
        evaluator = make_evaluator(
            backend,
            config,
            data,
            options.data_dir,
            options.features,
            say=terminal.say,
            cache_dir=options.cache_dir,
            against=against,
            standing_stats=options.standing_stats,
        )
        num, draws = options.num or evaluator.usual_num, options.draws or _DRAWS
        with backend.helped():
            found = evaluation.evaluate(evaluator, num, draws, options.seed)
    _write(options, folder, is_of_run, path, stored, found)


def _check_asked(options: EvaluateOptions, config: TrainConfig, data: DataInfo) -> None:
    """Refuse what cannot be asked of a run."""
    check_features(config, data, options.features)
    check_scored_split(options.split, config.dataset, options.features)
    if options.features == "none" and (options.draws or 1) > 1:
        rule = "without features a single draw tells all that there is"
        raise refuse("draws", options.draws, rule)
    check_drawn(options.num or 0, config)


def _write(
    options: EvaluateOptions,
    folder: Path,
    is_of_run: bool,
    path: Path,
    stored: Checkpoint,
    found: evaluation.Evaluation,
) -> None:
    """Show and write the scores of a checkpoint; in its run, on its page too."""
    content = {"step": stored.step, "checkpoint": path.name, **_content(found)}
    stem = f"{stored.step:06d}{_suffix(options)}"
    out = folder / f"evaluation-{stem}.json"
    with _shown(f"{stored.config.preset}, step {stored.step}", content):
        write_object(out, finite(content))
        if found.nearest is not None:
            images.save_png(folder / f"nearest-{stem}.png", found.nearest)
        if is_of_run:
            page.refresh_report(RunDir(folder))
        terminal.say(f"written: {legible(out)}")


def _dataset(options: EvaluateOptions, trained_on: str) -> str:
    """What the run's data are called now: a folder may have been moved."""
    dataset = options.dataset or trained_on
    choices.check_dataset_name(dataset)
    if options.dataset is None:
        choices.check_not_moved(dataset)
    if dataset != trained_on and not {dataset, trained_on}.isdisjoint(choices.POINTS):
        raise refuse("dataset", dataset, f"the run was trained on {trained_on}")
    return dataset


def _suffix(options: EvaluateOptions) -> str:
    """What the names of files end in that are not scored as usual."""
    suffix = "" if options.features == "classifier" else f"-{options.features}"
    suffix += "" if options.split == "train" else f"-{options.split}"
    return suffix + ("" if options.standing_stats is None else "-standing-stats")


def _evaluate_images(
    options: EvaluateOptions, path: Path, twin: str, make_backend: MakeBackend
) -> None:
    """Score a folder of images by another, or by a data set."""
    name = options.reference or ""
    if name not in choices.NAMES:
        name = _folder(name)
    out = options.out
    for dataset in (name, _folder(path)):
        if out is not None and is_among(out, dataset):
            folder = dataset.removeprefix(choices.FOLDER)
            raise refuse(
                "out", out, f"must not be in {folder}, whose images are scored"
            )
    if out is not None:
        check_not_own(out, out / "evaluation.json")
    size = options.image_size or TrainConfig.image_size
    samples, reference, against = _read_both(options, path, name, size)
    given = samples.images
    if options.num is not None:
        order = noise.batch_indices(options.seed, 0, len(given), len(given))
        given = given[np.sort(order[: options.num])]
    if len(given) < FEWEST_SCORED:
        images_there = "1 image" if len(given) == 1 else f"{len(given)} images"
        rule = f"holds {images_there}; {FEWEST_SCORED} or more are scored"
        raise refuse("samples", path, rule)
    with contextlib.nullcontext() if out is None else made_out(out):
        found = evaluating.evaluate(
            twin,
            make_backend,
            np.asarray(given, np.uint8),
            reference,
            evaluating.EvaluateOptions(
                features=options.features,
                num=None,
                draws=1,
                seed=options.seed,
                step=None,
                against=against,
                device=options.device,
                data_dir=options.data_dir,
                standing_stats=None,
            ),
        )
    # Both were files of any size.
    told: dict[str, str | int] = {
        "resizing": f"all cached at {sizes.both(size)}, 8 bits"
    }
    if len(given) < len(samples.images):
        told["seed"] = options.seed  # which of them these are
    found = found._replace(protocol=found.protocol | told)
    content = {"samples": path.resolve().name, **_content(found)}
    with _shown(f"{legible(path)}, {len(given)} images", content):
        if out is not None:
            write_object(out / "evaluation.json", finite(content))
            if found.nearest is not None:
                images.save_png(out / "nearest.png", found.nearest)
            terminal.say(f"written: {legible(out / 'evaluation.json')}")


def _folder(path: Path | str) -> str:
    """What a data set of a folder is called."""
    name = str(path)
    return name if choices.is_folder(name) else f"{choices.FOLDER}{name}"


def _read_both(
    options: EvaluateOptions, path: Path, name: str, size: ImageSize
) -> tuple[ImageData, ImageData, ImageData | None]:
    """Samples, reference, and what samples are compared with in its place, if so."""
    caching = datasets.Caching(options.data_dir, options.cache_dir, options.trust_cache)
    reading = Reading(options.channels or "auto")
    with _called(name, f"--reference {options.reference}") as say:
        check_scored_split(options.split, name, options.features)
        read = functools.partial(datasets.read, name, size, caching, reading, say)
        reference = read()
        against = read("test") if options.split == "test" else None
        check_features(TrainConfig(dataset=name), reference.info, options.features)
    with _called(_folder(path), f"--samples {path}") as say:
        read = functools.partial(datasets.read, _folder(path), size, caching)
        samples = read(reading, say)
        if samples.info.channels != reference.info.channels:
            kind = "grey" if reference.info.channels == 1 else "colour"
            say(f"made {kind}, as the reference is")
            samples = read(Reading(kind), lambda _: None)
    return samples, reference, against


@contextlib.contextmanager
def _called(dataset: str, what: str) -> Iterator[Callable[[str], None]]:
    """Have errors, and what is said, call a data set as the command line does."""
    with named_as(dataset, what):
        yield lambda line: terminal.say(f"{what}: {without_advice(line)}")


@contextlib.contextmanager
def _shown(title: str, content: dict[str, Any]) -> Iterator[None]:
    """Have scores shown after they were written, or could not be."""
    try:
        yield
    finally:
        sys.stdout.write(_table(title, content))


def _are_same(folder: Path, other: Path) -> bool:
    return os.path.realpath(folder) == os.path.realpath(other)


def _content(found: evaluation.Evaluation) -> dict[str, Any]:
    """What the file holds of an evaluation."""
    content: dict[str, Any] = {"protocol": found.protocol, "scores": found.scores}
    if found.warnings:
        content["warnings"] = list(found.warnings)
    if found.sanity:
        content["sanity"] = {name: dict(of) for name, of in found.sanity.items()}
    return content


def _table(title: str, content: dict[str, Any]) -> str:
    lines = [title]
    lines += [f"{name:<11}{value}" for name, value in content["protocol"].items()]
    lines.append("")
    if warnings := content.get("warnings"):
        lines += [*(f"WARNING: {warning}" for warning in warnings), ""]
    scores = content["scores"].values()
    width = max(len(score["title"]) for score in scores)
    lines += [
        f"{score['title']:<{width}}  {score['shown']:<20}  {score['protocol']}"
        for score in scores
    ]
    return "\n".join([*lines, *_sanity(content.get("sanity", {}))]) + "\n"


def _sanity(sets: dict[str, dict[str, float]]) -> Iterator[str]:
    """A table of what the same judge says of sets that everybody knows."""
    if not sets:
        return
    names = list(next(iter(sets.values())))
    width = max(map(len, sets))
    yield ""
    yield f"{'for scale':<{width}}" + "".join(f"  {name:>9}" for name in names)
    for title, scores in sets.items():
        values = [f"{scores[x]:.{QUANTITIES[x].decimals}f}" for x in names]
        yield f"{title:<{width}}" + "".join(f"  {value:>9}" for value in values)
