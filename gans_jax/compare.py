"""Compare runs of either twin: ``python -m gans_jax.compare RUN [RUN ...]``."""

from collections.abc import Sequence

from shared.commands import command_line

PROG = "gans_jax.compare"


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run_command(PROG):
        options = command_line.parse_compare(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared.report import comparison

        comparison.compare(options.runs, options.out)


if __name__ == "__main__":
    main()
