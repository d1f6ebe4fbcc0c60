"""The errors that are no mistakes of this program."""

import re
from pathlib import Path
from typing import Any

# What PyTorch, XLA and NumPy say, on the CPU and on accelerators; NVIDIA's libraries.
_OUT_OF_MEMORY = (
    "MemoryError|CUDA out of memory|CUDA error: out of memory|can't allocate memory"
    "|RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY"
    r"|CU(BLAS|DNN)_STATUS_\w*ALLOC\w*_FAILED"
    "|Cuda failure 2 'out of memory'|Failed to CUDA calloc async"
)


class UsageError(ValueError):
    """A mistake of the user's: one line naming the argument, its value and the rule.

    The command lines print the message without a traceback and exit with status 2.
    """


class SaidForAll(UsageError):
    """What the first process says of a run that the others have been told to end."""


class SaidElsewhere(UsageError):
    """What another process of the run says, and this one does not say once more."""


class DamagedError(UsageError):
    """A file that this project wrote holds something else by now."""


class TrainingError(RuntimeError):
    """Training cannot go on, through no mistake in the command.

    The command lines print the message without a traceback and exit with status 1.
    """


class Diverged(TrainingError):
    """Losses or weights are no longer finite.

    Args:
        step: at which it was seen.
        what: in words.
        rolled_back: whether it was gone back as often as may be.
    """

    def __init__(self, step: int, what: str, rolled_back: bool = False) -> None:
        cures = ["lower learning rates", "--clip-grad-norm", "a penalty"]
        if not rolled_back:
            cures.append("--on-nan rollback")
        *others, last = cures
        super().__init__(
            f"training has diverged: {what}; try {', '.join(others)}, or {last}"
        )
        self.step = step
        self.what = what
        self.rolled_back = rolled_back

    def __reduce__(self) -> tuple[Any, ...]:
        # What is raised again in another process is made from its words.
        return type(self).__new__, (type(self), *self.args), vars(self)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while a run trained; it goes on from what was saved.

    Args:
        path: the run's folder; None where it has none.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.path = path


def is_out_of_memory(error: Exception) -> bool:
    """Whether a framework says so: its errors have no class in common."""
    return re.search(_OUT_OF_MEMORY, f"{type(error).__name__}: {error}") is not None
