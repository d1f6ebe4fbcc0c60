"""Train a GAN in JAX: ``python -m gans_jax.train [PRESET] [--flags]``."""

from collections.abc import Sequence

from shared import cli
from shared.backend import Backend, DataInfo
from shared.config import TrainConfig
from shared.host_memory import keep_freed_memory

PROG = "gans_jax.train"


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
    """`gans_jax.backend.Backend`, imported when everything else has been checked.

    Refusing bad input thus takes a moment only.
    """
    keep_freed_memory()
    from gans_jax import backend

    return backend.Backend(config, data, device)


if __name__ == "__main__":
    main()
