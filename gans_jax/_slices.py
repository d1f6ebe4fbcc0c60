"""Updates from slices of a batch, one after the other, in the memory of one of them.

Slices are equally long, and samples do not meet (`shared.config.meetings`): then the
mean of the slices' gradients is the batch's, and so is that of their metrics.

A power iteration advances once for a batch, however many slices it has: each slice
finds the networks' buffers as the first one did.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from shared.randomness.draws import BATCH_AXES


def split(batch: Any, count: int) -> Any:
    """So many equal slices, in arrays with an axis more, their first.

    Args:
        batch: a `steps.Batch`, or an array of something for each sample.
        count: how many.
    """
    if isinstance(batch, Array):
        return _split(batch, count, 0)
    fields = {
        name: None if x is None else _split(x, count, BATCH_AXES.get(name, 2) - 2)
        for name, x in batch._asdict().items()
    }
    return type(batch)(**fields)


def in_turn(
    function: Callable[[Any], tuple[Array, Any]], count: int, batch: Any
) -> tuple[Array, Any]:
    """What a function makes of a batch, slice by slice.

    Args:
        function: of a slice, to something for each sample, and to buffers.
        count: of slices.
        batch: as for `split`.

    Returns:
        The first for the whole batch; the buffers of the last slice.
    """
    parts = split(batch, count)
    _, (made, buffers) = jax.lax.scan(lambda _, x: (None, function(x)), None, parts)
    return made.reshape(-1, *made.shape[2:]), _last(buffers)


def gradient(
    loss: Callable[..., tuple[Array, tuple[Any, Any]]],
    params: Any,
    count: int,
    *batch: Any,
) -> tuple[Callable[[], Any], tuple[Any, Any]]:
    """The gradient of the mean of the slices' losses.

    Args:
        loss: of parameters and a slice of the batch, to its value and to buffers and
            metrics.
        params: what is differentiated by.
        count: of slices.
        batch: its parts, each as for `split`.

    Returns:
        What makes the gradient; and the last slice's buffers, and means of the metrics.
    """
    if count == 1:
        value, pull_back, others = jax.vjp(
            lambda params: loss(params, *batch), params, has_aux=True
        )
        return lambda: pull_back(jnp.ones_like(value))[0], others

    def share(params: Any, part: Any) -> tuple[Array, tuple[Any, Any]]:
        value, others = loss(params, *part)
        return value / count, others

    def add(total: Any, part: Any) -> tuple[Any, tuple[Any, Any]]:
        found, others = jax.grad(share, has_aux=True)(params, part)
        return jax.tree.map(jnp.add, total, found), others

    parts = tuple(split(x, count) for x in batch)
    zeros = jax.tree.map(jnp.zeros_like, params)
    found, (buffers, metrics) = jax.lax.scan(add, zeros, parts)
    means = jax.tree.map(lambda x: x.mean(axis=0), metrics)
    return lambda: found, (_last(buffers), means)


def mean(history: list[Any]) -> Any:
    """Means of metrics, by name."""
    return {
        name: jnp.stack([metrics[name] for metrics in history]).mean()
        for name in history[0]
    }


def _split(x: Array, count: int, axis: int) -> Array:
    shape = (*x.shape[:axis], count, -1, *x.shape[axis + 1 :])
    return jnp.moveaxis(x.reshape(shape), axis, 0)


def _last(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[-1], tree)
