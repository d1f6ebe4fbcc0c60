"""Layers of `torch.nn`, and what they state of their arrays: `shared.statements`."""

from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gans_torch import distribution
from gans_torch.shapes import Images
from shared.randomness.starts import (
    DCGAN,
    DCGAN_GAIN,
    ONES,
    ZEROS,
    Lengths,
    SingularVector,
)
from shared.statements import (
    BIAS,
    COUNTER,
    GAIN,
    LINEAR,
    RUNNING_MEAN,
    RUNNING_VARIANCE,
    SINGULAR_VECTOR,
    TABLE,
    Kind,
    Start,
    Stated,
    Statement,
    collect,
    length_of,
)

_WeightedT = TypeVar("_WeightedT", bound="Weighted")
_NormT = TypeVar("_NormT", bound="Norm")

_RUNNING = {
    "running_mean": Statement(RUNNING_MEAN, ZEROS),
    "running_var": Statement(RUNNING_VARIANCE, ONES),
    "num_batches_tracked": Statement(COUNTER, ZEROS),
}


def stated(network: nn.Module, prefix: str) -> dict[str, Stated]:
    """What is stated of each array of a network, by its path in the module.

    Args:
        network: parameters and buffers of any values.
        prefix: of the names on file, as in ``generator``.

    Raises:
        UsageError: an array of which no layer states anything.
        ValueError: two arrays of one name.
    """
    shapes = {path: tuple(x.shape) for path, x in network.state_dict().items()}
    return collect(prefix, network.named_modules(), shapes)


class Weighted:
    """A layer with a weight, which `reparametrise` may constrain."""

    kind: ClassVar[Kind]
    """Of the weight."""
    start: Start = DCGAN
    """Of the weight."""

    def starting(self: _WeightedT, start: Start) -> _WeightedT:
        """The same layer, whose weight starts so."""
        self.start = start
        return self

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        assert isinstance(self, nn.Module)
        weight = Statement(self.kind, self.start)
        bias = {"bias": Statement(BIAS, ZEROS)}
        if not parametrize.is_parametrized(self, "weight"):
            return {"weight": weight} | bias
        constrained = "parametrizations.weight"
        if (original := f"{constrained}.original0") in dict(self.named_parameters()):
            direction = f"{constrained}.original1"
            length = Statement(length_of(self.kind), Lengths(), of=(direction,))
            return {original: length, direction: weight} | bias
        of = (f"{constrained}.original", f"{constrained}.0._u")
        vectors = {
            f"{constrained}.0._{side}": Statement(
                SINGULAR_VECTOR, SingularVector(side, self.kind), of
            )
            for side in ("u", "v")
        }
        return {of[0]: weight} | vectors | bias


class Embedding(Weighted, nn.Embedding):
    """`torch.nn.Embedding`."""

    kind = TABLE


class Linear(Weighted, nn.Linear):
    """`torch.nn.Linear`."""

    kind = LINEAR


class Norm:
    """A normalisation with a gain and a bias for each channel."""

    start: Start = DCGAN_GAIN
    """Of the gain."""

    def starting(self: _NormT, start: Start) -> _NormT:
        """The same normalisation, whose gain starts so."""
        self.start = start
        return self

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"weight": Statement(GAIN, self.start), "bias": Statement(BIAS, ZEROS)}


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
