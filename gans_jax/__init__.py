"""Generative adversarial networks in Flax; `gans_torch` is the twin."""

from typing import TYPE_CHECKING

from gans_jax import _own_shared  # noqa: F401  (first of all)
from shared import __version__ as __version__
from shared.lazy import front_door
from shared.training.host_memory import keep_freed_memory

if TYPE_CHECKING:
    from gans_jax import data, distribution, layers, losses, models, penalties
    from gans_jax.library import (
        evaluate,
        export,
        fit,
        load_generator,
        load_plugin,
    )
    from gans_jax.losses import register_objective
    from gans_jax.models import register_architecture
    from gans_jax.networks import Networks, build
    from gans_jax.penalties import register_penalty
    from gans_jax.trained import TrainedGenerator
    from shared.backend import Arithmetic, Backend
    from shared.config.presets import PRESETS
    from shared.config.train_config import TrainConfig
    from shared.data.image_data import DataInfo
    from shared.errors import TrainingError, UsageError
    from shared.evaluation.evaluation import Evaluation
    from shared.training.driver import TrainedRun

__all__ = [
    "PRESETS",
    "Evaluation",
    "Networks",
    "TrainConfig",
    "TrainedGenerator",
    "TrainedRun",
    "TrainingError",
    "UsageError",
    "build",
    "data",
    "distribution",
    "evaluate",
    "export",
    "fit",
    "layers",
    "load_generator",
    "load_plugin",
    "losses",
    "models",
    "penalties",
    "register_architecture",
    "register_objective",
    "register_penalty",
]

# Where these are. They are imported when they are asked for: to import this package, to
# show a help text or to refuse a mistake takes no framework, and not even NumPy.
_HOMES = {
    "gans_jax.library": (
        *("evaluate", "export", "fit", "load_generator", "load_plugin"),
    ),
    "gans_jax.losses": ("register_objective",),
    "gans_jax.models": ("register_architecture",),
    "gans_jax.networks": ("Networks", "build"),
    "gans_jax.penalties": ("register_penalty",),
    "gans_jax.trained": ("TrainedGenerator",),
    "shared.config.presets": ("PRESETS",),
    "shared.config.train_config": ("TrainConfig",),
    "shared.errors": ("TrainingError", "UsageError"),
    "shared.evaluation.evaluation": ("Evaluation",),
    "shared.training.driver": ("TrainedRun",),
}
# Of what a user's own objective, penalty or architecture is made.
_MODULES = ("data", "distribution", "layers", "losses", "models", "penalties")

__getattr__, __dir__ = front_door(__name__, _HOMES, _MODULES)


def make_backend(
    config: "TrainConfig",
    data: "DataInfo",
    device: str,
    arithmetic: "Arithmetic | None" = None,
) -> "Backend":
    """`gans_jax.backend.Backend`, imported when everything else has been checked.

    Refusing bad input thus takes a moment only.
    """
    keep_freed_memory()
    from gans_jax import backend

    return backend.Backend(config, data, device, arithmetic)
