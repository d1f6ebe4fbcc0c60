"""The gradient of a kernel that keeps the size, as one matrix product.

    g_abco = sum_nij x_n,i+a,j+b,c y_n,i,j,o = sum_nij x_n,i,j+b,c y_n,i-a,j,o

A shift between two images can be made in either. Where the images make all of them, as
for `Patches`, nine copies are written for a 3x3 kernel; where they make those along one
axis, and the features those along the other, three and three.
"""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp

_AXES = (0, 1)


@dataclasses.dataclass(frozen=True)
class Shifts:
    """Who makes which shifts: the half of a form that kernel gradients need."""

    size: int
    """Edge of the kernel."""
    height: int
    """Of the image."""
    width: int
    by_images: tuple[int, ...]
    """Axes of the kernel along which images are shifted; along the others, features."""

    @classmethod
    def fewest(
        cls, size: int, height: int, width: int, channels: int, features: int
    ) -> "Shifts":
        """The form that writes the fewest numbers, for images of so many channels."""
        forms = [cls(size, height, width, axes) for axes in (_AXES, (1,), ())]
        return min(forms, key=lambda form: form.sizes(channels, features))

    @property
    def by_features(self) -> tuple[int, ...]:
        """Axes of the kernel along which features are shifted."""
        return tuple(axis for axis in _AXES if axis not in self.by_images)

    def sizes(self, channels: int, features: int) -> tuple[int, int]:
        """Entries of the matrices of an image, and of that of the kernel."""
        columns = self.size ** len(self.by_images) * channels
        columns += self.size ** len(self.by_features) * features
        return self.height * self.width * columns, self.size**2 * channels * features

    def of_images(self, x: jax.Array) -> jax.Array:
        """Images with their shifts, `[N * H * W, shifts * C]`."""
        for axis in reversed(self.by_images):
            x = self._stack(x, axis, range(self.size))
        return x.reshape(-1, self.size ** len(self.by_images) * x.shape[-1])

    def of_features(self, y: jax.Array) -> jax.Array:
        """Features with theirs, the other way round, `[N * H * W, shifts * O]`."""
        for axis in reversed(self.by_features):
            y = self._stack(y, axis, reversed(range(self.size)))
        return y.reshape(-1, self.size ** len(self.by_features) * y.shape[-1])

    def to_kernel(self, matrix: jax.Array) -> jax.Array:
        """The kernel's gradient, `[size, size, C, O]`, of the product of both."""
        order = (*self.by_images, 2, *self.by_features, 3)
        edges = {0: self.size, 1: self.size}
        edges[2] = matrix.shape[0] // self.size ** len(self.by_images)
        edges[3] = matrix.shape[1] // self.size ** len(self.by_features)
        gradient = matrix.reshape([edges[axis] for axis in order])
        return gradient.transpose([order.index(axis) for axis in range(4)])

    def _stack(self, x: jax.Array, axis: int, starts: Iterable[int]) -> jax.Array:
        """Shifted along the height or the width, on a new axis behind both."""
        pad, length = self.size // 2, x.shape[1 + axis]
        pads = [(pad, pad) if k == 1 + axis else (0, 0) for k in range(x.ndim)]
        padded = jnp.pad(x, pads)
        shifted = [
            jax.lax.slice_in_dim(padded, start, start + length, axis=1 + axis)
            for start in starts
        ]
        return jnp.stack(shifted, axis=3)
