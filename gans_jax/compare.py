"""Compare runs of either twin: ``python -m gans_jax.compare RUN [RUN ...]``."""

from collections.abc import Sequence

from shared.commands.process import run_command

PROG = "gans_jax.compare"


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options = command_line.parse_compare(argv, PROG)

        from shared.report import comparison

        comparison.compare(options.runs, options.out)


if __name__ == "__main__":
    main()
