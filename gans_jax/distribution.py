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

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

_count: ContextVar[int] = ContextVar("count", default=1)
_local_norms: ContextVar[bool] = ContextVar("local_norms", default=False)

AXIS = "devices"
"""What JAX calls the devices."""


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


def average(x: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """Mean of what the devices have.

    Args:
        x: a mean over this device's slice makes it the mean over the batch.
    """
    return x if count() == 1 else jax.lax.psum(x, AXIS) / count()


def gather(x: Float[Array, " batch *rest"]) -> Float[Array, " all *rest"]:
    """The samples of all devices, in the order of the batch.

    Args:
        x: this device's slice.
    """
    if count() == 1:
        return x
    return jax.lax.all_gather(x, AXIS, tiled=True)


def own(x: Float[Array, " all *rest"]) -> Float[Array, " batch *rest"]:
    """This device's slice, the inverse of `gather`.

    Args:
        x: something for each sample of the batch.
    """
    if count() == 1:
        return x
    length = len(x) // count()
    return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(AXIS) * length, length)


def moments(
    x: Float[Array, " batch *rest"], axes: tuple[int, ...]
) -> tuple[Float[Array, " *kept"], Float[Array, " *kept"]]:
    """Mean and biased variance over the whole batch, in two passes.

    Args:
        x: this device's slice.
        axes: to take them over; the batch's is among them.

    Returns:
        Both with the axes kept, of length 1.
    """
    mean = average(x.mean(axis=axes, keepdims=True))
    return mean, average(jnp.square(x - mean).mean(axis=axes, keepdims=True))


def norm_moments(
    x: Float[Array, " batch *rest"], axes: tuple[int, ...]
) -> tuple[Float[Array, " *kept"], Float[Array, " *kept"], int]:
    """What batch norm normalises by: `moments`, of the slice alone if norms are local.

    Args:
        x: this device's slice.
        axes: to take them over; the batch's is among them.

    Returns:
        Mean and biased variance; and how many devices they are of.
    """
    with together(1 if _local_norms.get() else count()):
        return *moments(x, axes), count()


def norm_record(x: Float[Array, " channels"]) -> Float[Array, " channels"]:
    """What running statistics take in: if norms are local, the mean of the devices'.

    All devices keep the same that way. The mean is then the whole batch's; the
    variance leaves out the variance between the devices' means, as no device has
    normalised by it.

    Args:
        x: mean or variance that this device normalises by.
    """
    return average(x) if _local_norms.get() else x


def deviation(x: Float[Array, " batch *rest"]) -> Float[Array, ""]:
    """Biased standard deviation of all numbers of the batch.

    Args:
        x: this device's slice.
    """
    if count() == 1:
        return x.std()
    _, variance = moments(x, tuple(range(x.ndim)))
    return jnp.sqrt(variance).reshape(())


def average_gradients(gradients: Any) -> Any:
    """Mean of the devices' gradients, in one message.

    Args:
        gradients: of a network's parameters.

    Returns:
        As they came, averaged.
    """
    if count() == 1:
        return gradients
    flat, restore = ravel_pytree(gradients)
    return restore(average(flat))
