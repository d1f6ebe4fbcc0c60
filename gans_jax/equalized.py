"""Layers whose weights start from N(0, 1) and are scaled where they are used.

Adam's steps are as large for each weight; so scaled, they are as large for each layer
in what it computes ("equalised learning rate").

References:
    Karras et al. 2018, arXiv:1710.10196, section 4.1.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from gans_jax import _convolutions, layers
from gans_jax._nn import widen
from gans_jax.shapes import Features, Images
from shared.randomness.starts import ONES, ZEROS, Normal
from shared.sizes import pixels
from shared.statements import (
    BIAS,
    GAIN,
    KERNEL,
    NOISE_MAP,
    TRANSPOSED_KERNEL,
    Start,
    Statement,
)

# Under a root.
_EPS = 1e-8


class EqualLinear(layers.Linear):
    """y = r (W x / sqrt(in) + b), W starting from N(0, 1) / r.

    Args:
        in_features: numbers in.
        out_features: numbers out.
        lr_multiplier: r, what the layer's learning rate is multiplied by.
        bias_start: how b starts.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lr_multiplier: float = 1.0,
        bias_start: Start = ZEROS,
    ) -> None:
        super().__init__(in_features, out_features)
        self.starting(Normal(1 / lr_multiplier))
        self.lr_multiplier = lr_multiplier
        self.gain = lr_multiplier / math.sqrt(in_features)
        self.bias_start = bias_start

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return super().statements() | {"bias": Statement(BIAS, self.bias_start)}

    def __call__(
        self, x: Float[Array, "batch in_features"]
    ) -> Float[Array, "batch out_features"]:
        """The product with the scaled weight."""
        assert self.bias is not None, "all of them have one"
        y = x @ (self.gain * self.weight[...]).astype(x.dtype)
        return (y + self.lr_multiplier * self.bias[...][None]).astype(y.dtype)


class EqualConv2d(layers.Conv2d):
    """A convolution with W / sqrt(in k k), W starting from N(0, 1).

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: edge k of the kernel, or its height and width.
        stride: step between neighbouring outputs.
        padding: zeros on every side.
        bias: whether a bias is added.
        factor: what W is multiplied by besides.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        factor: float = 1.0,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, bias=bias
        )
        self.starting(Normal(1.0))
        self.gain = factor / math.sqrt(in_channels * pixels(kernel_size))

    def __call__(self, x: Images) -> Features:
        """Convolve with the scaled kernel."""
        return self.convolve(x, self.gain * self.weight[...])


class StyledConv2d(nnx.Module):
    """A 3x3 convolution in a sample's own style, then noise, a bias and the activation.

    s = A w + b,  y_o = sum_i W_oi * (s_i x_i) / sqrt(sum_i,k (s_i W_oik)^2 + 1e-8)

    The images are scaled before and after a convolution that all samples share: the
    same as one with each sample's own kernels, in exact arithmetic.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        style_features: length of w.
        size: height and width of the result.
        upsamples: whether these are twice those of the images.

    References:
        Karras et al. 2020, arXiv:1912.04958, Eq. 1 and 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        style_features: int,
        size: tuple[int, int],
        upsamples: bool = False,
    ) -> None:
        self.upsamples = upsamples
        self.style = EqualLinear(style_features, in_channels, bias_start=ONES)
        channels = (in_channels, out_channels)
        shape = (3, 3, *(channels[::-1] if upsamples else channels))
        self.weight = nnx.Param(jnp.zeros(shape))
        self.strength = nnx.Param(jnp.zeros(1))
        self.bias = nnx.Param(jnp.zeros(out_channels))
        self.noise = nnx.BatchStat(jnp.zeros(size))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        kind = TRANSPOSED_KERNEL if self.upsamples else KERNEL
        return {
            "weight": Statement(kind, Normal(1.0)),
            "strength": Statement(GAIN, ZEROS),
            "bias": Statement(BIAS, ZEROS),
            "noise": Statement(NOISE_MAP, Normal(1.0)),
        }

    def __call__(
        self,
        x: Images,
        w: Float[Array, "batch style_features"],
        noise: Float[Array, "batch out_height out_width"] | None = None,
    ) -> Features:
        """Images of the same size, or of four times the pixels.

        Args:
            x: images.
            w: style of each.
            noise: a map for each; None: the layer's own, the same for all.
        """
        style, weight = self.style(w), self.weight[...]
        squares = jnp.square(weight).sum(axis=(0, 1))
        if self.upsamples:
            squares = squares.T
        norm = jax.lax.rsqrt(jnp.square(style) @ squares + _EPS)[:, None, None, :]
        x = x * style[:, None, None, :]
        if self.upsamples:
            y = _convolutions.conv_transpose(x, weight, stride=2, padding=0)
            y = layers.blur(y, padding=1) * (4 * norm)
        else:
            y = _convolutions.conv(x, weight, stride=1, padding=1) * norm
        noise = self.noise[...][None] if noise is None else noise
        strength, bias = self.strength[...], self.bias[...][None, None, None, :]
        y = y + (strength * noise[..., None].astype(y.dtype) + bias)
        return activate(y.astype(x.dtype))


class StyledOutput(nnx.Module):
    """A 1x1 convolution in a sample's own style, to the channels of an image.

    Args:
        in_channels: channels in.
        out_channels: channels of the image.
        style_features: length of w.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, style_features: int
    ) -> None:
        self.style = EqualLinear(style_features, in_channels, bias_start=ONES)
        self.conv = EqualConv2d(in_channels, out_channels, 1)

    def __call__(self, x: Images, w: Float[Array, "batch style_features"]) -> Features:
        """What these maps add to the image.

        Args:
            x: images.
            w: style of each.
        """
        return self.conv(x * self.style(w)[:, None, None, :])


def activate(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """sqrt(2) max(x, 0.2 x), which about keeps the mean square of what is normal."""
    return math.sqrt(2) * layers.leaky_relu(x)


def unit(x: Float[Array, "batch features"]) -> Float[Array, "batch features"]:
    """Features whose mean square is 1: x / sqrt(mean(x^2) + 1e-8) of each sample.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 4.2.
    """
    y = widen(x)
    y = y * jax.lax.rsqrt(jnp.square(y).mean(axis=1, keepdims=True) + _EPS)
    return y.astype(x.dtype)
