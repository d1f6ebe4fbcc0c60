"""Scores of a run's samples, or of images from anywhere."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend, MakeBackend
from shared.config.arguments import AnyArray, about_path, as_array
from shared.config.choices import ARRAYS, FEWEST_SCORED, POINTS, Features, WhichStep
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData, check_whole
from shared.errors import UsageError
from shared.evaluation import evaluation
from shared.evaluation.evaluation import Evaluation
from shared.evaluation.evaluators import make_evaluator
from shared.evaluation.samples import GivenSamples
from shared.library.generators import Run, find_state, path_of
from shared.run.restore import load_backend
from shared.training.driver import TrainedRun
from shared.training.processes import alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How `evaluate` scores."""

    features: Features
    num: int | None
    draws: int
    seed: int
    step: WhichStep | None
    against: ImageData | None
    device: str
    data_dir: str | Path | None
    standing_stats: int | None


@alone()
def evaluate(
    twin: str,
    make_backend: MakeBackend,
    samples: Run | AnyArray,
    reference: ImageData,
    options: EvaluateOptions,
) -> Evaluation:
    """Score a run's samples, or images; as the twins' ``evaluate``."""
    least_numbers = {
        "num": FEWEST_SCORED,
        "draws": 1,
        "seed": 0,
        "standing_stats": 1,
    }
    for name, least in least_numbers.items():
        value = getattr(options, name)
        if value is not None and not least <= value < 2**63:
            raise UsageError(f"{name} {value}: must be {least} or more, below 2**63")
    check_whole(reference, "reference")
    _check_against(options, reference)
    if not isinstance(samples, str | os.PathLike | TrainedRun):
        images = as_array("samples", samples)
        return _evaluate_images(make_backend, images, reference, options)
    with about_path("samples", path_of(samples)):
        state = find_state(twin, samples, options.step)
    if not state.data.has_images_of(reference.info):
        raise UsageError(
            "reference: must be the images that the run was trained on; to compare with"
            " others, give the images of load_generator(run).sample(...)"
        )
    config = state.config
    backend = load_backend(
        state,
        "run",
        make_backend,
        options.device,
        standing_stats=options.standing_stats,
    )
    return _score(backend, config, reference, options, given=None)


def _evaluate_images(
    make_backend: MakeBackend,
    images: NDArray[Any],
    reference: ImageData,
    options: EvaluateOptions,
) -> Evaluation:
    shape = reference.images.shape[1:]
    if reference.name in POINTS or reference.images.dtype != np.uint8:
        raise UsageError(
            "reference: of points in the plane only a run can be evaluated"
        )
    fits = images.dtype == np.uint8 and images.shape[1:] == shape
    if not fits or len(images) < FEWEST_SCORED:
        sides = ", ".join(map(str, shape))
        raise UsageError(
            f"samples of type {images.dtype} and shape {list(images.shape)}: must be"
            f" uint8 [{FEWEST_SCORED} or more, {sides}], as those of the reference"
        )
    if options.num is not None:
        raise UsageError(f"num {options.num}: is for a run; images are scored all")
    if options.step is not None:
        raise UsageError(f"step {options.step}: images have none")
    if options.standing_stats is not None:
        rule = "images have no batch norm"
        raise UsageError(f"standing_stats {options.standing_stats}: {rule}")
    # The smallest: of the backend only the device is needed, which judges.
    config = TrainConfig(
        dataset=reference.name or ARRAYS,
        image_size=shape[:2],
        width=1,
        z_dim=1,
        steps=1,
    )
    backend = make_backend(config, reference.info, options.device)
    options = dataclasses.replace(options, num=len(images), draws=1)
    return _score(backend, config, reference, options, GivenSamples(images))


def _check_against(options: EvaluateOptions, reference: ImageData) -> None:
    against = options.against
    if against is None:
        return
    check_whole(against, "against")
    if options.features == "none" or reference.name in POINTS:
        raise UsageError("against: needs features, by which images are compared")
    shape = reference.images.shape[1:]
    if against.images.dtype != np.uint8 or against.images.shape[1:] != shape:
        raise UsageError(
            f"against: images of shape {list(against.images.shape)}: must be uint8"
            f" {['count', *shape]}, as those of the reference"
        )
    if (count := len(against.images)) < FEWEST_SCORED:
        rule = f"must be {FEWEST_SCORED} or more"
        raise UsageError(f"against: {count} images: {rule}")


def _score(
    backend: Backend,
    config: TrainConfig,
    reference: ImageData,
    options: EvaluateOptions,
    given: GivenSamples | None,
) -> Evaluation:
    folder = None if options.data_dir is None else Path(options.data_dir)
    evaluator = make_evaluator(
        backend,
        config,
        reference,
        folder,
        options.features,
        samples=given,
        standing_stats=options.standing_stats,
        against=options.against,
    )
    num = options.num or evaluator.usual_num
    return evaluation.evaluate(evaluator, num, options.draws, options.seed)
