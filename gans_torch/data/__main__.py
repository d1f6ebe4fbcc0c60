"""Show a data set as a run sees it: ``python -m gans_torch.data DATASET [--flags]``."""

from collections.abc import Sequence

from shared.commands import command_line

PROG = "gans_torch.data"


def main(argv: Sequence[str] | None = None) -> None:
    """Show a data set, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run_command(PROG):
        options, config = command_line.parse_data(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared.commands import data

        data.describe(options, config, PROG)


if __name__ == "__main__":
    main()
