"""Layers whose weights start from N(0, 1) and are scaled where they are used.

Adam's steps are as large for each weight; so scaled, they are as large for each layer
in what it computes ("equalised learning rate").

References:
    Karras et al. 2018, arXiv:1710.10196, section 4.1.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gans_torch import layers
from gans_torch.shapes import Features, Images
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

    def forward(
        self, input: Float[Tensor, "batch in_features"]
    ) -> Float[Tensor, "batch out_features"]:
        """The product with the scaled weight."""
        bias = self.lr_multiplier * self.bias
        return nn.functional.linear(input, self.gain * self.weight, bias)


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

    def forward(self, input: Images) -> Features:
        """Convolve with the scaled kernel."""
        return self.convolve(input, self.gain * self.weight)


class StyledConv2d(nn.Module):
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
        super().__init__()
        self.upsamples = upsamples
        self.style = EqualLinear(style_features, in_channels, bias_start=ONES)
        channels = (out_channels, in_channels)
        shape = (*(channels[::-1] if upsamples else channels), 3, 3)
        self.weight = nn.Parameter(torch.empty(shape))
        self.strength = nn.Parameter(torch.empty(1))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.register_buffer("noise", torch.empty(size))

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        kind = TRANSPOSED_KERNEL if self.upsamples else KERNEL
        return {
            "weight": Statement(kind, Normal(1.0)),
            "strength": Statement(GAIN, ZEROS),
            "bias": Statement(BIAS, ZEROS),
            "noise": Statement(NOISE_MAP, Normal(1.0)),
        }

    def forward(
        self,
        x: Images,
        w: Float[Tensor, "batch style_features"],
        noise: Float[Tensor, "batch out_height out_width"] | None = None,
    ) -> Features:
        """Images of the same size, or of four times the pixels.

        Args:
            x: images.
            w: style of each.
            noise: a map for each; None: the layer's own, the same for all.
        """
        style = self.style(w)
        squares = self.weight.square().sum(dim=(2, 3))
        if not self.upsamples:
            squares = squares.T
        norm = torch.rsqrt(style.square() @ squares + _EPS)[:, :, None, None]
        x = x * style[:, :, None, None]
        if self.upsamples:
            y = nn.functional.conv_transpose2d(x, self.weight, stride=2)
            y = layers.blur(y, padding=1) * (4 * norm)
        else:
            y = nn.functional.conv2d(x, self.weight, padding=1) * norm
        noise = self.noise[None] if noise is None else noise
        y = y + self.strength * noise[:, None] + self.bias[:, None, None]
        return activate(y.to(style.dtype))


class StyledOutput(nn.Module):
    """A 1x1 convolution in a sample's own style, to the channels of an image.

    Args:
        in_channels: channels in.
        out_channels: channels of the image.
        style_features: length of w.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, style_features: int
    ) -> None:
        super().__init__()
        self.style = EqualLinear(style_features, in_channels, bias_start=ONES)
        self.conv = EqualConv2d(in_channels, out_channels, 1)

    def forward(self, x: Images, w: Float[Tensor, "batch style_features"]) -> Features:
        """What these maps add to the image.

        Args:
            x: images.
            w: style of each.
        """
        return self.conv(x * self.style(w)[:, :, None, None])


def activate(x: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """sqrt(2) max(x, 0.2 x), which about keeps the mean square of what is normal."""
    return math.sqrt(2) * layers.leaky_relu(x)


def unit(x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
    """Features whose mean square is 1: x / sqrt(mean(x^2) + 1e-8) of each sample.

    References:
        Karras et al. 2018, arXiv:1710.10196, section 4.2.
    """
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + _EPS)
