"""Resampling along an axis as matrices, made once for both twins.

An image that is to be turned is made twice as fine, and coarser again after that, each
time through a wavelet's low-pass filter, so that it neither blurs nor folds.

References:
    Karras et al. 2020, arXiv:2006.06676, appendix B; sizes and places are those of the
    authors' code, stylegan2-ada-pytorch.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of the wavelet sym6 (Daubechies 1992): even shifts of it are orthogonal.
_SYM6 = (
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057),
    *(-0.048311742585633, 0.4910559419267466, 0.787641141030194),
    *(0.3379294217276218, -0.07263752278646252, -0.021060292512300564),
    *(0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
)
FILTER = np.array(_SYM6) / sum(_SYM6)
"""Its low-pass filter, with sum 1."""


def centres(size: int) -> NDArray[Any]:
    """Where so many pixels lie, in sides of the image.

    Returns:
        Shape [size], float64.
    """
    return (np.arange(size) + 0.5) / size


@functools.cache
def finer(size: int) -> NDArray[Any]:
    """From so many pixels to twice as many of them and their mirror images.

    The mirror images are whole ones, on both sides, without the pixel at the edge.

    y[j] = 2 sum_m f[m] z[j + 5 - m],  z[2i] = x[i],  z[2i + 1] = 0

    Returns:
        Shape [2 (3 size - 2), size], float64.
    """
    mirrored = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), mode="reflect")
    between = np.zeros((2 * len(mirrored), size))
    between[::2] = mirrored
    columns = [np.convolve(2 * FILTER, column)[5:-6] for column in between.T]
    return np.stack(columns, axis=1)


@functools.cache
def coarser(size: int) -> NDArray[Any]:
    """From twice so many pixels, and what the filter needs beside them, to so many.

    y[q] = sum_k f[k] x[2q + k + 1]

    Returns:
        Shape [size, 2 size + 12], float64.
    """
    matrix = np.zeros((size, 2 * size + len(FILTER)))
    for q in range(size):
        matrix[q, 2 * q + 1 : 2 * q + 1 + len(FILTER)] = FILTER
    return matrix
