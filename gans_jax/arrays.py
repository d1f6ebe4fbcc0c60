"""State <-> named NumPy arrays: the only place that knows names and layouts.

The arrays carry PyTorch's own names and layouts, so here names are translated and
convolution kernels transposed.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gans_jax._network import Network
from gans_jax.optim import SLOTS
from gans_jax.steps import TrainState
from shared.config.train_config import TrainConfig
from shared.files.arrays import Arrays


def network_shapes(state: TrainState) -> dict[str, tuple[int, ...]]:
    """Names and shapes of both networks' arrays, as in a checkpoint."""
    return {
        key: value.shape
        for name in ("generator", "discriminator")
        for key, value in network_to_arrays(getattr(state, name), name).items()
    }


def network_to_arrays(network: Network, prefix: str) -> Arrays:
    """A copy of a network's parameters and buffers."""
    names = _names(network)
    return _collect(network.params, prefix, names) | _collect(
        network.buffers, prefix, names
    )


def arrays_to_network(network: Network, prefix: str, arrays: Arrays) -> Network:
    """The network with its parameters and buffers set, in its own precision."""
    names = _names(network)
    return replace(
        network,
        params=_restore(network.params, prefix, names, arrays),
        buffers=_restore(network.buffers, prefix, names, arrays),
    )


def state_to_arrays(config: TrainConfig, state: TrainState) -> Arrays:
    """A copy of the whole training state."""
    arrays = network_to_arrays(state.generator, "generator")
    arrays |= network_to_arrays(state.discriminator, "discriminator")
    if state.generator_ema is not None:
        arrays |= network_to_arrays(state.generator_ema, "generator_ema")
    for name, network, optimizer in _optimizers(state):
        for slot, field in SLOTS[config.optimizer].items():
            values = getattr(optimizer, field)
            arrays |= _collect(values, f"{name}.{slot}", _names(network))
        if config.optimizer == "adam":
            arrays[f"{name}.step"] = np.asarray(optimizer.count, np.int64)
    return arrays


def arrays_to_state(
    config: TrainConfig, state: TrainState, arrays: Arrays
) -> TrainState:
    """Set the state; optimiser arrays left out become zero, an EMA becomes G."""
    generator = arrays_to_network(state.generator, "generator", arrays)
    average = state.generator_ema
    if average is not None:
        averaged = any(key.startswith("generator_ema.") for key in arrays)
        prefix = "generator_ema" if averaged else "generator"
        average = arrays_to_network(average, prefix, arrays)
    optimizers = {}
    for name, network, optimizer in _optimizers(state):
        fields = {
            field: _restore(
                getattr(optimizer, field), f"{name}.{slot}", _names(network), arrays
            )
            for slot, field in SLOTS[config.optimizer].items()
        }
        if config.optimizer == "adam":
            fields["count"] = jnp.asarray(arrays.get(f"{name}.step", 0), jnp.int32)
        optimizers[name] = optimizer._replace(**fields)
    return replace(
        state,
        generator=generator,
        discriminator=arrays_to_network(state.discriminator, "discriminator", arrays),
        generator_ema=average,
        **optimizers,
    )


def _optimizers(state: TrainState) -> Iterator[tuple[str, Network, Any]]:
    yield "g_optimizer", state.generator, state.g_optimizer
    yield "d_optimizer", state.discriminator, state.d_optimizer


def _names(network: Network) -> dict[str, str]:
    """PyTorch's name of each array, by its path in the NNX module."""
    paths = [
        _path(keys)
        for tree in (network.params, network.buffers)
        for keys, _ in jax.tree_util.tree_leaves_with_path(tree)
    ]
    names = {}
    for path in paths:
        layer, _, field = path.rpartition(".")
        parametrised = f"{layer.removesuffix('.constraint')}.parametrizations.weight"
        if field == "weight" and f"{layer}.constraint._u" in paths:
            names[path] = f"{parametrised}.original"
        elif field == "weight" and f"{layer}.constraint.length" in paths:
            names[path] = f"{parametrised}.original1"
        elif layer.endswith(".constraint"):
            renamed = "original0" if field == "length" else f"0.{field}"
            names[path] = f"{parametrised}.{renamed}"
        else:
            names[path] = path
    return names


def _path(keys: tuple[Any, ...]) -> str:
    """blocks.0.norm.weight; NNX adds a last key for the variable's value."""
    return ".".join(
        str(key.key) for key in keys if isinstance(key, jax.tree_util.DictKey)
    )


def _collect(tree: Any, prefix: str, names: dict[str, str]) -> Arrays:
    return {
        f"{prefix}.{names[_path(keys)]}": _to_numpy(value)
        for keys, value in jax.tree_util.tree_leaves_with_path(tree)
    }


def _restore(tree: Any, prefix: str, names: dict[str, str], arrays: Arrays) -> Any:
    """The tree with the arrays' values; zero where there are none (an optimiser's)."""

    def restore(keys: tuple[Any, ...], old: Array) -> Array:
        value = arrays.get(f"{prefix}.{names[_path(keys)]}")
        return jnp.zeros_like(old) if value is None else _to_jax(value, old.dtype)

    return jax.tree_util.tree_map_with_path(restore, tree)


def _to_numpy(value: Array) -> np.ndarray:
    array = np.array(value)
    if array.ndim == 4:  # [k, k, in, out], or [k, k, out, in] where transposed
        array = array.transpose(3, 2, 0, 1)
    if array.dtype == np.int32:
        array = array.astype(np.int64)
    return np.ascontiguousarray(array) if array.ndim else array


def _to_jax(value: np.ndarray, dtype: jnp.dtype) -> Array:
    array = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
    # A copy: the array would otherwise share memory that JAX is free to donate.
    return jnp.array(array, dtype=dtype, copy=True)
