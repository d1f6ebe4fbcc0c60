"""Draw images from a run in JAX: ``python -m gans_jax.sample RUN [--flags]``."""

from collections.abc import Sequence

from gans_jax import make_backend
from shared.commands.process import run_command

PROG = "gans_jax.sample"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw images, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options = command_line.parse_sample(argv, PROG)

        from shared.commands import sample

        sample.sample(options, make_backend)


if __name__ == "__main__":
    main()
