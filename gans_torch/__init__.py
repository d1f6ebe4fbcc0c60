"""Generative adversarial networks in PyTorch; `gans_jax` is the twin."""

import os
from typing import TYPE_CHECKING

from gans_torch import _own_shared  # noqa: F401  (first of all)
from shared import __version__ as __version__
from shared.training.host_memory import keep_freed_memory

if TYPE_CHECKING:  # NumPy takes longer to import than --help may take.
    from shared.backend import Backend
    from shared.config.train_config import TrainConfig
    from shared.data.image_data import DataInfo


def make_backend(config: "TrainConfig", data: "DataInfo", device: str) -> "Backend":
    """`gans_torch.backend.Backend`, imported when everything else has been checked.

    Refusing bad input thus takes a moment only.
    """
    keep_freed_memory()
    # Read when PyTorch is imported. Its threads wait for each other hundreds of times
    # in a step. If they sleep at once, waking them makes a small step a fifth longer;
    # if they spin on, it is half as long again beside a busy neighbour, whose processor
    # they take. So they spin for some 10 microseconds, then sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    from gans_torch import backend

    return backend.Backend(config, data, device)
