"""What is drawn for the augmentation of images: numbers for each, by itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig


class Record(NamedTuple):
    """What DiffAugment does to each image of a batch; each an array [batch].

    All of it is drawn, whichever policies are on, so that they do not change each
    other.
    """

    brightness: Any
    """Added to the image; from U[-0.5, 0.5)."""
    saturation: Any
    """Factor of what tells a pixel's channels apart; from U[0, 2)."""
    contrast: Any
    """Factor of what tells an image's values apart; from U[0.5, 1.5)."""
    rows: Any
    """Whole rows that the image moves up, at most `largest_shift`."""
    columns: Any
    """Whole columns that it moves to the left, at most `largest_shift`."""
    box_row: Any
    """Row of the centre of the box that is cut out."""
    box_column: Any
    """Column of that centre."""


def box_side(size: int) -> int:
    """Pixels on a side of the box that is cut out of an image of so many."""
    return int(0.5 * size + 0.5)


def largest_shift(size: int) -> int:
    """Pixels that an image of so many on this side moves at most: an eighth."""
    return int(0.125 * size + 0.5)


def draw_records(
    config: TrainConfig,
    step: int,
    image: tuple[int, int, int],
    uniform: Callable[..., NDArray[np.float32]],
    samples: slice,
) -> NDArray[np.float32]:
    """The records of a step, whole numbers as floating ones.

    Args:
        config: the run's configuration.
        step: which.
        image: height, width, channels.
        uniform: as `noise.uniform`.
        samples: which of each batch.

    Returns:
        Shape [n_critic + 1, 2, batch, fields of `Record`]: for real and generated
        images in each update of D and, last, in that of G.
    """
    numbers = len(Record._fields)

    def records(purpose: str, update: int) -> NDArray[np.float32]:
        drawn = uniform(config.seed, purpose, update, samples, 2 * numbers)
        return drawn.reshape(-1, 2, numbers).swapaxes(0, 1)

    first = step * config.n_critic
    updates = [
        *(records("augmentation for D", first + k) for k in range(config.n_critic)),
        records("augmentation for G", step),
    ]
    return np.stack(_values(np.moveaxis(np.stack(updates), -1, 0), image), axis=-1)


def _values(unit: NDArray[np.float32], image: tuple[int, int, int]) -> Record:
    """Records of numbers from U[0, 1), in the distributions of the authors' code."""
    height, width, _ = image
    u = Record(*unit)
    return Record(
        brightness=u.brightness - np.float32(0.5),
        saturation=np.float32(2) * u.saturation,
        contrast=u.contrast + np.float32(0.5),
        rows=_move(u.rows, height),
        columns=_move(u.columns, width),
        box_row=_whole(u.box_row, 0, _last_centre(height)),
        box_column=_whole(u.box_column, 0, _last_centre(width)),
    )


def _whole(unit: NDArray[np.float32], least: int, most: int) -> NDArray[np.float32]:
    """Uniform whole numbers, both ends included."""
    # In float64 a product with 24 bits is exact, so that no number rounds up to most+1.
    drawn = np.floor(unit.astype(np.float64) * (most - least + 1))
    return (least + drawn).astype(np.float32)


def _move(unit: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return _whole(unit, -largest_shift(size), largest_shift(size))


def _last_centre(size: int) -> int:
    # An even box has its centre between two pixels: there is one place more.
    return size - box_side(size) % 2
