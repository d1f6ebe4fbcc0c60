"""Layers of the networks: PyTorch's own, and what they lack.

The names of `torch.nn` are exported from here because `gans_jax.layers` defines layers
of the same names that compute the same. Each layer states what its arrays are: see
`shared.statements`.
"""

from collections.abc import Callable
from contextlib import nullcontext

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from gans_torch import _nn, distribution
from gans_torch._nn import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GroupNorm,
    InstanceNorm2d,
    Linear,
)
from gans_torch._stated import Weighted
from gans_torch.shapes import Images
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

_Pixels = Float[Tensor, "..."]

# Pixels of an axis up to which a filter is a product. On a GPU it is faster by far, on
# a CPU up to 64, and no step takes longer for it up to here.
_LONGEST = 256


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose gain and bias are rows of a table, one row for each class.

    Args:
        num_features: channels.
        num_classes: rows of the tables.

    References:
        Dumoulin et al. 2017, arXiv:1610.07629, Eq. 5 (for instance norm);
        de Vries et al. 2017, arXiv:1707.00683.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(num_features, eps=1e-5, momentum=0.1, affine=False)
        gain, bias = (Embedding(num_classes, num_features) for _ in range(2))
        self.gain_embedding = gain.starting(DCGAN_GAIN)
        self.bias_embedding = bias.starting(ZEROS)

    def starting(self, start: Start) -> "ConditionalBatchNorm2d":
        """The same normalisation, whose gains start so."""
        self.gain_embedding.starting(start)
        return self

    def forward(self, x: Images, labels: Integer[Tensor, " batch"]) -> Images:
        """Normalise over the whole batch, then scale and shift by each label's row."""
        labels = labels.long()
        gain = self.gain_embedding(labels)[:, :, None, None]
        bias = self.bias_embedding(labels)[:, :, None, None]
        return (self.norm(x) * gain + bias).to(x.dtype)


class MinibatchDiscrimination(nn.Module):
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
        super().__init__()
        self.kernels = kernels
        self.weight = nn.Parameter(torch.empty(in_features, kernels * kernel_size))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"weight": Statement(MATRIX, DCGAN)}

    def forward(self, x: Images) -> Float[Tensor, "batch kernels"]:
        """Closeness by kernel; 1 is the sample's own share."""
        m = (x.flatten(1) @ self.weight).unflatten(1, (self.kernels, -1))
        # abs has gradient 0 at 0, where each sample meets itself.
        distance = (m[:, None] - distribution.gather(m)[None]).abs().sum(dim=3)
        return torch.exp(-distance).sum(dim=1)


class MinibatchStd(nn.Module):
    """Mean standard deviation over a group of samples, one number for each group.

    Groups are strided: sample i belongs to group i mod (batch / group_size).

    Args:
        group_size: samples in a group; a smaller batch is one group.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 3.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Images) -> Float[Tensor, " batch"]:
        """The statistic of each sample's group (biased variance, 1e-8 under the root).

        Raises:
            ValueError: the batch is no multiple of the group.
        """
        every = _nn.widen(distribution.gather(x))
        batch = every.shape[0]
        size = min(self.group_size, batch)
        if batch % size:
            raise ValueError(f"batch {batch}: must be a multiple of {size}")
        groups = every.reshape(size, batch // size, -1)
        variance = torch.square(groups - groups.mean(dim=0)).mean(dim=0)
        spread = torch.sqrt(variance + 1e-8).mean(dim=1).repeat(size)
        return distribution.own(spread).to(x.dtype)


class ModulatedBatchNorm2d(nn.Module):
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
        super().__init__()
        self.norm = BatchNorm2d(num_features, eps=1e-5, momentum=0.1, affine=False)
        self.gain, self.bias = (
            reparametrise(
                Linear(condition_features, num_features, bias=False).starting(start),
                weight_norm,
            )
            for _ in range(2)
        )

    def forward(
        self, x: Images, condition: Float[Tensor, "batch condition_features"]
    ) -> Images:
        """Normalise over the batch, then scale and shift as each condition says."""
        gain = self.gain(condition)[:, :, None, None]
        bias = self.bias(condition)[:, :, None, None]
        return self.norm(x) * (1 + gain) + bias


class SelfAttention(nn.Module):
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
        super().__init__()

        def conv1(in_channels: int, out_channels: int) -> nn.Module:
            conv = Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
            return reparametrise(conv.starting(start), weight_norm)

        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = conv1(channels, few)
        self.key = conv1(channels, few)
        self.value = conv1(channels, half)
        self.out = conv1(half, channels)
        self.gain = nn.Parameter(torch.empty(1))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"gain": Statement(GAIN, ZEROS)}

    def forward(self, x: Images) -> Images:
        """The images, and what each pixel found in all of them."""
        query = self.query(x).flatten(2)
        key = max_pool(self.key(x)).flatten(2)
        value = max_pool(self.value(x)).flatten(2)
        # Not scaled_dot_product_attention, whose fast forms have no second derivative.
        shares = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        found = (value @ shares.transpose(1, 2)).unflatten(2, x.shape[2:])
        return (self.gain * self.out(found) + x).to(x.dtype)


def needs_bias(norm: str) -> bool:
    """Whether a convolution that feeds that normalisation has a bias.

    Batch and instance norm cancel it: its gradient would be rounding noise, which Adam
    turns into steps of full size.
    """
    return norm not in ("batch", "conditional-batch", "instance")


def build_norm(
    name: str, channels: int, num_classes: int = 0, start: Start = DCGAN_GAIN
) -> nn.Module | None:
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
    norm: nn.Module | None, x: Images, labels: Integer[Tensor, " batch"] | None = None
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


def reparametrise(layer: nn.Module, kind: str) -> nn.Module:
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
    assert isinstance(layer, Weighted), f"{layer} states no kind of its weight"
    # Output channels are the second axis of a transposed convolution's weight.
    out_axis = layer.kind.axes.index("out")
    match kind:
        case "none":
            return layer
        case "spectral":
            return parametrizations.spectral_norm(
                layer, n_power_iterations=1, eps=1e-12, dim=out_axis
            )
        case "weight":
            return parametrizations.weight_norm(layer, dim=out_axis)
        case _:
            raise ValueError(f"kind {kind!r}: no such reparametrisation")


def leaky_relu(x: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """max(x, 0.2 x), DCGAN's activation of D; its slope at 0 is 0.2."""
    return nn.functional.leaky_relu(x, negative_slope=0.2)


