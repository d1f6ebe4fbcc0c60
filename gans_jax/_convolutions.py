"""Two-dimensional convolutions in NHWC that are fast on CPUs and accelerators alike.

On a GPU or TPU both functions are XLA's own convolutions. On a CPU XLA's transposed
convolution is up to twenty times slower than PyTorch's, above all in its gradients, so
there the same sums are written as matrix products with the *patches* of the images.
Patches take four times the memory of their images; written out for a whole batch they
can cost as much time as the product itself. Made for a few images at a time, they stay
in the processor's cache and cost a tenth to a quarter.

A convolution, its transpose and the gradient of its kernel are the derivatives of one
sum over products of a pixel, a weight and a feature. So the derivatives of each are the
other two, and declaring that makes derivatives of every order as fast as the first.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Bytes of patches that are made at a time: about what a core's own cache holds.
_CACHE = 2 * 2**20


def conv(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """Convolve as `torch.nn.functional.conv2d` does, in NHWC.

    Args:
        x: images, `[N, H, W, C]`.
        kernel: square kernel, `[k, k, C, O]`: PyTorch's `weight.transpose(2, 3, 1, 0)`.
        stride: step between neighbouring patches, in both directions.
        padding: zeros added on every side of the images.

    Returns:
        `[N, H', W', O]` with `H' = (H + 2 * padding - k) // stride + 1`.
    """
    size = kernel.shape[0]
    if not _as_matmul(size, stride, padding):
        pads = [(padding, padding)] * 2
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT
        )
    grid = _Grid.of(size, stride, padding, x.shape[1], x.shape[2])
    return _features(grid, x, kernel)


def conv_transpose(
    x: jax.Array, kernel: jax.Array, *, stride: int, padding: int
) -> jax.Array:
    """Convolve as `torch.nn.functional.conv_transpose2d` does, in NHWC.

    Args:
        x: images, `[N, H, W, C]`.
        kernel: square kernel, `[k, k, O, C]`: PyTorch's `weight.transpose(2, 3, 1, 0)`,
            not flipped.
        stride: step between the places where neighbouring pixels are written.
        padding: pixels cut from every side of the result.

    Returns:
        `[N, H', W', O]` with `H' = (H - 1) * stride + k - 2 * padding`.
    """
    size = kernel.shape[0]
    if not _as_matmul(size, stride, padding):
        # XLA pads the dilated input, PyTorch counts what is cut from the output.
        pads = [(size - 1 - padding,) * 2] * 2
        return lax.conv_transpose(
            x,
            kernel,
            (stride, stride),
            pads,
            dimension_numbers=_LAYOUT,
            transpose_kernel=True,
        )
    height, width = ((n - 1) * stride + size - 2 * padding for n in x.shape[1:3])
    return _images(_Grid.of(size, stride, padding, height, width), x, kernel)


def _as_matmul(size: int, stride: int, padding: int) -> bool:
    """Whether the matrix product is both possible and the faster form.

    The device is asked for in Python, while tracing, so only one form is ever traced,
    differentiated and compiled.
    """
    # Whole blocks of `stride` pixels must tile the kernel, and a padding wider than the
    # kernel's reach would ask the transposed form to cut more than it has written.
    return _platform() == "cpu" and size % stride == 0 and padding < size


def _platform() -> str:
    """What the computation is traced for: the default device, if one has been set."""
    # A checker does not see the settings, which JAX defines as it is imported.
    device = getattr(jax.config, "jax_default_device", None)
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


class _Grid(NamedTuple):
    """Where the patches of an image lie."""

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

    @classmethod
    def of(
        cls, size: int, stride: int, padding: int, height: int, width: int
    ) -> "_Grid":
        rows, columns = (
            (length + 2 * padding - size) // stride + 1 for length in (height, width)
        )
        if rows == columns == 1:
            stride = size  # A single patch takes no step: it is one block.
        return cls(size, stride, padding, height, width, rows, columns)

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

    def split(self, x: jax.Array, matrix: tuple[int, ...]) -> jax.Array:
        """A batch in equal parts, `[parts, N / parts, ...]`.

        Args:
            x: images or features.
            matrix: shape of the kernel as a matrix, `[size * size * C, O]`.
        """
        n, itemsize = len(x), x.dtype.itemsize
        # Every part passes over the whole kernel, so it is at least as large as that.
        enough = max(_CACHE, math.prod(matrix) * itemsize)
        needed = n * self.rows * self.columns * matrix[0] * itemsize / enough
        parts = (k for k in range(1, n) if n % k == 0 and k >= needed)
        return x.reshape(next(parts, n), -1, *x.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _features(grid: _Grid, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of images."""
    matrix = kernel.reshape(-1, kernel.shape[3])

    def of_part(x: jax.Array) -> jax.Array:
        # Two-dimensional operands, because XLA's CPU product is fastest on them.
        return _patches(grid, x).reshape(-1, len(matrix)) @ matrix

    features = _map(of_part, grid.split(x, matrix.shape))
    return features.reshape(len(x), grid.rows, grid.columns, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _images(grid: _Grid, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution of features."""
    matrix = kernel.reshape(-1, kernel.shape[3])

    def of_part(y: jax.Array) -> jax.Array:
        return _overlap_add(grid, y.reshape(-1, y.shape[3]) @ matrix.T)

    images = _map(of_part, grid.split(y, matrix.shape))
    return images.reshape(len(y), grid.height, grid.width, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(grid: _Grid, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of `_features` with respect to its kernel."""
    kernel = (grid.size, grid.size, x.shape[3], y.shape[3])
    matrix = (math.prod(kernel[:3]), kernel[3])
    xs, ys = grid.split(x, matrix), grid.split(y, matrix)
    # Parts are added up in no less than float32.
    dtype = jnp.promote_types(x.dtype, jnp.float32)

    def of_part(i: int | jax.Array) -> jax.Array:
        a = _patches(grid, _part(xs, i)).reshape(-1, matrix[0])
        b = _part(ys, i).reshape(-1, matrix[1])
        # XLA's product that sums over the first axes of both operands runs, where its
        # result is narrow, at a third of the usual rate. So the narrower operand is
        # turned beforehand, and the barriers keep XLA from undoing that.
        narrow, wide = (a, b) if matrix[0] <= matrix[1] else (b, a)
        narrow = lax.optimization_barrier(narrow.T)
        product = jnp.matmul(narrow, wide, preferred_element_type=dtype)
        return lax.optimization_barrier(product)

    total = lax.fori_loop(
        1, len(xs), lambda i, total: total + of_part(i), of_part(0)
    ).astype(x.dtype)
    return (total if matrix[0] <= matrix[1] else total.T).reshape(kernel)


_features.defvjp(
    lambda grid, x, kernel: (_features(grid, x, kernel), (x, kernel)),
    lambda grid, of, y: (_images(grid, y, of[1]), _kernel_gradient(grid, of[0], y)),
)
_images.defvjp(
    lambda grid, y, kernel: (_images(grid, y, kernel), (y, kernel)),
    lambda grid, of, x: (_features(grid, x, of[1]), _kernel_gradient(grid, x, of[0])),
)
_kernel_gradient.defvjp(
    lambda grid, x, y: (_kernel_gradient(grid, x, y), (x, y)),
    lambda grid, of, kernel: (
        _images(grid, of[1], kernel),
        _features(grid, of[0], kernel),
    ),
)


def _map(function: Callable[[jax.Array], jax.Array], xs: jax.Array) -> jax.Array:
    """What `lax.map` computes, in less memory."""
    if len(xs) == 1:
        return function(xs[0])[None]
    shape = jax.eval_shape(function, xs[0]).shape
    # Filled with any number that comes out of `xs`. Zeros, as in `lax.map`, depend on
    # nothing: XLA would set the results of all convolutions aside when the program
    # starts, and a step of WGAN-GP would take twice the memory.
    out = jnp.broadcast_to(xs[(0,) * xs.ndim], (len(xs), *shape))

    def step(i: jax.Array, out: jax.Array) -> jax.Array:
        return lax.dynamic_update_index_in_dim(out, function(_part(xs, i)), i, 0)

    return lax.fori_loop(0, len(xs), step, out)


def _part(xs: jax.Array, i: int | jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(xs, i, keepdims=False)


def _patches(grid: _Grid, x: jax.Array) -> jax.Array:
    """Gather what the kernel sees at each output pixel.

    Returns:
        `[N, H', W', size * size // stride, stride * C]`: kernel rows, then blocks of
        `stride` neighbouring columns, in the order of the kernel's own entries.
    """
    x = lax.pad(x, jnp.zeros((), x.dtype), grid.pads)
    n, tall, wide, _ = x.shape
    x = x.reshape(n, tall // grid.stride, grid.stride, wide // grid.stride, -1)
    # Stacked on an axis of their own: alone, this copy takes half the time of one that
    # concatenates along the channels, and the memory is the same.
    return jnp.stack(
        [
            x[:, i : i + grid.rows, phase, j : j + grid.columns]
            for i in range(grid.blocks)
            for phase in range(grid.stride)
            for j in range(grid.blocks)
        ],
        axis=3,
    )


def _overlap_add(grid: _Grid, patches: jax.Array) -> jax.Array:
    """Add patches up where they overlap: the transpose of `_patches`.

    Args:
        grid: where they lie.
        patches: `[N * H' * W', size * size * O]`.

    Returns:
        `[N, H, W, O]`.
    """
    blocks, stride = grid.blocks, grid.stride
    shape = (grid.rows, grid.columns, blocks, stride, blocks)
    patches = patches.reshape(-1, *shape, patches.shape[1] * stride // grid.size**2)
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
    cuts = [(-low, -high, 0) for low, high, _ in grid.pads]
    return lax.pad(out, jnp.zeros((), out.dtype), cuts)
