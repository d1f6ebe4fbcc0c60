"""Layers of the networks, computing what PyTorch's layers of the same names compute.

Those of `torch.nn` are written out in `_nn.py`, and exported from here; what they
lack follows. Images are NHWC. Each layer states what its arrays are: see
`shared.statements`.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Integer

from gans_jax import distribution
from gans_jax._nn import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    InstanceNorm2d,
    Linear,
    widen,
)
from gans_jax._parametrizations import SpectralNorm, WeightNorm
from gans_jax._stated import Weighted
from gans_jax.shapes import Images
from shared.randomness.starts import DCGAN, DCGAN_GAIN, ZEROS
from shared.statements import GAIN, MATRIX, Start, Statement

__all__ = [
    "BatchNorm2d",
    "ConditionalBatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "Embedding",
    "GroupNorm",
    "InstanceNorm2d",
    "Linear",
    "MinibatchDiscrimination",
    "MinibatchStd",
    "ModulatedBatchNorm2d",
    "SelfAttention",
    "average_pool",
    "blur",
    "blur_downsample",
    "blur_upsample",
    "build_norm",
    "leaky_relu",
    "max_pool",
    "needs_bias",
    "normalise",
    "reparametrise",
    "upsample",
]

# Bound to the class, not its name: checkers of types look names up here.
LayerT = TypeVar("LayerT", bound=Weighted)


class ConditionalBatchNorm2d(nnx.Module):
    """Batch norm whose gain and bias are rows of a table, one row for each class.

    Args:
        num_features: channels.
        num_classes: rows of the tables.

    References:
        Dumoulin et al. 2017, arXiv:1610.07629, Eq. 5 (for instance norm);
        de Vries et al. 2017, arXiv:1707.00683.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        self.norm = BatchNorm2d(num_features, eps=1e-5, momentum=0.1, affine=False)
        gain, bias = (Embedding(num_classes, num_features) for _ in range(2))
        self.gain_embedding = gain.starting(DCGAN_GAIN)
        self.bias_embedding = bias.starting(ZEROS)

    def starting(self, start: Start) -> "ConditionalBatchNorm2d":
        """The same normalisation, whose gains start so."""
        self.gain_embedding.starting(start)
        return self

    def __call__(self, x: Images, labels: Integer[Array, " batch"]) -> Images:
        """Normalise over the whole batch, then scale and shift by each label's row."""
        gain = self.gain_embedding(labels)[:, None, None, :]
        bias = self.bias_embedding(labels)[:, None, None, :]
        return (self.norm(x) * gain + bias).astype(x.dtype)


class MinibatchDiscrimination(nnx.Module):
    """How close each sample is to the others of its batch, as extra features.

    M_i = f_i T,  o_ib = sum_j exp(-||M_ib - M_jb||_1), the sample itself included

    Args:
        in_features: length of a flattened (channels, height, width) feature map.
        kernels: B, the number of features made.
        kernel_size: C, the length that the L1 distance runs over.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.2.
    """

    def __init__(self, in_features: int, kernels: int, kernel_size: int = 16) -> None:
        self.kernels = kernels
        self.weight = nnx.Param(jnp.zeros((in_features, kernels * kernel_size)))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"weight": Statement(MATRIX, DCGAN)}

    def __call__(self, x: Images) -> Float[Array, "batch kernels"]:
        """Closeness by kernel; 1 is the sample's own share."""
        # Flattened in PyTorch's order, because the rows of T are.
        flat = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        m = (flat @ self.weight[...].astype(x.dtype)).reshape(len(x), self.kernels, -1)
        difference = m[:, None] - distribution.gather(m)[None]
        # sign, and so the gradient of |x|, is 0 at 0, where each sample meets itself.
        distance = (difference * jax.lax.stop_gradient(jnp.sign(difference))).sum(3)
        return jnp.exp(-distance).sum(axis=1)


