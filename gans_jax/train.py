"""Train a GAN in JAX: ``python -m gans_jax.train [PRESET] [--flags]``."""

from collections.abc import Sequence

from gans_jax import make_backend
from shared.commands import command_line

PROG = "gans_jax.train"


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or resume, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run_command(PROG):
        options = command_line.parse_train(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared.commands import train

        train.train(options, make_backend, PROG)


if __name__ == "__main__":
    main()
