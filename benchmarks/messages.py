"""What two devices send each other in a training step, counted on neither of them.

PyTorch's step is made with tensors that have shapes and no numbers, and a sum that only
notes what it is given; JAX's is read in the program that is handed to its compiler. So
presets of any size take seconds, and full batches.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple
from unittest.mock import patch

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData

_DEVICES = 2


class Sent(NamedTuple):
    """What each device adds up with the other in a step with an update of D."""

    sums: int
    """How many messages."""
    numbers: int
    """Of them those of a single number."""
    size: int
    """Bytes of all."""
    gradients: int
    """Of them those of gradients."""


def count(twin: str, preset: str) -> Sent:
    """What is sent in a step of a preset.

    Args:
        twin: ``torch`` or ``jax``.
        preset: its name.
    """
    config = PRESETS[preset]
    if config.batch_size % _DEVICES:
        config = dataclasses.replace(config, batch_size=config.batch_size + 1)
    return {"torch": _count_torch, "jax": _count_jax}[twin](config)


def _data(config: TrainConfig) -> ImageData:
    from pathlib import Path

    from gans_jax._elsewhere.data import data_like

    return data_like(config, Path("data"), None)


def _count_torch(config: TrainConfig) -> Sent:
    from gans_torch.backend import Backend
    from shared.training.processes import Processes
    from shared.training.session import Session

    data = _data(config)
    with _noted_sums() as sizes:
        backend = Backend(config, data.info, "cpu")
        backend._processes = Processes(0, _DEVICES)
        backend.batch_slice = slice(0, config.batch_size // _DEVICES)
        session = Session(config, data, backend)
        inputs = session.prepare(range(1)).inputs
        backend._train_step(backend._send(inputs), 0)
        state = backend.state
        of_networks = {
            sum(4 * x.numel() for x in network.parameters())
            for network in (state.generator, state.discriminator)
        }
    return _sent(sizes, of_networks)


@contextlib.contextmanager
def _noted_sums() -> Iterator[list[int]]:
    """Have PyTorch compute shapes only, and yield the bytes of what it adds up."""
    import torch

    sizes: list[int] = []
    with (
        patch("gans_torch.backend.find_device", lambda name: torch.device("meta")),
        patch("torch.distributed.all_reduce", lambda x: sizes.append(x.nbytes)),
        patch("torch.distributed.get_rank", lambda: 0),
        # Fused, they do not take such tensors; and they send nothing.
        patch("gans_torch.optim._Adam.step"),
        patch("gans_torch.optim._RMSprop.step"),
    ):
        yield sizes


def _count_jax(config: TrainConfig) -> Sent:
    from gans_jax._elsewhere.backend import Elsewhere
    from gans_jax._elsewhere.collectives import messages
    from gans_jax._elsewhere.target import parse_target
    from shared.training.session import Session

    data = _data(config)
    backend = Elsewhere(config, data.info, parse_target(f"cuda:{_DEVICES}"))
    session = Session(config, data, backend, "device")
    lowered = backend.lower(session.prepare(range(1)).inputs)
    sizes = [x.size for x in messages(lowered.as_text(dialect="hlo"))]
    arrays = backend.statements()
    of_networks = {
        sum(
            4 * math.prod(array.shape)
            for name, array in arrays.items()
            if name.startswith(network) and array.kind.trained
        )
        for network in ("generator.", "discriminator.")
    }
    return _sent(sizes, of_networks)


def _sent(sizes: list[int], of_networks: set[int]) -> Sent:
    gradients = sum(size for size in sizes if size in of_networks)
    return Sent(len(sizes), sizes.count(4), sum(sizes), gradients)