class MinibatchStd(nnx.Module):
    """Mean standard deviation over a group of samples, one number for each group.

    Groups are strided: sample i belongs to group i mod (batch / group_size).

    Args:
        group_size: samples in a group; a smaller batch is one group.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 3.
    """

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size

    def __call__(self, x: Images) -> Float[Array, " batch"]:
        """The statistic of each sample's group (biased variance, 1e-8 under the root).

        Raises:
            ValueError: the batch is no multiple of the group.
        """
        every = widen(distribution.gather(x))
        batch = every.shape[0]
        size = min(self.group_size, batch)
        if batch % size:
            raise ValueError(f"batch {batch}: must be a multiple of {size}")
        groups = every.reshape(size, batch // size, -1)
        centred = groups - groups.mean(axis=0, keepdims=True)
        variance = jnp.square(centred).mean(axis=0)
        spread = jnp.tile(jnp.sqrt(variance + 1e-8).mean(axis=1), size)
        return distribution.own(spread).astype(x.dtype)


class ModulatedBatchNorm2d(nnx.Module):
    """Batch norm whose gain and bias are linear in a condition of each sample.

    y = (1 + W_g c) norm(x) + W_b c

    Args:
        num_features: channels.
        condition_features: length of c.
        weight_norm: kind for `reparametrise`, of both matrices.
        start: how both start.

    References:
        Brock et al. 2019, arXiv:1809.11096, section 3 and appendix B.
    """

    def __init__(
        self,
        num_features: int,
        condition_features: int,
        weight_norm: str,
        start: Start = DCGAN,
    ) -> None:
        self.norm = BatchNorm2d(num_features, eps=1e-5, momentum=0.1, affine=False)
        self.gain, self.bias = (
            reparametrise(
                Linear(condition_features, num_features, bias=False).starting(start),
                weight_norm,
            )
            for _ in range(2)
        )

    def __call__(
        self, x: Images, condition: Float[Array, "batch condition_features"]
    ) -> Images:
        """Normalise over the batch, then scale and shift as each condition says."""
        gain = self.gain(condition)[:, None, None, :]
        bias = self.bias(condition)[:, None, None, :]
        return (self.norm(x) * (1 + gain) + bias).astype(x.dtype)


class SelfAttention(nnx.Module):
    """Each pixel takes from all others what it asks for; at the start, nothing.

    b_ij = softmax over j of <q_i, k_j>,  y_i = gain W sum_j b_ij v_j + x_i

    Queries q and keys k have an eighth of the channels, values v half of them; keys and
    values are the largest of each square of four pixels, as in the authors' code.

    Args:
        channels: of the images.
        weight_norm: kind for `reparametrise`.
        start: how the four kernels start; the gain starts at 0.

    References:
        Zhang et al. 2019, arXiv:1805.08318, Eq. 1 to 3.
    """

    def __init__(self, channels: int, weight_norm: str, start: Start = DCGAN) -> None:
        def conv1(in_channels: int, out_channels: int) -> nnx.Module:
            conv = Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
            return reparametrise(conv.starting(start), weight_norm)

        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = conv1(channels, few)
        self.key = conv1(channels, few)
        self.value = conv1(channels, half)
        self.out = conv1(half, channels)
        self.gain = nnx.Param(jnp.zeros(1))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"gain": Statement(GAIN, ZEROS)}

    def __call__(self, x: Images) -> Images:
        """The images, and what each pixel found in all of them."""
        query = _flat(self.query(x))
        key = _flat(max_pool(self.key(x)))
        value = _flat(max_pool(self.value(x)))
        shares = jax.nn.softmax(widen(query @ key.mT), axis=2).astype(x.dtype)
        found = (shares @ value).reshape(*x.shape[:3], -1)
        return (self.gain[...][None, None, None, :] * self.out(found) + x).astype(
            x.dtype
        )


def needs_bias(norm: str) -> bool:
    """Whether a convolution that feeds that normalisation has a bias.

    Batch and instance norm cancel it: its gradient would be rounding noise, which Adam
    turns into steps of full size.
    """
    return norm not in ("batch", "conditional-batch", "instance")


def build_norm(
    name: str, channels: int, num_classes: int = 0, start: Start = DCGAN_GAIN
) -> nnx.Module | None:
    """The normalisation of that name.

    Args:
        name: ``batch``, ``conditional-batch``, ``instance``, ``layer`` (over all
            channels and pixels of a sample), ``group`` (up to 8 groups) or
            ``none``.
        channels: channels of its input.
        num_classes: rows of the tables of ``conditional-batch``.
        start: how its gains start.

    Returns:
        The module; None for ``none``.

    Raises:
        ValueError: there is no normalisation of that name.
    """
    match name:
        case "batch":
            return BatchNorm2d(channels, eps=1e-5, momentum=0.1).starting(start)
        case "conditional-batch":
            return ConditionalBatchNorm2d(channels, num_classes).starting(start)
        case "instance":
            return InstanceNorm2d(channels, eps=1e-5, affine=True).starting(start)
        case "layer":
            return GroupNorm(1, channels, eps=1e-5).starting(start)
        case "group":
            # Of two channels at the least: in a group of its own, a channel would
            # lose the bias that the convolution before has given it.
            fitting = (g for g in range(2, 9) if channels % g == 0 and g < channels)
            groups = max(fitting, default=1)
            return GroupNorm(groups, channels, eps=1e-5).starting(start)
        case "none":
            return None
        case _:
            raise ValueError(f"name {name!r}: no such normalisation")


def normalise(
    norm: nnx.Module | None, x: Images, labels: Integer[Array, " batch"] | None = None
) -> Images:
    """What one of `build_norm` makes of images; None leaves them as they are.

    Args:
        norm: the normalisation.
        x: images.
        labels: class ids, which ``conditional-batch`` alone looks at.
    """
    if labels is not None and isinstance(norm, ConditionalBatchNorm2d):
        return norm(x, labels)
    return x if norm is None else norm(x)


