"""What a grid of samples tells: its diversity, and what batch norm's mode changes."""

import math

import numpy as np
from numpy.typing import NDArray


def diversity(
    images: NDArray[np.uint8], real: NDArray[np.uint8], rows: int
) -> float | None:
    """Mean distance of two images of one row, as a share of that of real images.

    Within rows, because those of a conditional generator are its classes: it has
    collapsed if it knows one image of each class.

    Args:
        images: generated ones, [count, ...], row by row.
        real: as many real ones, of the same classes.
        rows: how many rows.

    Returns:
        None where the real images of each row are one and the same.
    """
    of_real = _spread(real, rows)
    return _spread(images, rows) / of_real if of_real else None


def batch_norm_gap(
    evaluation: NDArray[np.uint8],
    training: NDArray[np.uint8],
    real: NDArray[np.uint8],
) -> float | None:
    """Mean distance of the two modes' images of a latent, on the scale of `diversity`.

    Args:
        evaluation: images drawn with batch norm's running statistics, [count, ...].
        training: those of the same latents, drawn with the batch's own statistics.
        real: real images.

    Returns:
        None where the real images are one and the same.
    """
    count = len(evaluation)
    difference = (evaluation.astype(np.float64) - training).reshape(count, -1)
    gap = np.linalg.norm(difference, axis=1).mean()
    of_real = _spread(real, 1)
    return float(gap) / of_real if of_real else None


def _spread(images: NDArray[np.uint8], rows: int) -> float:
    """Mean distance of two images of one row."""
    flat = images.reshape(rows, -1, math.prod(images.shape[1:])).astype(np.float64)
    columns = flat.shape[1]
    # One image at a time: all pairs at once take gigabytes.
    distances = [
        np.sum([np.linalg.norm(row - image, axis=1) for image in row]) for row in flat
    ]
    return float(np.mean(distances)) / (columns * (columns - 1))
