"""Several devices that compute what one would: each has a slice of every batch.

Most of a step needs nothing of this, as samples do not meet. Where they do, in a mean
over the batch or in pairs, layers and losses call two functions, x_r being what device
r of N has:

    average(x) = 1/N sum_r x_r        its derivative is an average again
    gather(x) = x_0, ..., x_(N-1)     its derivative is each one's part of a sum

Both are exact at every order of differentiation, as penalties need. The slices are
equally long, so the average of their means is the mean over the batch.

The loss has the same value on all devices. What they differentiate together is the sum
of N such losses, and so the average of their gradients is that of one.

Outside `together`, and on one device, nothing is done, and nothing costs anything.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor

from shared.training import heartbeats

_count: ContextVar[int] = ContextVar("count", default=1)
_local_norms: ContextVar[bool] = ContextVar("local_norms", default=False)


@contextlib.contextmanager
def together(devices: int, local_norms: bool = False) -> Iterator[None]:
    """Share each batch, in the computations inside.

    Args:
        devices: how many; all of them compute the same, each on its slice.
        local_norms: whether batch norm takes the statistics of the slice alone.
    """
    token, token_of_norms = _count.set(devices), _local_norms.set(local_norms)
    try:
        yield
    finally:
        _count.reset(token)
        _local_norms.reset(token_of_norms)


def count() -> int:
    """How many devices share each batch."""
    return _count.get()


def average(x: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """Mean of what the devices have.

    Args:
        x: a mean over this device's slice makes it the mean over the batch.
    """
    return x if count() == 1 else _Sum.apply(x) / count()


def gather(x: Float[Tensor, " batch *rest"]) -> Float[Tensor, " all *rest"]:
    """The samples of all devices, in the order of the batch.

    Args:
        x: this device's slice.
    """
    if count() == 1:
        return x
    # As a sum, whose derivative is there already.
    parts = [torch.zeros_like(x)] * count()
    parts[torch.distributed.get_rank()] = x
    return _Sum.apply(torch.cat(parts))


def own(x: Float[Tensor, " all *rest"]) -> Float[Tensor, " batch *rest"]:
    """This device's slice, the inverse of `gather`.

    Args:
        x: something for each sample of the batch.
    """
    if count() == 1:
        return x
    return x.chunk(count())[torch.distributed.get_rank()]


def moments(
    x: Float[Tensor, " batch *rest"], axes: tuple[int, ...]
) -> tuple[Float[Tensor, " *kept"], Float[Tensor, " *kept"]]:
    """Mean and biased variance over the whole batch, in two passes.

    Args:
        x: this device's slice.
        axes: to take them over; the batch's is among them.

    Returns:
        Both with the axes kept, of length 1.
    """
    mean = average(x.mean(dim=axes, keepdim=True))
    return mean, average(torch.square(x - mean).mean(dim=axes, keepdim=True))


def norm_moments(
    x: Float[Tensor, " batch *rest"], axes: tuple[int, ...]
) -> tuple[Float[Tensor, " *kept"], Float[Tensor, " *kept"], int]:
    """What batch norm normalises by: `moments`, of the slice alone if norms are local.

    Args:
        x: this device's slice.
        axes: to take them over; the batch's is among them.

    Returns:
        Mean and biased variance; and how many devices they are of.
    """
    with together(1 if _local_norms.get() else count()):
        return *moments(x, axes), count()


def norm_record(x: Float[Tensor, " channels"]) -> Float[Tensor, " channels"]:
    """What running statistics take in: if norms are local, the mean of the devices'.

    All devices keep the same that way. The mean is then the whole batch's; the
    variance leaves out the variance between the devices' means, as no device has
    normalised by it.

    Args:
        x: mean or variance that this device normalises by.
    """
    return average(x) if _local_norms.get() else x


def deviation(x: Float[Tensor, " batch *rest"]) -> Float[Tensor, ""]:
    """Biased standard deviation of all numbers of the batch.

    Args:
        x: this device's slice.
    """
    if count() == 1:
        return x.std(correction=0)
    _, variance = moments(x, tuple(range(x.ndim)))
    return torch.sqrt(variance).reshape(())


def average_gradients(gradients: list[Tensor]) -> list[Tensor]:
    """Mean of the devices' gradients, in one message.

    Args:
        gradients: of a network's parameters.

    Returns:
        The same tensors, changed in place.
    """
    if count() == 1:
        return gradients
    flat = average(torch.cat([x.flatten() for x in gradients]))
    parts = flat.split([x.numel() for x in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))
    return gradients


class _Sum(torch.autograd.Function):
    """An all-reduce whose derivative is itself, at every order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sum of what the devices have."""
        # A message is sent as it lies in memory, which may differ between devices.
        total = x.detach().clone(memory_format=torch.contiguous_format)
        with heartbeats.waiting():
            torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The sum of the gradients that the devices have."""
        return _Sum.apply(*gradients)
