"""Compare runs of either twin: ``python -m gans_jax.compare RUN [RUN ...]``."""

from collections.abc import Sequence

from shared import cli

PROG = "gans_jax.compare"


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_compare(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared import comparison

        comparison.compare(options)


if __name__ == "__main__":
    main()
