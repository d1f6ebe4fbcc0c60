"""A data set in memory, and what a run must know of it."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class DataInfo(NamedTuple):
    """What a run must know of its data without having them."""

    channels: int
    """1 (grey) or 3 (colour); 2 for points in the plane."""
    num_classes: int
    """Number of classes; 0 where the data have no labels."""
    count: int
    """Number of images."""
    sha256: str
    """Digest of images and labels, so that a resumed run sees the same data."""


class ImageData(NamedTuple):
    """A data set in memory, or mapped from a file."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    """Shape [count, height, width, channels]; floats are used as they are."""
    labels: NDArray[np.int32] | None
    """Class ids, shape [count]; None without labels."""
    class_names: tuple[str, ...]
    """One for each class; empty without labels."""
    info: DataInfo
    name: str = ""
    """What ``--dataset`` calls it."""


def digest(images: NDArray[Any], labels: NDArray[np.int32] | None) -> str:
    """SHA-256 over the bytes and shapes of images and labels."""
    sha256 = hashlib.sha256(images.data)
    if labels is not None:
        sha256.update(labels.astype("<i4").data)
    sha256.update(repr((images.dtype.str, images.shape, labels is not None)).encode())
    return sha256.hexdigest()
