"""Generative adversarial networks in Flax; `gans_torch` is the twin."""

from typing import TYPE_CHECKING

from gans_jax import _own_shared  # noqa: F401  (first of all)
from shared import __version__ as __version__
from shared.training.host_memory import keep_freed_memory

if TYPE_CHECKING:  # NumPy takes longer to import than --help may take.
    from shared.backend import Backend
    from shared.config.train_config import TrainConfig
    from shared.data.image_data import DataInfo


def make_backend(config: "TrainConfig", data: "DataInfo", device: str) -> "Backend":
    """`gans_jax.backend.Backend`, imported when everything else has been checked.

    Refusing bad input thus takes a moment only.
    """
    keep_freed_memory()
    from gans_jax import backend

    return backend.Backend(config, data, device)
