"""Layers of `torch.nn` that state what their arrays are; some are faster, too."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gans_torch import distribution
from gans_torch._stated import Norm, Weighted
from gans_torch.shapes import Features, Images
from shared.randomness.starts import ONES, ZEROS
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


class Conv2d(Weighted, nn.Conv2d):
    """`torch.nn.Conv2d`, which is slow where its kernel covers the whole image.

    There it is one matrix product.
    """

    kind = KERNEL

    def forward(self, input: Images) -> Features:
        """Convolve, as `torch.nn.functional.conv2d` does."""
        return self.convolve(input, self.weight)

    def convolve(self, input: Images, weight: Tensor) -> Features:
        """The same with another weight.

        Args:
            input: images.
            weight: of the shape of the layer's own.
        """
        covers = self.padding == (0, 0) and input.shape[2:] == self.kernel_size
        if not covers or self.groups > 1:
            return self._conv_forward(input, weight, self.bias)
        y = linear(_flat_pixels(input), _flat_pixels(weight), self.bias)
        return y[:, :, None, None]


class ConvTranspose2d(Weighted, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, which is slow where its image is a single pixel.

    There it is one matrix product.
    """

    kind = TRANSPOSED_KERNEL

    def forward(self, input: Images, output_size: list[int] | None = None) -> Features:
        """Convolve, as `torch.nn.functional.conv_transpose2d` does."""
        if self.padding != (0, 0) or input.shape[2:] != (1, 1):
            return super().forward(input, output_size)
        y = input.flatten(1) @ _flat_pixels(self.weight)
        y = y.unflatten(1, (*self.kernel_size, -1)).permute(0, 3, 1, 2)
        return y if self.bias is None else y + self.bias[:, None, None]


class Embedding(Weighted, nn.Embedding):
    """`torch.nn.Embedding`."""

    kind = TABLE


class Linear(Weighted, nn.Linear):
    """`torch.nn.Linear`."""

    kind = LINEAR


class BatchNorm2d(Norm, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`, over the whole batch where devices share it.

    Or over each device's slice, where the configuration says so.
    """

    def forward(self, input: Images) -> Images:
        """Normalise each channel; in training mode, advance the running statistics."""
        # Not torch.nn.SyncBatchNorm: it has no second derivative, and none on a CPU.
        if distribution.count() == 1 or not self.training:
            return super().forward(input)
        x = widen(input)
        mean, variance, devices = distribution.norm_moments(x, axes=(0, 2, 3))
        count = devices * x.numel() // x.shape[1]
        self._track(mean.flatten(), variance.flatten(), count)
        y = (x - mean) * torch.rsqrt(variance + self.eps)
        if self.affine:
            y = y * self.weight[:, None, None] + self.bias[:, None, None]
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        unbiased = variance * (count / (count - 1))
        buffers, momentum = dict(self.named_buffers()), self.momentum or 0.0
        for name, new in (("running_mean", mean), ("running_var", unbiased)):
            recorded = distribution.norm_record(new)
            buffers[name].mul_(1 - momentum).add_(momentum * recorded)
        buffers["num_batches_tracked"].add_(1)

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return super().statements() | _RUNNING


class GroupNorm(Norm, nn.GroupNorm):
    """`torch.nn.GroupNorm`."""


class InstanceNorm2d(Norm, nn.InstanceNorm2d):
    """`torch.nn.InstanceNorm2d`."""


def widen(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The same in float32, where it is in bfloat16."""
    return x.float() if x.dtype == torch.bfloat16 else x


def _flat_pixels(x: Images) -> Float[Tensor, "batch pixels_and_channels"]:
    """Channels last, as they lie in memory: no copy."""
    return x.permute(0, 2, 3, 1).flatten(1)
