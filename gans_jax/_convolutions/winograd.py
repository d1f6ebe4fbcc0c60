"""Convolutions in four ninths, or nine sixteenths, of the multiplications.

A convolution whose stride divides its kernel is one of *blocks* of stride by stride
pixels, with a kernel of a few *taps*, as many blocks, along each axis. Two neighbours
in its result need, along one axis, one product more than there are taps, where a sum
over the kernel takes twice as many as taps. With two, as in all of DCGAN, three
products instead of four:

    y0 = x0 k0 + x1 k1 = (x0 - x1) k0 + x1 (k0 + k1)
    y1 = x1 k0 + x2 k1 = x1 (k0 + k1) + (x2 - x1) k1

and with three, as in residual networks, four instead of six:

    p = (x0 - x2) k0               q = (x1 + x2) (k0 + k1 + k2) / 2
    s = (x1 - x3) k2               r = (x2 - x1) (k0 - k1 + k2) / 2
    y0 = x0 k0 + x1 k1 + x2 k2 = p + q + r
    y1 = x1 k0 + x2 k1 + x3 k2 = q - r - s

So a *tile*, two by two neighbours, needs nine instead of sixteen, or sixteen instead of
thirty-six, and each of them is one matrix product for all tiles.

References:
    Winograd 1980, "Arithmetic Complexity of Computations", F(2, 2) and F(2, 3); for
    images, Lavin and Gray 2015, arXiv:1509.09308, Section 4.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


@dataclasses.dataclass(frozen=True)
class Winograd:
    """Where tiles lie on the blocks of a padded image: a form of convolution."""

    taps: int
    """Blocks along the kernel's edge."""
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
        """Whether there are rules for the kernel, and tiles make up its results."""
        is_known = size % stride == 0 and size // stride in _RULES
        return is_known and rows % 2 == 0 and columns % 2 == 0

    @property
    def products(self) -> int:
        """For a tile."""
        return (self.taps + 1) ** 2

    def sizes(self, channels: int, features: int) -> tuple[int, int]:
        """Entries of the matrices of an image, and of those of the kernel."""
        entries = self.stride**2 * channels
        tiles = self.rows * self.columns
        of_image = self.products * tiles * (entries + features)
        return of_image, self.products * entries * features

    def of_images(self, x: jax.Array) -> jax.Array:
        """What the products take of images, `[products, N * tiles, stride**2 * C]`."""
        s, (n, _, _, c) = self.stride, x.shape
        # A tile sees one block more than the kernel: these make whole pairs of them.
        tall, wide = self.rows + 1, self.columns + 1
        x = _pad(
            x,
            (self.padding, 2 * tall * s - self.height - self.padding, 0),
            (self.padding, 2 * wide * s - self.width - self.padding, 0),
        )
        x = x.reshape(n, tall, 2, s, wide, 2, s * c).transpose(0, 1, 2, 4, 5, 3, 6)
        # Written out once, here and below: else XLA computes for each product anew
        # whatever it can, back to the layer before.
        x = lax.optimization_barrier(x)
        of_rows, of_columns = (
            [slice(i // 2, i // 2 + tiles) for i in range(self.taps + 1)]
            for tiles in (self.rows, self.columns)
        )
        rule = self._rules.of_images
        seen = [x[:, :, :, tiles, j % 2] for j, tiles in enumerate(of_columns)]
        x = _written(rule(*seen))
        seen = [x[:, :, tiles, i % 2] for i, tiles in enumerate(of_rows)]
        return _matrices(rule(*seen), s * s * c)

    def to_images(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_images`."""
        s, rule = self.stride, self._rules.to_images
        x = _written(rule(*jnp.unstack(self._in_tiles(matrices), axis=1)))
        seen = [jnp.unstack(row) for row in rule(*jnp.unstack(x, axis=1))]
        # Tiles lie two blocks apart: what each has seen, with a gap between them.
        spread = [
            _pad(x, (i, self.taps - i, 1), (j, self.taps - j, 1))
            for i, row in enumerate(seen)
            for j, x in enumerate(row)
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
        """What the products take of features, `[products, N * tiles, O]`."""
        y, rule = lax.optimization_barrier(y), self._rules.of_features
        y = y.reshape(-1, self.rows, 2, self.columns, 2, y.shape[3])
        y = _written(rule(*jnp.unstack(y, axis=4)))
        return _matrices(rule(*jnp.unstack(y, axis=3)), y.shape[5])

    def to_features(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_features`."""
        rule = self._rules.to_features
        y = rule(*jnp.unstack(self._in_tiles(matrices), axis=1))
        y = _written(y, axis=4)
        y = _written(rule(*jnp.unstack(y)), axis=2)
        return y.reshape(-1, 2 * self.rows, 2 * self.columns, y.shape[5])

    def of_kernel(self, kernel: jax.Array) -> jax.Array:
        """What the products take of a kernel, `[products, stride**2 * C, O]`."""
        s, taps, (c, o) = self.stride, self.taps, kernel.shape[2:]
        rule, kernel = self._rules.of_kernel, kernel.reshape(taps, s, taps, s, c, o)
        kernel = _written(rule(*jnp.unstack(kernel, axis=2)))
        return _matrices(rule(*jnp.unstack(kernel, axis=1)), o)

    def to_kernel(self, matrices: jax.Array) -> jax.Array:
        """The transpose of `of_kernel`."""
        s, (_, entries, o) = self.stride, matrices.shape
        edge, rule = self.taps + 1, self._rules.to_kernel
        kernel = matrices.reshape(edge, edge, s, s, entries // s**2, o)
        kernel = _written(rule(*jnp.unstack(kernel, axis=1)), axis=2)
        kernel = jnp.stack(rule(*jnp.unstack(kernel)))
        return kernel.reshape(self.taps * s, self.taps * s, -1, o)

    @property
    def _rules(self) -> "_Rules":
        return _RULES[self.taps]

    def _in_tiles(self, matrices: jax.Array) -> jax.Array:
        """What the products gave, `[taps + 1, taps + 1, N, rows, columns, entries]`."""
        edge = self.taps + 1
        shape = (edge, edge, -1, self.rows, self.columns, matrices.shape[2])
        return matrices.reshape(shape)


_Rule = Callable[..., Sequence[jax.Array]]


class _Rules(NamedTuple):
    """What the products along one axis take of their operands, and the transposes."""

    of_images: _Rule
    to_images: _Rule
    of_features: _Rule
    to_features: _Rule
    of_kernel: _Rule
    to_kernel: _Rule


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


def _of_images(
    a: jax.Array, b: jax.Array, c: jax.Array, d: jax.Array
) -> Sequence[jax.Array]:
    return a - c, b + c, c - b, b - d


def _to_images(
    p: jax.Array, q: jax.Array, r: jax.Array, s: jax.Array
) -> Sequence[jax.Array]:
    return p, q - r + s, q + r - p, -s


def _of_features(a: jax.Array, b: jax.Array) -> Sequence[jax.Array]:
    return a, a + b, a - b, -b


def _to_features(
    p: jax.Array, q: jax.Array, r: jax.Array, s: jax.Array
) -> Sequence[jax.Array]:
    return p + q + r, q - r - s


def _of_kernel(a: jax.Array, b: jax.Array, c: jax.Array) -> Sequence[jax.Array]:
    return a, (a + b + c) / 2, (a - b + c) / 2, c


def _to_kernel(
    p: jax.Array, q: jax.Array, r: jax.Array, s: jax.Array
) -> Sequence[jax.Array]:
    return p + (q + r) / 2, (q - r) / 2, (q + r) / 2 + s


# By the number of taps, as this module's page has them.
_RULES = {
    2: _Rules(
        of_images=_differences,
        to_images=_differences_transposed,
        of_features=_sums,
        to_features=_sums_transposed,
        of_kernel=_sums,
        to_kernel=_sums_transposed,
    ),
    3: _Rules(
        of_images=_of_images,
        to_images=_to_images,
        of_features=_of_features,
        to_features=_to_features,
        of_kernel=_of_kernel,
        to_kernel=_to_kernel,
    ),
}


def _written(arrays: Sequence[jax.Array], axis: int = 0) -> jax.Array:
    """Stacked, and written out: one axis is done with before the other begins.

    Else XLA makes one function of both, which takes three times as long to compile, and
    longer to run.
    """
    return lax.optimization_barrier(jnp.stack(arrays, axis))


def _matrices(arrays: Sequence[jax.Array], columns: int) -> jax.Array:
    """What is `[taps + 1, ...]` for each product along rows, of so many columns."""
    return jnp.stack(arrays).reshape(len(arrays) ** 2, -1, columns)


def _pad(
    x: jax.Array, rows: tuple[int, int, int], columns: tuple[int, int, int]
) -> jax.Array:
    """Put so many zeros before, after and between the rows and columns."""
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(0, 0, 0), rows, columns, (0, 0, 0)])
