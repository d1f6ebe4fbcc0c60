"""Batch norm of several devices, each by its own statistics, on one of them."""

import contextlib
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from gans_torch.layers import BatchNorm2d


@contextlib.contextmanager
def norms_of_parts(count: int) -> Iterator[None]:
    """Have PyTorch's batch norm take each part of a batch by itself.

    Args:
        count: equal parts; running statistics take in the mean of what they have.
    """
    usual = BatchNorm2d.forward

    def forward(self: BatchNorm2d, input: Tensor) -> Tensor:
        if not self.training or count == 1:
            return usual(self, input)
        parts = input.chunk(count)
        with torch.no_grad():
            moments = [torch.var_mean(x, dim=(0, 2, 3), correction=1) for x in parts]
            variance, mean = (
                torch.stack(x).mean(dim=0) for x in zip(*moments, strict=True)
            )
            self.get_buffer("running_mean").lerp_(mean, self.momentum or 0.0)
            self.get_buffer("running_var").lerp_(variance, self.momentum or 0.0)
            self.get_buffer("num_batches_tracked").add_(1)
        weights = (self.weight, self.bias)
        normed = [
            F.batch_norm(x, None, None, *weights, True, 0, self.eps) for x in parts
        ]
        return torch.cat(normed)

    BatchNorm2d.forward = forward
    try:
        yield
    finally:
        BatchNorm2d.forward = usual
