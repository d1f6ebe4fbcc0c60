"""Trained generators as files that other libraries load.

Latents [batch, z_dim] in float32, and the class ids [batch] of a conditional generator,
are inputs; the batch may have any length. The weights are constants, and what
constrains them is gone. Everything is computed in float32.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, export

from gans_jax import _convolutions
from gans_jax.trained import TrainedGenerator

PLATFORMS = ("cpu", "cuda", "tpu")
"""What a file of StableHLO runs on."""


def convert(generator: TrainedGenerator, format: str) -> bytes:
    """The file of a format that this twin writes; see `shared.export.formats`.

    Args:
        generator: on the CPU.
        format: its name.

    Raises:
        KeyError: this twin does not write it.
    """
    return _CONVERTERS[format](generator)


def _to_stablehlo(generator: TrainedGenerator) -> bytes:
    with (
        jax.enable_x64(False),
        jax.default_matmul_precision("highest"),
        _convolutions.in_xlas_form(),
    ):
        graph, arrays = nnx.split(_plain(generator.network))

        def draw(z: Array, labels: Array | None = None) -> Array:
            return nnx.merge(graph, arrays)(z, labels)

        exported = export.export(jax.jit(draw), platforms=PLATFORMS)
        return bytes(exported(*_inputs(generator)).serialize())


_CONVERTERS = {"stablehlo": _to_stablehlo}


def _plain(network: nnx.Module) -> nnx.Module:
    """A copy in float32 whose weights are what their constraints make of them."""
    graph, arrays = nnx.split(network)
    network = nnx.merge(graph, jax.tree.map(_to_float32, arrays))
    layers: list[Any] = [layer for _, layer in nnx.iter_modules(network)]
    for layer in layers:
        if (constraint := getattr(layer, "constraint", None)) is not None:
            layer.weight[...] = constraint(layer.weight[...])
            layer.constraint = nnx.data(None)
    return network


def _to_float32(x: Array) -> Array:
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    return jnp.array(np.asarray(x, np.float32 if is_float else None))


def _inputs(generator: TrainedGenerator) -> list[Any]:
    """Latents, and class ids where there are classes, of as many as there may be."""
    (batch,) = export.symbolic_shape("batch")
    z = jax.ShapeDtypeStruct((batch, generator.config.z_dim), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    return [z, labels] if generator.num_classes else [z]
