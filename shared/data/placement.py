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


def gather(data: ImageData, draws: Draws) -> tuple[ImageData, Draws]:
    """The images that ``draws`` name, in this order, and draws that number these.

    Args:
        data: all images, in memory or mapped from a file.
        draws: of any number of steps.
    """
    images: NDArray[Any] = np.asarray(data.images)
    rows = draws.indices.reshape(-1)
    numbers = np.arange(rows.size, dtype=np.int32).reshape(draws.indices.shape)
    chosen = data._replace(
        images=np.take(images, rows, axis=0),
        labels=None if data.labels is None else data.labels[rows],
    )
    return chosen, draws._replace(indices=numbers)
