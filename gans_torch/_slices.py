"""Updates from slices of a batch, one after the other, in the memory of one of them.

Slices are equally long, and samples do not meet (`shared.config.meetings`): then the
mean of the slices' gradients is the batch's, and so is that of their metrics.

A power iteration advances once for a batch, however many slices it has: each slice
finds the networks' buffers as the first one did.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shared.randomness.draws import BATCH_AXES

_PartT = TypeVar("_PartT")
_Metrics = dict[str, Float[Tensor, ""]]


def split(batch: Any, count: int) -> list[Any]:
    """So many equal slices of all that a batch holds.

    Args:
        batch: a `steps.Batch`.
        count: how many.
    """
    if count == 1:
        return [batch]
    fields = [
        [None] * count if x is None else x.chunk(count, BATCH_AXES.get(name, 2) - 2)
        for name, x in batch._asdict().items()
    ]
    return [type(batch)(*parts) for parts in zip(*fields, strict=True)]


def in_turn(parts: Iterable[_PartT], *networks: nn.Module) -> Iterator[_PartT]:
    """The parts of a batch, each of which finds the networks' buffers as the first did.

    Args:
        parts: slices, or whatever is done with one after the other.
        networks: that each of them passes through.
    """
    *others, last = parts
    for part in others:
        with unchanged(*networks):
            yield part
    yield last


@contextlib.contextmanager
def unchanged(*networks: nn.Module) -> Iterator[None]:
    """Afterwards, all buffers of the networks are as they were."""
    buffers = [x for network in networks for x in network.buffers()]
    before = [x.clone() for x in buffers]
    yield
    with torch.no_grad():
        for buffer, old in zip(buffers, before, strict=True):
            buffer.copy_(old)


def set_gradients(
    network: nn.Module,
    losses: Iterable[tuple[Float[Tensor, ""], _Metrics]],
    count: int,
    wanted: bool = True,
) -> _Metrics:
    """Leave the gradient of the mean of some losses in a network's parameters.

    Args:
        network: what is differentiated by.
        losses: of each slice, with its metrics; each made when it is asked for.
        count: how many there are.
        wanted: whether the gradient is; or the metrics alone.

    Returns:
        Means of the metrics.
    """
    # Without those that a user has frozen.
    parameters = [x for x in network.parameters() if x.requires_grad]
    if wanted:
        for parameter in parameters:
            parameter.grad = None
    history = []
    for loss, metrics in losses:
        if wanted:
            share = loss if count == 1 else loss / count
            # Not autograd.grad: only backward gives each gradient the memory layout of
            # its parameter, which a fused Adam takes for granted without checking.
            share.backward(inputs=parameters)
        history.append({name: value.detach() for name, value in metrics.items()})
    return history[0] if count == 1 else mean(history)


def mean(history: list[_Metrics]) -> _Metrics:
    """Means of metrics, by name."""
    return {
        name: torch.stack([metrics[name] for metrics in history]).mean()
        for name in history[0]
    }
