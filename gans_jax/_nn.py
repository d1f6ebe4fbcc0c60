"""PyTorch's layers of `torch.nn`, by its names.

Flax's own layers differ from PyTorch's in defaults and in substance (the sense of
momentum, biased running variances), so each is written out here, with PyTorch's names
for parameters and buffers. Images are NHWC. A layer's ``use_running_average`` is what
``.train()`` and ``.eval()`` set.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Integer

from gans_jax import _convolutions, distribution
from gans_jax._stated import Norm, Weighted
from gans_jax.shapes import Features, Images
from shared.randomness.starts import ONES, ZEROS
from shared.sizes import height_and_width
from shared.statements import (
    COUNTER,
    KERNEL,
    LINEAR,
    RUNNING_MEAN,
    RUNNING_VARIANCE,
    TABLE,
    TRANSPOSED_KERNEL,
    Statement,
)

_RUNNING = {
    "running_mean": Statement(RUNNING_MEAN, ZEROS),
    "running_var": Statement(RUNNING_VARIANCE, ONES),
    "num_batches_tracked": Statement(COUNTER, ZEROS),
}


class Conv2d(Weighted):
    """`torch.nn.Conv2d`.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: edge of the kernel, or its height and width.
        stride: step between neighbouring outputs.
        padding: zeros on every side.
        groups: parts of the channels, each convolved by itself.
        bias: whether a bias is added.
    """

    kind = KERNEL

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        edges = height_and_width(kernel_size)
        shape = (*edges, in_channels // groups, out_channels)
        self.weight = nnx.Param(jnp.zeros(shape))
        self.bias = nnx.Param(jnp.zeros(out_channels)) if bias else None
        self.constraint = nnx.data(None)
        self.stride = stride
        self.padding = padding
        self.groups = groups

    def __call__(self, x: Images) -> Features:
        """Convolve, as `torch.nn.functional.conv2d` does."""
        return self.convolve(x, _constrained(self))

    def convolve(self, x: Images, weight: Float[Array, "..."]) -> Features:
        """The same with another weight.

        Args:
            x: images.
            weight: of the shape of the layer's own.
        """
        y = _convolutions.conv(
            x,
            weight,
            stride=self.stride,
            padding=self.padding,
            groups=self.groups,
        )
        return _add_bias(y, self.bias)


class ConvTranspose2d(Weighted):
    """`torch.nn.ConvTranspose2d`; arguments as `Conv2d`."""

    kind = TRANSPOSED_KERNEL

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        # PyTorch's [in, out, k, k], permuted as every kernel is: not flipped.
        shape = (*height_and_width(kernel_size), out_channels, in_channels)
        self.weight = nnx.Param(jnp.zeros(shape))
        self.bias = nnx.Param(jnp.zeros(out_channels)) if bias else None
        self.constraint = nnx.data(None)
        self.stride = stride
        self.padding = padding

    def __call__(self, x: Images) -> Features:
        """Convolve, as `torch.nn.functional.conv_transpose2d` does."""
        y = _convolutions.conv_transpose(
            x, _constrained(self), stride=self.stride, padding=self.padding
        )
        return _add_bias(y, self.bias)


class Embedding(Weighted):
    """`torch.nn.Embedding`: a table of rows.

    Args:
        num_embeddings: rows.
        embedding_dim: length of a row.
    """

    kind = TABLE

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        self.weight = nnx.Param(jnp.zeros((num_embeddings, embedding_dim)))
        self.constraint = nnx.data(None)

    def __call__(
        self, ids: Integer[Array, " batch"]
    ) -> Float[Array, "batch embedding_dim"]:
        """The rows of ids."""
        return _constrained(self)[ids]


class Linear(Weighted):
    """`torch.nn.Linear`.

    Args:
        in_features: numbers in.
        out_features: numbers out.
        bias: whether a bias is added.
    """

    kind = LINEAR

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.weight = nnx.Param(jnp.zeros((in_features, out_features)))
        self.bias = nnx.Param(jnp.zeros(out_features)) if bias else None
        self.constraint = nnx.data(None)

    def __call__(
        self, x: Float[Array, "batch in_features"]
    ) -> Float[Array, "batch out_features"]:
        """The product, as `torch.nn.functional.linear` has it."""
        y = x @ _constrained(self).astype(x.dtype)
        return y if self.bias is None else (y + self.bias[...][None]).astype(y.dtype)


class BatchNorm2d(Norm):
    """`torch.nn.BatchNorm2d`.

    Training: the batch's mean and biased variance normalise, and the running statistics
    move towards the batch's mean and *unbiased* variance. Evaluation: the running
    statistics normalise.

    Args:
        num_features: channels.
        eps: added to the variance.
        momentum: weight of the new value (Flax counts the weight of the old one).
        affine: whether there are a gain and a bias.

    References:
        Ioffe and Szegedy 2015, arXiv:1502.03167, Algorithms 1 and 2.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        self.weight = nnx.Param(jnp.ones(num_features)) if affine else None
        self.bias = nnx.Param(jnp.zeros(num_features)) if affine else None
        self.running_mean = nnx.BatchStat(jnp.zeros(num_features))
        self.running_var = nnx.BatchStat(jnp.ones(num_features))
        self.num_batches_tracked = nnx.BatchStat(jnp.zeros((), jnp.int32))
        self.eps = eps
        self.momentum = momentum
        self.use_running_average = False

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return super().statements() | _RUNNING

    def __call__(self, x: Images) -> Images:
        """Normalise each channel; in training mode, advance the running statistics."""
        if self.use_running_average:
            mean, variance = self.running_mean[...], self.running_var[...]
        else:
            mean, variance, devices = distribution.norm_moments(
                widen(x), axes=(0, 1, 2)
            )
            mean, variance = mean.reshape(-1), variance.reshape(-1)
            count = devices * x.size // x.shape[-1]
            self._track(mean, variance, count)
        y = _standardise(x, _channels(mean), _channels(variance), self.eps)
        return _scale_and_shift(y, self.weight, self.bias)

    def _track(
        self, mean: Float[Array, " channels"], variance: Float[Array, " c"], count: int
    ) -> None:
        unbiased = variance * (count / (count - 1))
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            kept = (1 - self.momentum) * running[...]
            recorded = distribution.norm_record(jax.lax.stop_gradient(new))
            running[...] = kept + self.momentum * recorded
        self.num_batches_tracked[...] = self.num_batches_tracked[...] + 1


