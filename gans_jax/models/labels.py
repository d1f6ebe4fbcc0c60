"""Class ids, as conditional networks take them."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from shared.errors import UsageError

Labels = Integer[Array, " batch"] | None
"""None: the network is not conditional."""


def class_ids(labels: Labels, network: str) -> Integer[Array, " batch"]:
    """The labels, which a conditional network must have.

    Args:
        labels: class ids.
        network: what the error calls the network.

    Raises:
        UsageError: there are none.
    """
    if labels is None:
        raise UsageError(f"labels None: a conditional {network} needs class ids")
    return labels


def with_one_hot(
    z: Float[Array, "batch z_dim"], labels: Labels, num_classes: int
) -> Float[Array, "batch z_dim_and_classes"]:
    """Latents, and the class beside them as a one-hot vector, for a generator.

    Args:
        z: latents.
        labels: class ids.
        num_classes: length of the vector.

    Raises:
        UsageError: there are no labels.
    """
    ids = class_ids(labels, "generator")
    one_hot = jax.nn.one_hot(ids, num_classes, dtype=z.dtype)
    return jnp.concatenate([z, one_hot], axis=1)
