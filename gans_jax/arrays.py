"""State <-> named NumPy arrays: the only place that knows names and layouts.

Both follow what the layers state of their arrays (see `shared.statements`). The layouts
are PyTorch's own, so here the arrays' axes are permuted.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gans_jax._network import Network
from gans_jax._stated import path, stated_by_path
from gans_jax.optim import FIELDS
from gans_jax.steps import TrainState
from shared.config.choices import SLOTS
from shared.config.memory import initial_memory, on_file
from shared.config.train_config import TrainConfig
from shared.files.arrays import Arrays
from shared.statements import COUNTER, Kind, Stated


def network_statements(network: Network, prefix: str) -> dict[str, Stated]:
    """What is stated of a network's arrays, by their names on file.

    Args:
        network: parameters and buffers of any values.
        prefix: of the names, as in ``generator``.

    Raises:
        UsageError: an array of which no layer states anything.
        ValueError: two arrays of one name.
    """
    return {array.name: array for array in stated_by_path(network, prefix).values()}


def network_to_arrays(network: Network, prefix: str) -> Arrays:
    """A copy of a network's parameters and buffers."""
    found = stated_by_path(network, prefix)
    return _collect(network.params, found) | _collect(network.buffers, found)


def arrays_to_network(network: Network, prefix: str, arrays: Arrays) -> Network:
    """The network with its parameters and buffers set, in its own precision."""
    found = stated_by_path(network, prefix)
    return replace(
        network,
        params=_restore(network.params, found, arrays),
        buffers=_restore(network.buffers, found, arrays),
    )


def state_to_arrays(config: TrainConfig, state: TrainState) -> Arrays:
    """A copy of the whole training state."""
    arrays = network_to_arrays(state.generator, "generator")
    arrays |= network_to_arrays(state.discriminator, "discriminator")
    if state.generator_ema is not None:
        arrays |= network_to_arrays(state.generator_ema, "generator_ema")
    for name, network, optimizer in _optimizers(state):
        for slot in SLOTS[config.optimizer]:
            values = getattr(optimizer, FIELDS[slot])
            arrays |= _collect(values, stated_by_path(network, f"{name}.{slot}"))
        if config.optimizer == "adam":
            arrays[f"{name}.step"] = np.asarray(optimizer.count, np.int64)
    start = initial_memory(config)
    return arrays | {
        on_file(name): np.asarray(number, start[name].dtype)
        for name, number in state.memory.items()
    }


def arrays_to_state(
    config: TrainConfig, state: TrainState, arrays: Arrays
) -> TrainState:
    """Set the state.

    An EMA that is missing becomes a copy of G; other arrays that are missing get their
    initial values.
    """
    generator = arrays_to_network(state.generator, "generator", arrays)
    average = state.generator_ema
    if average is not None:
        averaged = any(key.startswith("generator_ema.") for key in arrays)
        prefix = "generator_ema" if averaged else "generator"
        average = arrays_to_network(average, prefix, arrays)
    optimizers = {}
    for name, network, optimizer in _optimizers(state):
        fields = {
            FIELDS[slot]: _restore(
                getattr(optimizer, FIELDS[slot]),
                stated_by_path(network, f"{name}.{slot}"),
                arrays,
            )
            for slot in SLOTS[config.optimizer]
        }
        if config.optimizer == "adam":
            fields["count"] = jnp.asarray(arrays.get(f"{name}.step", 0), jnp.int32)
        optimizers[name] = optimizer._replace(**fields)
    memory = {
        name: jnp.asarray(arrays.get(on_file(name), number), state.memory[name].dtype)
        for name, number in initial_memory(config).items()
    }
    return replace(
        state,
        generator=generator,
        discriminator=arrays_to_network(state.discriminator, "discriminator", arrays),
        generator_ema=average,
        memory=memory,
        **optimizers,
    )


def _optimizers(state: TrainState) -> Iterator[tuple[str, Network, Any]]:
    yield "g_optimizer", state.generator, state.g_optimizer
    yield "d_optimizer", state.discriminator, state.d_optimizer


def _collect(tree: Any, stated: dict[str, Stated]) -> Arrays:
    """A network's tree, or one of its shape (an optimiser's), as arrays."""
    arrays = {}
    for keys, value in jax.tree_util.tree_leaves_with_path(tree):
        array = stated[path(keys)]
        arrays[array.name] = _to_numpy(value, array.kind)
    return arrays


def _restore(tree: Any, stated: dict[str, Stated], arrays: Arrays) -> Any:
    """The tree with the arrays' values; zero where there are none (an optimiser's)."""

    def restore(keys: tuple[Any, ...], old: Array) -> Array:
        array = stated[path(keys)]
        value = arrays.get(array.name)
        if value is None:
            return jnp.zeros_like(old)
        return _to_jax(value, array.kind, old.dtype)

    return jax.tree_util.tree_map_with_path(restore, tree)


def _to_numpy(value: Array, kind: Kind) -> np.ndarray:
    array = np.array(value).transpose(kind.to_file)
    if kind == COUNTER:
        array = array.astype(np.int64)
    return np.ascontiguousarray(array) if array.ndim else array


def _to_jax(value: np.ndarray, kind: Kind, dtype: jnp.dtype) -> Array:
    # A copy: the array would otherwise share memory that JAX is free to donate.
    return jnp.array(value.transpose(kind.to_jax), dtype=dtype, copy=True)
