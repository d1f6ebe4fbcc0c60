"""All commands of the JAX twin: ``gans-jax COMMAND``, the installed script."""

from collections.abc import Sequence

from shared.commands.process import run_command

PROG = "gans-jax"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import program

        program.run_program(PROG, "gans_jax", argv)


if __name__ == "__main__":
    main()
