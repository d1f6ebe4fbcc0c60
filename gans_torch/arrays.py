"""State <-> named NumPy arrays: the only place that knows names and layouts.

Both follow what the layers state of their arrays (see `shared.statements`). The layouts
are PyTorch's own, so here the arrays are merely collected.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from gans_torch._stated import stated_by_path
from gans_torch.steps import TrainState
from shared.config.choices import SLOTS
from shared.config.memory import initial_memory, on_file
from shared.config.train_config import TrainConfig
from shared.files.arrays import Arrays
from shared.statements import Stated


def network_statements(network: nn.Module, prefix: str) -> dict[str, Stated]:
    """What is stated of a network's arrays, by their names on file.

    Args:
        network: parameters and buffers of any values.
        prefix: of the names, as in ``generator``.

    Raises:
        UsageError: an array of which no layer states anything.
        ValueError: two arrays of one name.
    """
    return {array.name: array for array in stated_by_path(network, prefix).values()}


def network_to_arrays(network: nn.Module, prefix: str) -> Arrays:
    """A copy of a network's parameters and buffers."""
    values = network.state_dict()
    return {
        array.name: _to_numpy(values[path])
        for path, array in stated_by_path(network, prefix).items()
    }


def arrays_to_network(network: nn.Module, prefix: str, arrays: Arrays) -> None:
    """Set a network's parameters and buffers, in its own precision."""
    values = network.state_dict()
    with torch.no_grad():
        for path, array in stated_by_path(network, prefix).items():
            values[path].copy_(_to_tensor(arrays[array.name]))


def state_to_arrays(config: TrainConfig, state: TrainState) -> Arrays:
    """A copy of the whole training state."""
    arrays = network_to_arrays(state.generator, "generator")
    arrays |= network_to_arrays(state.discriminator, "discriminator")
    if state.generator_ema is not None:
        arrays |= network_to_arrays(state.generator_ema, "generator_ema")
    for name, network, optimizer in _optimizers(state):
        found = stated_by_path(network, "")
        for path, parameter in network.named_parameters():
            slots = optimizer.state[parameter]
            for slot in SLOTS[config.optimizer]:
                key = f"{name}.{slot}.{found[path].name}"
                arrays[key] = _to_numpy(slots[slot])
            if config.optimizer == "adam":  # one count, kept with every parameter
                arrays[f"{name}.step"] = np.asarray(slots["step"].item(), np.int64)
    return arrays | {on_file(k): _to_numpy(x) for k, x in state.memory.items()}


def arrays_to_state(config: TrainConfig, state: TrainState, arrays: Arrays) -> None:
    """Set the state.

    An EMA that is missing becomes a copy of G; other arrays that are missing get their
    initial values.
    """
    arrays_to_network(state.generator, "generator", arrays)
    arrays_to_network(state.discriminator, "discriminator", arrays)
    if state.generator_ema is not None:
        averaged = any(key.startswith("generator_ema.") for key in arrays)
        prefix = "generator_ema" if averaged else "generator"
        arrays_to_network(state.generator_ema, prefix, arrays)
    for name, network, optimizer in _optimizers(state):
        step = float(arrays.get(f"{name}.step", 0))
        found = stated_by_path(network, "")
        for path, parameter in network.named_parameters():
            # PyTorch counts in float32.
            count = torch.tensor(step, dtype=torch.float32, device=parameter.device)
            slots = {"step": count}
            for slot in SLOTS[config.optimizer]:
                slots[slot] = torch.zeros_like(parameter)
                key = f"{name}.{slot}.{found[path].name}"
                if (value := arrays.get(key)) is not None:
                    slots[slot].copy_(_to_tensor(value))
            optimizer.state[parameter] = slots
    for name, number in initial_memory(config).items():
        state.memory[name].copy_(_to_tensor(arrays.get(on_file(name), number)))


def _optimizers(
    state: TrainState,
) -> Iterator[tuple[str, nn.Module, torch.optim.Optimizer]]:
    yield "g_optimizer", state.generator, state.g_optimizer
    yield "d_optimizer", state.discriminator, state.d_optimizer


def _to_numpy(value: Tensor) -> np.ndarray:
    # Contiguous in PyTorch's own order, whatever the memory format; and a copy.
    value = value.detach().cpu().contiguous()
    if value.dtype == torch.bfloat16:  # which NumPy lacks
        value = value.float()
    return np.array(value.numpy(), order="C")


def _to_tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(value, order="C"))
