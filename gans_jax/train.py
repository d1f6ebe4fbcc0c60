"""Train a GAN in JAX: ``python -m gans_jax.train [PRESET] [--flags]``."""

from collections.abc import Sequence

from shared import cli

PROG = "gans_jax.train"


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or resume, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_train(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from gans_jax.backend import Backend
        from shared import training

        training.train(options, Backend, PROG)


if __name__ == "__main__":
    main()
