"""All commands of the JAX twin: ``gans-jax COMMAND``, the installed script."""

from collections.abc import Sequence

from shared.commands import program

PROG = "gans-jax"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    program.run_program(PROG, "gans_jax", argv)


if __name__ == "__main__":
    main()
