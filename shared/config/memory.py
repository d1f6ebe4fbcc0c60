"""What a run remembers from step to step beside networks and optimisers: numbers.

Each is a scalar of the training state, saved with it as ``memory.<name>``. What needs
one finds it by its name in its twin's `TrainState.memory`.
"""

import numpy as np
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig


def initial_memory(config: TrainConfig) -> dict[str, NDArray[np.int64]]:
    """What a run starts from, by name; nothing where it needs no memory.

    Whole numbers are int64, others would be float32; on file as well.
    """
    names = ("adjustments", "signs", "steps") if config.adapts else ()
    return {f"ada.{name}": np.zeros((), np.int64) for name in names}


def on_file(name: str) -> str:
    """What a number is called in a checkpoint."""
    return f"memory.{name}"
