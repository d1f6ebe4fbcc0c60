"""Generative adversarial networks in PyTorch; `gans_jax` is the twin."""

import os
from typing import TYPE_CHECKING

from gans_torch import _own_shared  # noqa: F401  (first of all)
from shared import __version__ as __version__
from shared.lazy import front_door
from shared.training.host_memory import keep_freed_memory
from shared.training.threads import spin_briefly

if TYPE_CHECKING:
    from gans_torch import data, distribution, layers, losses, models, penalties
    from gans_torch.library import (
        evaluate,
        export,
        fit,
        load_generator,
        load_plugin,
    )
    from gans_torch.losses import register_objective
    from gans_torch.models import register_architecture
    from gans_torch.networks import Networks, build
    from gans_torch.penalties import register_penalty
    from gans_torch.trained import TrainedGenerator
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
    "gans_torch.library": (
        *("evaluate", "export", "fit", "load_generator", "load_plugin"),
    ),
    "gans_torch.losses": ("register_objective",),
    "gans_torch.models": ("register_architecture",),
    "gans_torch.networks": ("Networks", "build"),
    "gans_torch.penalties": ("register_penalty",),
    "gans_torch.trained": ("TrainedGenerator",),
    "shared.config.presets": ("PRESETS",),
    "shared.config.train_config": ("TrainConfig",),
    "shared.errors": ("TrainingError", "UsageError"),
    "shared.evaluation.evaluation": ("Evaluation",),
    "shared.training.driver": ("TrainedRun",),
}
# Of what a user's own objective, penalty or architecture is made.
_MODULES = ("data", "distribution", "layers", "losses", "models", "penalties")

# Without Intel's AMX, with which oneDNN's convolutions in bfloat16 leave out rows of a
# kernel of 8 pixels or more (PyTorch 2.14; pytorch/pytorch#169688 is of their kind):
# those have such that give a penalty's derivative by D's weights. It is read once in a
# process, at the first convolution.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

# Threads must know how to wait before the framework is imported.
__getattr__, __dir__ = front_door(__name__, _HOMES, _MODULES, before=spin_briefly)


def make_backend(
    config: "TrainConfig",
    data: "DataInfo",
    device: str,
    arithmetic: "Arithmetic | None" = None,
) -> "Backend":
    """`gans_torch.backend.Backend`, imported when everything else has been checked.

    Refusing bad input thus takes a moment only.
    """
    keep_freed_memory()
    spin_briefly()
    from gans_torch import backend

    return backend.Backend(config, data, device, arithmetic)
