"""What batch norm sees of a batch, for statistics that are taken anew."""

from dataclasses import replace
from typing import Any

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float, Integer

from gans_jax._network import Network
from gans_jax.arrays import network_statements, network_to_arrays
from gans_jax.layers import BatchNorm2d
from shared.files.arrays import Arrays
from shared.statements import RUNNING_MEAN, RUNNING_VARIANCE


def batch_statistics(
    generator: Network,
    z: Float[Array, "batch z_dim"],
    labels: Integer[Array, " batch"] | None,
) -> Arrays:
    """What each batch norm of a generator sees of these samples.

    All else is as in evaluation mode. The generator stays what it is.

    Args:
        generator: of any weights.
        z: latents.
        labels: class ids, for a conditional generator.

    Returns:
        Means and unbiased variances, by the names of the running ones on file.
    """
    seeing = generator.module()
    for _, layer in nnx.iter_modules(seeing):
        if isinstance(layer, BatchNorm2d):
            layer.use_running_average = False
            layer.momentum = 1.0  # running statistics that forget all but this batch
    definition = nnx.split(seeing, nnx.Param, ...)[0]
    advanced = _advance(replace(generator, training=definition), z, labels)
    arrays = network_to_arrays(advanced, "generator")
    return {
        name: arrays[name]
        for name, array in network_statements(advanced, "generator").items()
        if array.kind in (RUNNING_MEAN, RUNNING_VARIANCE)
    }


@jax.jit
def _advance(network: Network, z: Array, labels: Any) -> Network:
    return network(z, labels)[1]