class GroupNorm(Norm):
    """`torch.nn.GroupNorm`: statistics of each sample over groups of its channels.

    Args:
        num_groups: groups; 1 normalises over the whole sample.
        num_channels: channels; a multiple of the groups.
        eps: added to the variance.

    References:
        Wu and He 2018, arXiv:1803.08494, Eq. 1, 2, 6 and 7.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        self.weight = nnx.Param(jnp.ones(num_channels))
        self.bias = nnx.Param(jnp.zeros(num_channels))
        self.num_groups = num_groups
        self.eps = eps

    def __call__(self, x: Images) -> Images:
        """Normalise each sample's groups."""
        groups = x.reshape(*x.shape[:3], self.num_groups, -1)
        mean, variance = _moments(groups, axes=(1, 2, 4))
        y = _standardise(groups, mean, variance, self.eps).reshape(x.shape)
        return _scale_and_shift(y, self.weight, self.bias)


class InstanceNorm2d(Norm):
    """`torch.nn.InstanceNorm2d`: statistics of each sample and channel.

    Args:
        num_features: channels.
        eps: added to the variance.
        affine: whether there are a gain and a bias.

    References:
        Ulyanov et al. 2016, arXiv:1607.08022, Eq. 3.
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, affine: bool = False
    ) -> None:
        self.weight = nnx.Param(jnp.ones(num_features)) if affine else None
        self.bias = nnx.Param(jnp.zeros(num_features)) if affine else None
        self.eps = eps

    def __call__(self, x: Images) -> Images:
        """Normalise each channel of each sample."""
        y = _standardise(x, *_moments(x, axes=(1, 2)), self.eps)
        return _scale_and_shift(y, self.weight, self.bias)


def _constrained(layer: Weighted) -> Float[Array, "..."]:
    weight = layer.weight[...]
    return weight if layer.constraint is None else layer.constraint(weight)


def _add_bias(y: Images, bias: nnx.Param | None) -> Images:
    if bias is None:
        return y
    # Added before it is rounded: its gradient, a sum over all pixels, is then summed in
    # the bias's own precision even where the images are in bfloat16.
    return (y + _channels(bias[...])).astype(y.dtype)


def _channels(x: Float[Array, " channels"]) -> Float[Array, "1 1 1 channels"]:
    return x[None, None, None, :]


def _moments(
    x: Float[Array, "..."], axes: tuple[int, ...]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Mean and biased variance, in two passes: one pass cancels at a large mean."""
    x = widen(x)
    mean = x.mean(axis=axes, keepdims=True)
    return mean, jnp.square(x - mean).mean(axis=axes, keepdims=True)


def widen(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The same in float32, where it is in bfloat16."""
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def _standardise(
    x: Float[Array, "..."],
    mean: Float[Array, "..."],
    variance: Float[Array, "..."],
    eps: float,
) -> Float[Array, "..."]:
    return ((x - mean) * jax.lax.rsqrt(variance + eps)).astype(x.dtype)


def _scale_and_shift(
    y: Images, weight: nnx.Param | None, bias: nnx.Param | None
) -> Images:
    if weight is None or bias is None:
        return y
    return (y * _channels(weight[...]) + _channels(bias[...])).astype(y.dtype)