def upsample(x: Images) -> Float[Tensor, "batch channels out_height out_width"]:
    """Twice the height and width: each pixel becomes a square of four."""
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")


def average_pool(x: Images) -> Float[Tensor, "batch channels out_height out_width"]:
    """Half the height and width, which are even: the mean of each square of four."""
    return nn.functional.avg_pool2d(x, kernel_size=2)


def max_pool(x: Images) -> Float[Tensor, "batch channels out_height out_width"]:
    """Half the height and width: the largest of each square of four.

    Those that are equal share its gradient. An odd last row, or column, has squares of
    its own, of two.
    """
    for axis in (2, 3):
        if x.shape[axis] % 2:  # which twice is as large, and has all of the gradient
            x = torch.cat([x, x.narrow(axis, -1, 1)], dim=axis)
    # Not max_pool2d, whose gradient goes to one of them alone.
    return x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))


def blur_upsample(x: Images) -> Float[Tensor, "batch channels out_height out_width"]:
    """Twice the height and width, smoothly: a transposed convolution with [1, 3, 3, 1].

    Along each axis every pixel becomes two, each three quarters its own and one quarter
    its neighbour's; beyond the border there are zeros.

    References:
        Karras et al. 2020, arXiv:1912.04958, appendix B (the filter).
    """

    def along(x: _Pixels, axis: int) -> _Pixels:
        padded, size = _padded(x, axis), x.shape[axis]
        before, after = (padded.narrow(axis, start, size) for start in (0, 2))
        both = torch.stack([3 * x + before, 3 * x + after], dim=axis + 1)
        return both.flatten(axis, axis + 1) / 4

    return _along_both_axes(along, x)


def blur_downsample(x: Images) -> Float[Tensor, "batch channels out_height out_width"]:
    """Half the height and width, which are even, smoothly: the filter [1, 3, 3, 1] / 8.

    References:
        As for `blur_upsample`.
    """

    def along(x: _Pixels, axis: int) -> _Pixels:
        size = x.shape[axis] // 2
        # Of pixels 0 1 | 2 3 | ..., with a zero before: even are 0 2 ..., odd 1 3 ...
        even, odd = _padded(x, axis).unflatten(axis, (-1, 2)).unbind(axis + 1)
        inner = odd.narrow(axis, 0, size) + even.narrow(axis, 1, size)
        outer = even.narrow(axis, 0, size) + odd.narrow(axis, 1, size)
        return (3 * inner + outer) / 8

    return _along_both_axes(along, x)


def blur(
    x: Images, padding: int
) -> Float[Tensor, "batch channels out_height out_width"]:
    """The filter [1, 3, 3, 1] / 8 along both axes: 3 pixels less, and the padding.

    Args:
        x: images.
        padding: zeros on every side.

    References:
        As for `blur_upsample`.
    """

    def along(x: _Pixels, axis: int) -> _Pixels:
        padded = _padded(x, axis, padding)
        size = padded.shape[axis] - 3
        first, second, third, fourth = (
            padded.narrow(axis, start, size) for start in range(4)
        )
        return (3 * (second + third) + first + fourth) / 8

    return _along_both_axes(along, x)


def _along_both_axes(
    along: Callable[[_Pixels, int], _Pixels], x: Images
) -> Float[Tensor, "batch channels out_height out_width"]:
    """A linear filter along an axis, applied to columns and then to rows.

    What it makes of the unit vectors is its matrix. A product with that reads and
    writes the images once; sums of shifted images do for each of them, and twice in
    their gradients. But it multiplies a pixel as often as the axis is long.
    """
    x = x.movedim(1, 3)  # channels last, as they lie in memory
    if max(x.shape[1:3]) > _LONGEST:
        return along(along(x, 1), 2).movedim(3, 1)
    device = x.device.type
    is_cast = device != "meta" and torch.is_autocast_enabled(device)
    # As it is where the networks compute in bfloat16: an image may be in float32.
    with torch.autocast(device, enabled=False) if is_cast else nullcontext():
        of_columns, of_rows = (
            along(torch.eye(size, dtype=x.dtype, device=x.device), 0)
            for size in x.shape[1:3]
        )
        x = (of_columns @ x.flatten(2)).unflatten(2, x.shape[2:])
        return (of_rows @ x).movedim(3, 1)


def _padded(x: _Pixels, axis: int, padding: int = 1) -> _Pixels:
    """With so many rows, or columns, of zeros on both sides."""
    after = (0, 0) * (x.ndim - 1 - axis)
    return nn.functional.pad(x, (*after, padding, padding))
