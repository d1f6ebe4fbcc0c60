"""Convolutions in nine sixteenths of the multiplications.

Where the stride is half of the kernel, as in all of DCGAN, a convolution is one of
*blocks* of stride by stride pixels with a kernel of two by two blocks. Two neighbours
in its result need, along one axis, three products instead of four:

    y0 = x0 k0 + x1 k1 = (x0 - x1) k0 + x1 (k0 + k1)
    y1 = x1 k0 + x2 k1 = x1 (k0 + k1) + (x2 - x1) k1

So a *tile*, two by two neighbours, needs nine instead of sixteen, and each of the nine
is one matrix product for all tiles.

References:
    Winograd 1980, "Arithmetic Complexity of Computations", F(2, 2); for images, Lavin
    and Gray 2015, arXiv:1509.09308, Section 4.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

# Arrays in two or three rows of as many: what a tile or a kernel consists of.
_Square = Sequence[Sequence[jax.Array]]


@dataclasses.dataclass(frozen=True)
class Winograd:
    """Where tiles lie on the blocks of a padded image: a form of convolution."""

    stride: int
    padding: int
    height: int
    """Of the image, without padding."""
    width: int
    rows: int
    """Of tiles."""
    columns: int

    @classmethod
    def suits(cls, size: int, stride: int, rows: int, columns: int) -> bool:
        """Whether the kernel has two by two blocks, and tiles make up its results."""
        return size == 2 * stride and rows % 2 == 0 and columns % 2 == 0

    def sizes(self, channels: int, features: int) -> tuple[int, int]:
        """Entries of the matrices of an image, and of those of the kernel."""
        entries = self.stride**2 * channels
        tiles = self.rows * self.columns
        return 9 * tiles * (entries + features), 9 * entries * features

    def of_images(self, x: jax.Array) -> jax.Array:
        """What nine products take of images, `[9, N * tiles, stride**2 * C]`."""
        s, (n, _, _, c) = self.stride, x.shape
        # A tile sees three blocks, and two more make whole pairs of them.
        tall, wide = self.rows + 1, self.columns + 1
        x = _pad(
            x,
            (self.padding, 2 * tall * s - self.height - self.padding, 0),
            (self.padding, 2 * wide * s - self.width - self.padding, 0),
        )
        x = x.reshape(n, tall, 2, s, wide, 2, s * c).transpose(0, 1, 2, 4, 5, 3, 6)
        # Written out once, here and below: else XLA computes for each of the nine anew
        # whatever it can, back to the layer before.
        x = lax.optimization_barrier(x)
        of_rows, of_columns = (
            [slice(i // 2, i // 2 + tiles) for i in range(3)]
            for tiles in (self.rows, self.columns)
        )
        seen = [
            [x[:, rows, i % 2, columns, j % 2] for j, columns in enumerate(of_columns)]
            for i, rows in enumerate(of_rows)
        ]
        return _matrices(_along_both(_differences, seen), s * s * c)

    def to_images(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_images`."""
        s = self.stride
        seen = _along_both(_differences_transposed, self._in_tiles(matrices))
        # Tiles lie two blocks apart: what each has seen, with a gap between them.
        spread = [
            _pad(seen[i][j], (i, 2 - i, 1), (j, 2 - j, 1))
            for i in range(3)
            for j in range(3)
        ]
        x = lax.optimization_barrier(functools.reduce(jnp.add, spread))
        n, tall, wide, entries = x.shape
        x = x.reshape(n, tall, wide, s, entries // s).transpose(0, 1, 3, 2, 4)
        x = x.reshape(n, tall * s, wide * s, -1)
        return _pad(
            x,
            (-self.padding, self.height + self.padding - tall * s, 0),
            (-self.padding, self.width + self.padding - wide * s, 0),
        )

    def of_features(self, y: jax.Array) -> jax.Array:
        """What nine products take of features, `[9, N * tiles, O]`."""
        y = lax.optimization_barrier(y)
        y = y.reshape(-1, self.rows, 2, self.columns, 2, y.shape[3])
        tile = [[y[:, :, i, :, j] for j in range(2)] for i in range(2)]
        return _matrices(_along_both(_sums, tile), y.shape[5])

    def to_features(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_features`."""
        tile = _along_both(_sums_transposed, self._in_tiles(matrices))
        y = lax.optimization_barrier(jnp.stack([jnp.stack(row, 3) for row in tile], 2))
        return y.reshape(-1, 2 * self.rows, 2 * self.columns, y.shape[5])

    def of_kernel(self, kernel: jax.Array) -> jax.Array:
        """What nine products take of a kernel, `[9, stride**2 * C, O]`."""
        s, (c, o) = self.stride, kernel.shape[2:]
        kernel = kernel.reshape(2, s, 2, s, c, o)
        blocks = [[kernel[i, :, j] for j in range(2)] for i in range(2)]
        return _matrices(_along_both(_sums, blocks), o)

    def to_kernel(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_kernel`."""
        s, (_, entries, o) = self.stride, matrices.shape
        blocks = _square(matrices.reshape(3, 3, s, s, entries // s**2, o))
        blocks = _along_both(_sums_transposed, blocks)
        kernel = jnp.stack([jnp.stack(row, 1) for row in blocks])
        return kernel.reshape(2 * s, 2 * s, -1, o)

    def _in_tiles(self, matrices: jax.Array) -> _Square:
        shape = (3, 3, -1, self.rows, self.columns, matrices.shape[2])
        return _square(matrices.reshape(shape))


def _along_both(function: Callable[..., Sequence[Any]], square: _Square) -> _Square:
    """A function of the arrays in a row, applied to all rows, then to all columns."""
    for _ in range(2):
        square = list(zip(*(function(*row) for row in square), strict=True))
    return square


def _differences(a: jax.Array, b: jax.Array, c: jax.Array) -> Sequence[jax.Array]:
    return a - b, b, c - b


def _differences_transposed(
    a: jax.Array, b: jax.Array, c: jax.Array
) -> Sequence[jax.Array]:
    return a, b - a - c, c


def _sums(a: jax.Array, b: jax.Array) -> Sequence[jax.Array]:
    return a, a + b, b


def _sums_transposed(a: jax.Array, b: jax.Array, c: jax.Array) -> Sequence[jax.Array]:
    return a + b, b + c


def _square(arrays: jax.Array) -> _Square:
    return [list(row) for row in arrays]


def _matrices(square: _Square, columns: int) -> jax.Array:
    return jnp.stack([x.reshape(-1, columns) for row in square for x in row])


def _pad(
    x: jax.Array, rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> jax.Array:
    """Put so many zeros before, after and between the rows and columns."""
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(0, 0, 0), rows, columns, (0, 0, 0)])