def reparametrise(layer: LayerT, kind: str) -> LayerT:
    """Put a constraint on a layer's weight, in place.

    Args:
        layer: Conv2d, ConvTranspose2d, Linear or Embedding.
        kind: ``none``; ``spectral``, W / sigma(W), by one power iteration at each
            forward pass in training mode; ``weight``, g v / ||v||, a length for each
            output channel, or row of a table.

    Returns:
        The same layer.

    Raises:
        ValueError: there is no constraint of that name.

    References:
        Miyato et al. 2018, arXiv:1802.05957, Algorithm 1 (spectral).
        Salimans and Kingma 2016, arXiv:1602.07868, Eq. 2 (weight).
    """
    match kind:
        case "none":
            return layer
        case "spectral":
            layer.constraint = SpectralNorm(layer.weight[...], layer.kind)
        case "weight":
            layer.constraint = WeightNorm(layer.weight[...], layer.kind)
        case _:
            raise ValueError(f"kind {kind!r}: no such reparametrisation")
    return layer


def leaky_relu(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """max(x, 0.2 x), DCGAN's activation of D; its slope at 0 is 0.2."""
    # Not jax.nn.leaky_relu, whose slope at 0 is 1.
    return jnp.where(x > 0, x, 0.2 * x)


def upsample(x: Images) -> Float[Array, "batch out_height out_width channels"]:
    """Twice the height and width: each pixel becomes a square of four."""
    n, height, width, channels = x.shape
    squares = (n, height, 2, width, 2, channels)
    return jnp.broadcast_to(x[:, :, None, :, None], squares).reshape(
        n, 2 * height, 2 * width, channels
    )


def average_pool(x: Images) -> Float[Array, "batch out_height out_width channels"]:
    """Half the height and width, which are even: the mean of each square of four."""
    return _squares(x).mean(axis=(2, 4))


def max_pool(x: Images) -> Float[Array, "batch out_height out_width channels"]:
    """Half the height and width: the largest of each square of four.

    Those that are equal share its gradient. An odd last row, or column, has squares of
    its own, of two.
    """
    for axis in (1, 2):
        if x.shape[axis] % 2:  # which twice is as large, and has all of the gradient
            last = jax.lax.slice_in_dim(x, -1, None, axis=axis)
            x = jnp.concatenate([x, last], axis=axis)
    return _squares(x).max(axis=(2, 4))


def blur_upsample(x: Images) -> Float[Array, "batch out_height out_width channels"]:
    """Twice the height and width, smoothly: a transposed convolution with [1, 3, 3, 1].

    Along each axis every pixel becomes two, each three quarters its own and one quarter
    its neighbour's; beyond the border there are zeros.

    References:
        Karras et al. 2020, arXiv:1912.04958, appendix B (the filter).
    """
    for axis in (1, 2):
        size = x.shape[axis]
        padded = _padded(x, axis)
        before, after = (
            jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            for start in (0, 2)
        )
        both = jnp.stack([3 * x + before, 3 * x + after], axis=axis + 1)
        x = both.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :]) / 4
    return x


def blur_downsample(x: Images) -> Float[Array, "batch out_height out_width channels"]:
    """Half the height and width, which are even, smoothly: the filter [1, 3, 3, 1] / 8.

    References:
        As for `blur_upsample`.
    """
    for axis in (1, 2):
        size = x.shape[axis] // 2
        padded = _padded(x, axis)
        # Every second pixel, from each of the first four on.
        first, second, third, fourth = (
            jax.lax.slice_in_dim(padded, start, start + 2 * size - 1, 2, axis)
            for start in range(4)
        )
        x = (3 * (second + third) + first + fourth) / 8
    return x


def blur(
    x: Images, padding: int
) -> Float[Array, "batch out_height out_width channels"]:
    """The filter [1, 3, 3, 1] / 8 along both axes: 3 pixels less, and the padding.

    Args:
        x: images.
        padding: zeros on every side.

    References:
        As for `blur_upsample`.
    """
    for axis in (1, 2):
        padded = _padded(x, axis, padding)
        size = padded.shape[axis] - 3
        first, second, third, fourth = (
            jax.lax.slice_in_dim(padded, start, start + size, axis=axis)
            for start in range(4)
        )
        x = (3 * (second + third) + first + fourth) / 8
    return x


def _squares(x: Images) -> Float[Array, "batch out_height 2 out_width 2 channels"]:
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels)


def _flat(x: Images) -> Float[Array, "batch pixels channels"]:
    return x.reshape(x.shape[0], -1, x.shape[3])


def _padded(
    x: Float[Array, "batch height width channels"], axis: int, padding: int = 1
) -> Float[Array, "batch padded_height padded_width channels"]:
    """With so many rows, or columns, of zeros on both sides."""
    pads = (padding, padding)
    return jnp.pad(x, [pads if i == axis else (0, 0) for i in range(4)])
