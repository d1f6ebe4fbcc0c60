"""What the scores compare: features of images, and how probable each class is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shared.backend import Backend, Classifier
from shared.config import choices
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.data.image_data import ImageData
from shared.evaluation import classifier

# Fewer held-out images tell an accuracy to 10% at best.
_WELL_TESTED = 100
_STRONG = 0.7


class ExtractedFeatures(NamedTuple):
    """What a network sees in images."""

    features: NDArray[np.float32]
    """Shape [count, features]."""
    probabilities: NDArray[np.float32]
    """Shape [count, classes]."""


class FeatureExtractor(Protocol):
    """Extracts features from images."""

    description: str
    """For the protocol."""
    knows_classes: bool
    """Whether its classes are those of the data."""
    weakness: str = ""
    """Why its scores are rough; empty where they need not be."""

    def __call__(self, pixels: NDArray[np.uint8]) -> ExtractedFeatures:
        """Features of images of shape [count, height, width, channels]."""
        ...


class ClassifierExtractor(FeatureExtractor):
    """The classifier of the data's own labels.

    Three stacked digits are looked at one by one, by the classifier of single digits.

    Args:
        backend: of the twin that computes.
        config: names the data set.
        data: with labels.
        data_dir: where the classifier is cached; None: nowhere.
        say: is told, before it is trained.
        cache_dir: as for `caches.places`.
    """

    knows_classes = True

    def __init__(
        self,
        backend: Backend,
        config: TrainConfig,
        data: ImageData,
        data_dir: Path | None,
        say: Callable[[str], object] = lambda line: None,
        cache_dir: Path | None = None,
    ) -> None:
        name = config.dataset
        self._stacked = name == choices.STACKED
        if self._stacked:
            name = "mnist"
            caching = datasets.Caching(data_dir or Path("data"), cache_dir)
            data = datasets.read(name, config.image_size, caching)
        self._classifier: Classifier = backend.classifier(data.info, config.image_size)
        accuracy = classifier.prepare(self._classifier, data, data_dir, say, cache_dir)
        self.description = (
            f"{classifier.FEATURES} of the layer before the last of a classifier of"
            f" {choices.portable_name(name)} (version {classifier.VERSION}, right on"
            f" {accuracy:.1%} of the held-out tenth)"
            + (", for each channel" if self._stacked else "")
            + "; scaled to mean square 1 over the reference"
        )
        self.weakness = weakness(accuracy, data)

    def __call__(self, pixels: NDArray[np.uint8]) -> ExtractedFeatures:
        """Features of images of shape [count, height, width, channels]."""
        if not self._stacked:
            return self._extract(pixels)
        parts = [self._extract(pixels[..., [channel]]) for channel in range(3)]
        p = [part.probabilities for part in parts]
        # The class of a stack is its three digits, as in `image_sources`.
        joint = np.einsum("ni,nj,nk->nijk", *p).reshape(len(pixels), -1)
        return ExtractedFeatures(
            np.concatenate([x.features for x in parts], axis=1), joint
        )

    def _extract(self, pixels: NDArray[np.uint8]) -> ExtractedFeatures:
        features, logits = classifier.predict(self._classifier, pixels)
        return ExtractedFeatures(features, softmax(logits, axis=1))


def weakness(accuracy: float, data: ImageData) -> str:
    """What to say of a classifier that has learnt little, or was hardly tested.

    Args:
        accuracy: share of the held-out images that it gets right.
        data: that it has learnt, but for these.

    Returns:
        Empty where its scores can be trusted.
    """
    tested = int(classifier.held_out(data).sum())
    is_strong = accuracy >= _STRONG
    if is_strong and tested >= _WELL_TESTED:
        return ""
    fault = "was hardly tested" if is_strong else "is weak"
    return (
        f"the judge {fault}: right on {accuracy:.0%} of {tested} held-out images, where"
        f" guessing is right on {1 / data.info.num_classes:.0%}; its scores are rough"
    )


class InceptionExtractor(FeatureExtractor):
    """Inception v3 with the weights of the standard FID; grey becomes colour.

    Args:
        backend: of a twin that has it.

    Raises:
        UsageError: as `Backend.inception`.

    References:
        Heusel et al. 2017, arXiv:1706.08500.
    """

    knows_classes = False
    description = (
        "2048 of the last pooling of Inception v3 (weights of 2015-12-05 by"
        " torch-fidelity, resized to 299x299 as in TensorFlow 1), unscaled;"
        " probabilities of its 1008 classes"
    )

    def __init__(self, backend: Backend) -> None:
        self._network = backend.inception()

    def __call__(self, pixels: NDArray[np.uint8]) -> ExtractedFeatures:
        """Features of images of shape [count, height, width, channels]."""
        colour = np.broadcast_to(pixels, (*pixels.shape[:3], 3))
        features, logits = classifier.predict(self._network, colour)
        return ExtractedFeatures(features, softmax(logits, axis=1))
