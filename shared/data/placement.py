"""Data that stay on the host: each call's images go to the device with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.config.choices import DataPlace
from shared.data.image_data import ImageData
from shared.randomness.draws import Draws

# Of the device's free memory, for the data; the networks need the rest.
_SHARE = 0.5


def stays_on_host(data: ImageData, place: DataPlace, free: int) -> bool:
    """Whether the images are kept on the host, from where `gather` takes them.

    Args:
        data: the images.
        place: what the user asked for.
        free: bytes that are free on the device; 0 where it has no memory of its own,
            and a copy would but hold the images twice.
    """
    if place == "auto":
        return data.images.nbytes > _SHARE * free
    return place == "host"


def gather(data: ImageData, draws: Draws, devices: int = 1) -> tuple[ImageData, Draws]:
    """The images that ``draws`` name, in this order, and draws that number these.

    Args:
        data: all images, in memory or mapped from a file.
        draws: of any number of steps.
        devices: that share each batch: the images of each follow those of the one
            before, and are numbered from 0.
    """
    images: NDArray[Any] = np.asarray(data.images)
    parts = np.split(draws.indices, devices, axis=-1)
    rows = np.concatenate([part.reshape(-1) for part in parts])
    own = np.arange(parts[0].size, dtype=np.int32).reshape(parts[0].shape)
    numbers = np.concatenate([own] * devices, axis=-1)
    chosen = data._replace(
        images=np.take(images, rows, axis=0),
        labels=None if data.labels is None else data.labels[rows],
    )
    return chosen, draws._replace(indices=numbers)
