"""Two-dimensional convolutions in NHWC that are fast on CPUs and accelerators alike.

On a GPU or TPU both functions are XLA's own convolutions. On a CPU XLA's transposed
convolution is up to twenty times slower than PyTorch's, above all in its gradients, so
there the same sums are written as one large matrix product between the kernel and the
*patches* of the image. Everything around the product is linear and made of slices, so
every derivative, of any order, is again a matrix product and a copy.
"""

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(x: jax.Array, kernel: jax.Array, *, stride: int, padding: int) -> jax.Array:
    """Convolves as `torch.nn.functional.conv2d` does, in NHWC.

    Args:
        x: Images, `[N, H, W, C]`.
        kernel: Square kernel, `[k, k, C, O]`: PyTorch's `weight.transpose(2, 3, 1, 0)`.
        stride: Step between neighbouring patches, in both directions.
        padding: Zeros added on every side of the images.

    Returns:
        `[N, H', W', O]` with `H' = (H + 2 * padding - k) // stride + 1`.
    """
    size, _, _, features = kernel.shape
    if not _as_matmul(size, stride, padding):
        pads = [(padding, padding)] * 2
        return lax.conv_general_dilated(
            x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT
        )
    patches = _patches(x, size, stride, padding)
    n, height, width = patches.shape[:3]
    # Two-dimensional operands, because XLA's CPU product is fastest on them.
    out = patches.reshape(n * height * width, -1) @ kernel.reshape(-1, features)
    return out.reshape(n, height, width, features)


def conv_transpose(
    x: jax.Array, kernel: jax.Array, *, stride: int, padding: int
) -> jax.Array:
    """Convolves as `torch.nn.functional.conv_transpose2d` does, in NHWC.

    Args:
        x: Images, `[N, H, W, C]`.
        kernel: Square kernel, `[k, k, O, C]`: PyTorch's `weight.transpose(2, 3, 1, 0)`,
            not flipped.
        stride: Step between the places where neighbouring pixels are written.
        padding: Pixels cut from every side of the result.

    Returns:
        `[N, H', W', O]` with `H' = (H - 1) * stride + k - 2 * padding`.
    """
    size, _, features, channels = kernel.shape
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
    n, height, width, _ = x.shape
    patches = x.reshape(-1, channels) @ kernel.reshape(-1, channels).T
    patches = patches.reshape(n, height, width, -1, stride * features)
    return _overlap_add(patches, size, stride, padding)


def _as_matmul(size: int, stride: int, padding: int) -> bool:
    """Says whether the matrix product is both possible and the faster form.

    The device is asked for in Python, while tracing, so only one form is ever traced,
    differentiated and compiled.
    """
    # Whole blocks of `stride` pixels must tile the kernel, and a padding wider than the
    # kernel's reach would ask the transposed form to cut more than it has written.
    return jax.default_backend() == "cpu" and size % stride == 0 and padding < size


def _patches(x: jax.Array, size: int, stride: int, padding: int) -> jax.Array:
    """Gathers what the kernel sees at each output pixel.

    Returns:
        `[N, H', W', size * size // stride, stride * C]`: kernel rows, then blocks of
        `stride` neighbouring columns, in the order of the kernel's own entries.
    """
    n, height, width, channels = x.shape
    blocks = size // stride
    rows = (height + 2 * padding - size) // stride + 1
    columns = (width + 2 * padding - size) // stride + 1
    # Pads, and drops what no patch reaches, so that blocks of `stride` pixels tile the
    # image. Then a patch is a few blocks, and no slice below needs a stride.
    tall, wide = rows + blocks - 1, columns + blocks - 1
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        [
            (0, 0, 0),
            (padding, tall * stride - height - padding, 0),
            (padding, wide * stride - width - padding, 0),
            (0, 0, 0),
        ],
    )
    x = x.reshape(n, tall, stride, wide, stride * channels)
    # Stacked on an axis of their own: alone, this copy takes half the time of one that
    # concatenates along the channels, and the memory is the same.
    return jnp.stack(
        [
            x[:, i // stride : i // stride + rows, i % stride, j : j + columns]
            for i in range(size)
            for j in range(blocks)
        ],
        axis=3,
    )


def _overlap_add(patches: jax.Array, size: int, stride: int, padding: int) -> jax.Array:
    """Adds patches up where they overlap: the transpose of `_patches`.

    Args:
        patches: `[N, H, W, size * size // stride, stride * O]`.
        size: Edge of a patch.
        stride: Step between neighbouring patches.
        padding: Pixels cut from every side of the sum.

    Returns:
        `[N, (H - 1) * stride + size - 2 * padding, ..., O]`.
    """
    n, rows, columns, pieces, _ = patches.shape
    blocks = size // stride
    # Split, not indexed: the derivative of a split is one concatenation, that of
    # indexing a sum of zero-padded arrays.
    pieces = [piece.squeeze(3) for piece in lax.split(patches, [1] * pieces, axis=3)]
    phases = []
    for phase in range(stride):
        total = 0
        for i in range(blocks):
            for j in range(blocks):
                piece = pieces[(i * stride + phase) * blocks + j]
                shift = [(0, 0), (i, blocks - 1 - i), (j, blocks - 1 - j), (0, 0)]
                total += jnp.pad(piece, shift)
        phases.append(total)
    out = jnp.stack(phases, axis=2)
    tall, wide = (rows + blocks - 1) * stride, (columns + blocks - 1) * stride
    out = out.reshape(n, tall, wide, -1)
    return out[:, padding : tall - padding, padding : wide - padding]
