"""The evaluator that suits the data."""

from collections.abc import Callable
from pathlib import Path

from shared.backend import Backend
from shared.config import choices
from shared.config.choices import Features, Split
from shared.config.flags import refuse
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.errors import UsageError
from shared.evaluation.features import ClassifierExtractor, InceptionExtractor
from shared.evaluation.image_evaluator import ImageEvaluator
from shared.evaluation.pixel_evaluator import PixelEvaluator
from shared.evaluation.point_evaluator import PointEvaluator
from shared.evaluation.samples import GeneratedSamples, Samples
from shared.evaluation.score import Evaluator


def check_features(
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
    if config.dataset in choices.POINTS:
        if features not in (None, "classifier"):
            raise refuse("features", features, f"not of {dataset}, which are points")
    elif data.count < choices.FEWEST_SCORED:
        raise UsageError(
            f"{dataset}: evaluation needs {choices.FEWEST_SCORED} images or more, there"
            f" are {data.count}"
        )
    elif data.num_classes < 2 and features in (None, "classifier"):
        given = "make each class a subfolder"
        if config.dataset == choices.ARRAYS:
            given = "give from_arrays the labels"
        needs = (
            "needs labels of two classes or more, to train its classifier on;"
            f" {given}, or"
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


def check_scored_split(split: Split, dataset: str, features: Features) -> None:
    """Refuse a split that there is not, or that nothing is compared with.

    Args:
        split: asked for.
        dataset: of the run, or of the reference.
        features: what images are compared by.

    Raises:
        UsageError: the data set has no such split, or there are no features.
    """
    choices.check_split(split, dataset)
    if split == "test" and features == "none":
        raise refuse("split", split, "needs features, by which images are compared")


def make_evaluator(
    backend: Backend,
    config: TrainConfig,
    data: ImageData,
    data_dir: Path | None,
    features: Features = "classifier",
    say: Callable[[str], object] = lambda line: None,
    samples: Samples | None = None,
    cache_dir: Path | None = None,
    standing_stats: int | None = None,
    against: ImageData | None = None,
) -> Evaluator:
    """What scores the samples of a backend, or images that are given.

    Args:
        backend: with the state to be scored, which may change between evaluations.
        config: the run's configuration.
        data: its training data.
        data_dir: where the classifier is cached; None: nowhere.
        features: of images, what to compare.
        say: is told, before a classifier is trained.
        samples: what is compared with the data; None: what the backend makes.
        cache_dir: as for `caches.places`.
        standing_stats: batches whose statistics the backend's batch norm goes by; None:
            those of training.
        against: what the samples' features are compared with; None: the data's.

    Raises:
        UsageError: as `check_features`, or the network for the features cannot be had.
    """
    check_features(config, data.info, features)
    if config.dataset in choices.POINTS:
        return PointEvaluator(backend, config, data, standing_stats)
    samples = samples or GeneratedSamples(backend, config, data.labels, standing_stats)
    if features == "none":
        return PixelEvaluator(samples, config, data)
    if features == "inception":
        extractor = InceptionExtractor(backend)
    else:
        extractor = ClassifierExtractor(backend, config, data, data_dir, say, cache_dir)
    return ImageEvaluator(samples, config, data, extractor, against)
