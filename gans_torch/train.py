"""Train a GAN in PyTorch: ``python -m gans_torch.train [PRESET] [--flags]``."""

import os
from collections.abc import Sequence

from shared import cli
from shared.backend import Backend, DataInfo
from shared.config import TrainConfig
from shared.host_memory import keep_freed_memory

PROG = "gans_torch.train"


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or resume, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_train(argv, PROG)
        from shared import training

        training.train(options, make_backend, PROG)


def make_backend(config: TrainConfig, data: DataInfo, device: str) -> Backend:
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


if __name__ == "__main__":
    main()
