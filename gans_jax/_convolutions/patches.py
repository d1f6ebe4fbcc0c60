"""Convolutions as one matrix product: that with the patches of the images."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax


@dataclasses.dataclass(frozen=True)
class Patches:
    """Where the patches of an image lie: a form of convolution."""

    size: int
    """Edge of a patch."""
    stride: int
    padding: int
    height: int
    """Of the image, without padding."""
    width: int
    rows: int
    """Of patches."""
    columns: int

    @property
    def blocks(self) -> int:
        """Blocks of `stride` pixels along a patch's edge."""
        return self.size // self.stride

    @property
    def pads(self) -> list[tuple[int, int, int]]:
        """For `lax.pad`: pad, and drop what no patch reaches.

        Then blocks of `stride` pixels tile the image, a patch is a few blocks, and no
        slice needs a stride.
        """
        tall, wide = (
            (patches + self.blocks - 1) * self.stride
            for patches in (self.rows, self.columns)
        )
        return [
            (0, 0, 0),
            (self.padding, tall - self.height - self.padding, 0),
            (self.padding, wide - self.width - self.padding, 0),
            (0, 0, 0),
        ]

    def sizes(self, channels: int, features: int) -> tuple[int, int]:
        """Entries of the matrix of an image, and of that of the kernel."""
        entries = self.size**2 * channels
        return self.rows * self.columns * entries, entries * features

    def of_images(self, x: jax.Array) -> jax.Array:
        """What the kernel sees at each output pixel.

        Returns:
            `[N * H' * W', size**2 * C]`: kernel rows, then blocks of `stride`
            neighbouring columns, in the order of the kernel's own entries.
        """
        x = lax.pad(x, jnp.zeros((), x.dtype), self.pads)
        n, tall, wide, channels = x.shape
        x = x.reshape(n, tall // self.stride, self.stride, wide // self.stride, -1)
        # Stacked on an axis of their own: alone, this copy takes half the time of one
        # that concatenates along the channels, and the memory is the same.
        patches = jnp.stack(
            [
                x[:, i : i + self.rows, phase, j : j + self.columns]
                for i in range(self.blocks)
                for phase in range(self.stride)
                for j in range(self.blocks)
            ],
            axis=3,
        )
        return patches.reshape(-1, self.size**2 * channels)

    def to_images(self, matrix: jax.Array) -> jax.Array:
        """Patches, added up where they overlap: the transpose of `of_images`."""
        blocks, stride = self.blocks, self.stride
        shape = (self.rows, self.columns, blocks, stride, blocks)
        patches = matrix.reshape(-1, *shape, matrix.shape[1] * stride // self.size**2)
        phases = []
        for phase in range(stride):
            total = 0
            for i in range(blocks):
                for j in range(blocks):
                    shift = [(0, 0), (i, blocks - 1 - i), (j, blocks - 1 - j), (0, 0)]
                    total += jnp.pad(patches[:, :, :, i, phase, j], shift)
            phases.append(total)
        out = jnp.stack(phases, axis=2)
        n, tall, _, wide, _ = out.shape
        out = out.reshape(n, tall * stride, wide * stride, -1)
        cuts = [(-low, -high, 0) for low, high, _ in self.pads]
        return lax.pad(out, jnp.zeros((), out.dtype), cuts)

    def of_features(self, y: jax.Array) -> jax.Array:
        """Features as a matrix, `[N * H' * W', O]`."""
        return y.reshape(-1, y.shape[3])

    def to_features(self, matrix: jax.Array) -> jax.Array:
        """The transpose of `of_features`."""
        return matrix.reshape(-1, self.rows, self.columns, matrix.shape[1])

    def of_kernel(self, kernel: jax.Array) -> jax.Array:
        """A kernel as a matrix, `[size**2 * C, O]`."""
        return kernel.reshape(-1, kernel.shape[3])

    def to_kernel(self, matrix: jax.Array) -> jax.Array:
        """The transpose of `of_kernel`."""
        return matrix.reshape(self.size, self.size, -1, matrix.shape[1])
