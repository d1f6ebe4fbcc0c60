"""What images are compared by: a small classifier of the data set's own classes.

It needs no download and trains in about a minute. Both twins define its network
(``classifier.py``); here are its initial weights, its training and its file, beside the
cached data set, which both twins read and write.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import sizes, terminal
from shared.backend import Classifier, FeatureNetwork
from shared.data import caches
from shared.data.image_data import ImageData
from shared.errors import UsageError
from shared.files import locks
from shared.files.arrays import ArrayFile, Arrays
from shared.files.atomic import make_folder
from shared.randomness import noise
from shared.randomness.initial_weights import initial_arrays
from shared.sizes import ImageSize
from shared.statements import Stated
from shared.words import legible, reason_of

VERSION = 2
"""Raised when network or training change, so that old files are not used."""

FEATURES = 64
"""Length of the features: the layer before the last."""

_BATCH = 64
# Four passes over the data, within what is enough for few images and what takes a
# minute or so for many.
_PASSES = 4
_STEPS = (1000, 4000)
_LR = 1e-3
_PREDICTED_AT_ONCE = 64
# Every tenth image is never trained on, and tells the accuracy.
_HELD_OUT = 10
# Images per class that tell whether these are of all classes; and from which total
# variation on they are not: 0.16 by chance of a thousand classes, 0.9 of ten in turn.
_TOLD_BY = 5
_SKEWED = 0.4


def channel_widths(channels: int, image_size: ImageSize) -> list[int]:
    """Channels of the image and of each feature map, down to 4x4 up to 7x7 pixels."""
    halvings = range(sizes.doublings(image_size))
    return [channels, *(min(16 * 2**i, 128) for i in halvings)]


def prepare(
    classifier: Classifier,
    data: ImageData,
    data_dir: Path | None,
    say: Callable[[str], object] = lambda line: None,
    cache_dir: Path | None = None,
) -> float:
    """Load the weights for these data, or train them and keep them for next time.

    Args:
        classifier: for the channels, classes and size of the data.
        data: with labels.
        data_dir: keeps the weights, as `caches.places` says; None: nothing does.
        say: is told, before it takes long.
        cache_dir: as for `caches.places`.

    Returns:
        The share of held-out images that the classifier gets right.

    Raises:
        UsageError: the file cannot be written.
    """
    if data_dir is None:
        say("training the classifier for evaluation")
        return train(classifier, data)
    height, width = data.images.shape[1:3]
    size = sizes.text(sizes.normal((height, width)))
    way = "-by-class" if _is_skewed(_every_tenth(data.info.count), data) else ""
    name = f"classifier-v{VERSION}{way}-{size}-{data.info.sha256[:16]}.safetensors"
    places = caches.places(data_dir, cache_dir)
    if (accuracy := _load(classifier, places, name)) is not None:
        return accuracy
    path = caches.first_writable(places) / name
    try:
        make_folder(path.parent)
        held = locks.acquire(path.with_suffix(".lock"), say)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {reason_of(error)}") from error
    # One process trains, the others wait and read.
    with held:
        if (accuracy := _load(classifier, places, name)) is None:
            say(f"training the classifier for evaluation, once: {legible(path)}")
            accuracy = train(classifier, data)
            _FILE.write(path, {"accuracy": accuracy}, classifier.arrays())
    return accuracy


def _load(classifier: Classifier, places: Sequence[Path], name: str) -> float | None:
    """Take the weights from the first place that has them; their accuracy, or None."""
    for place in places:
        if stored := _read(place / name, classifier.shapes()):
            arrays, accuracy = stored
            classifier.load(arrays)
            return accuracy
    return None


def initial_weights(stated: Mapping[str, Stated]) -> Arrays:
    """Weights ~ N(0, sqrt(2 / fan-in)), biases 0; the same for every run.

    Args:
        stated: what the classifier states of its arrays.

    References:
        He et al. 2015, arXiv:1502.01852, Eq. 10.
    """
    return initial_arrays(stated, 0, "classifier weights")


def train(classifier: Classifier, data: ImageData, steps: int | None = None) -> float:
    """Train from the initial weights on nine tenths of the data.

    Adam with batches of 64, its learning rate falling linearly from 1e-3 to 0.

    Args:
        classifier: what to train.
        data: with labels.
        steps: batches; None: as many as the number of images suggests.

    Returns:
        The share of the held-out tenth that it gets right.
    """
    assert data.labels is not None, "the data must have labels"
    classifier.load(initial_weights(classifier.statements()))
    images = data.pixels
    unseen = held_out(data)
    trained = np.flatnonzero(~unseen)
    size = min(_BATCH, len(trained))
    if steps is None:
        steps = int(np.clip(_PASSES * len(trained) // size, *_STEPS))
    for step in range(steps):
        batch = trained[noise.batch_indices(0, step, size, len(trained))]
        rate = _LR * (1 - step / steps)
        classifier.train(images[batch], data.labels[batch], rate)
    _, logits = predict(classifier, images[unseen])
    return float(np.mean(logits.argmax(axis=1) == data.labels[unseen]))


def held_out(data: ImageData) -> NDArray[np.bool_]:
    """Which images the classifier never learns; shape [count].

    Every tenth; of each class, where that would be images of a few classes, as it is
    where labels come in turn.
    """
    unseen = _every_tenth(data.info.count)
    if data.labels is not None and _is_skewed(unseen, data):
        for label in np.unique(data.labels):
            places = np.flatnonzero(data.labels == label)
            unseen[places] = _every_tenth(len(places))
    return unseen


def _every_tenth(count: int) -> NDArray[np.bool_]:
    return np.arange(count) % _HELD_OUT == 0


def _is_skewed(unseen: NDArray[np.bool_], data: ImageData) -> bool:
    """Whether classes are others among these images than among all.

    Of so few that chance alone makes them so, nothing is said.
    """
    classes = data.info.num_classes
    if data.labels is None or unseen.sum() < _TOLD_BY * classes:
        return False
    among, of_all = (
        np.bincount(labels, minlength=classes) / len(labels)
        for labels in (data.labels[unseen], data.labels)
    )
    return bool(np.abs(among - of_all).sum() / 2 > _SKEWED)


def predict(
    network: FeatureNetwork, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features and logits, as `FeatureNetwork.predict`, of any number of images."""
    # Inception takes hours without a GPU: show that it goes on.
    starts = terminal.bar(
        range(0, len(images), _PREDICTED_AT_ONCE),
        desc="judging images",
        unit="batch",
        delay=5,
        leave=False,
    )
    # Copies: the data set is a read-only map of a file.
    parts = [
        network.predict(np.array(images[i : i + _PREDICTED_AT_ONCE])) for i in starts
    ]
    features, logits = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(logits)


def _read(
    path: Path, shapes: dict[str, tuple[int, ...]]
) -> tuple[Arrays, float] | None:
    """Weights and accuracy; None where the file is missing, foreign or damaged."""
    try:
        metadata, arrays = _FILE.read(path)
        found = {name: array.shape for name, array in arrays.items()}
        if found == shapes and _FILE.is_intact(metadata, arrays):
            return arrays, metadata["accuracy"]
    except (KeyError, TypeError, UsageError):
        pass
    return None


def _digest(metadata: Mapping[str, Any], arrays: Arrays) -> str:
    """Of names and bytes alone, as these files have had it from the start."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


_FILE = ArrayFile("gan_classifier", "classifier", _digest)
