"""How arrays start; each is a `statements.Start`."""

import dataclasses
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.files.arrays import Arrays
from shared.statements import Kind, Normals, Stated

_POWER_ITERATIONS = 15


@dataclasses.dataclass(frozen=True)
class Constant:
    """One number everywhere."""

    value: float

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        return np.full(array.shape, self.value)


@dataclasses.dataclass(frozen=True)
class Normal:
    """N(mean, std), std the standard deviation."""

    std: float
    mean: float = 0.0

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        drawn = normal(array.name, array.shape)
        return np.float32(self.mean) + np.float32(self.std) * drawn


@dataclasses.dataclass(frozen=True)
class FanIn:
    """N(0, sqrt(variance / fan-in)), so that a layer neither swells nor fades signals.

    References:
        He et al. 2015, arXiv:1502.01852, Eq. 10 (variance 2).
    """

    variance: float

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        std = np.sqrt(self.variance / array.fan_in)
        return np.float32(std) * normal(array.name, array.shape)


@dataclasses.dataclass(frozen=True)
class Glorot:
    """U(-a, a), a = gain sqrt(6 / (fan-in + fan-out)).

    References:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep
        feedforward neural networks", Eq. 16 (gain 1).
    """

    gain: float

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        pairs = normal(array.name, (2, *array.shape)).astype(np.float64)
        # Box and Muller's transform backwards: of two normals, a uniform in (0, 1).
        uniform = np.exp(-0.5 * np.square(pairs).sum(axis=0))
        bound = self.gain * np.sqrt(6 / (array.fan_in + array.fan_out))
        return bound * (2 * uniform - 1)


@dataclasses.dataclass(frozen=True)
class Orthogonal:
    """Orthonormal rows, one for each output; where these are too many, columns.

    Every such matrix [out, all else] is as likely as any other.

    References:
        Saxe et al. 2014, arXiv:1312.6120, section 3.
        Mezzadri 2007, arXiv:math-ph/0609050, section 5 (the signs).
    """

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        axis = array.kind.axes.index("out")
        drawn = np.moveaxis(normal(array.name, array.shape), axis, 0)
        matrix = drawn.reshape(len(drawn), -1).astype(np.float64)
        is_wide = matrix.shape[0] < matrix.shape[1]
        q, r = np.linalg.qr(matrix.T if is_wide else matrix)
        q *= np.copysign(1.0, np.diagonal(r))  # which libraries choose differently
        rows = q.T if is_wide else q
        return np.moveaxis(rows.reshape(drawn.shape), 0, axis)


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Of weight normalisation's directions, which are then the weights themselves."""

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        (direction,) = array.of
        axes = tuple(i for i, axis in enumerate(array.kind.axes) if axis != "out")
        return np.sqrt(np.square(arrays[direction]).sum(axis=axes, keepdims=True))


@dataclasses.dataclass(frozen=True)
class SingularVector:
    """A weight's largest, as estimated by power iteration from a random vector.

    In PyTorch's order and number of iterations.
    """

    side: Literal["u", "v"]
    weight: Kind
    """The kind of the weight."""

    def __call__(self, array: Stated, normal: Normals, arrays: Arrays) -> NDArray:
        """See `statements.Start`."""
        name, first = array.of
        weight = arrays[name].astype(np.float64)
        weight = np.moveaxis(weight, self.weight.axes.index("out"), 0)
        matrix = weight.reshape(len(weight), -1)
        u = _unit(normal(first, matrix.shape[:1]).astype(np.float64))
        v = _unit(matrix.T @ u)
        for _ in range(_POWER_ITERATIONS):
            u = _unit(matrix @ v)
            v = _unit(matrix.T @ u)
        return u if self.side == "u" else v


ZEROS = Constant(0.0)
ONES = Constant(1.0)
# Radford et al. 2015, arXiv:1511.06434, section 4; the gains follow the authors' code.
DCGAN = Normal(0.02)
DCGAN_GAIN = Normal(0.02, mean=1.0)
# Before a ReLU, which halves the variance.
HE = FanIn(2.0)
GLOROT = Glorot(1.0)
# Before or after a ReLU, as Gulrajani et al. and Miyato et al. have it.
GLOROT_RELU = Glorot(math.sqrt(2.0))

ORTHOGONAL = Orthogonal()


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.sqrt(np.square(vector).sum())), 1e-12)
