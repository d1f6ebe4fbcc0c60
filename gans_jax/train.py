"""Train a GAN in JAX: ``python -m gans_jax.train [PRESET] [--flags]``."""

from collections.abc import Sequence

from gans_jax import make_backend
from gans_jax._compiled import keep_compiled
from shared.commands.process import run_command

PROG = "gans_jax.train"


def main(argv: Sequence[str] | None = None) -> None:
    """Train, or resume, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options = command_line.parse_train(argv, PROG)
        if not options.no_compile_cache:
            keep_compiled()

        from shared.commands import train

        train.train(options, make_backend, PROG)


if __name__ == "__main__":
    main()
