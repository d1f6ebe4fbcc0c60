"""Show a data set as a run sees it: ``python -m gans_torch.data DATASET [--flags]``."""

from collections.abc import Sequence

from shared.commands.process import run_command

PROG = "gans_torch.data"


def main(argv: Sequence[str] | None = None) -> None:
    """Show a data set, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options, config = command_line.parse_data(argv, PROG)

        from shared.commands import data

        data.describe(options, config, PROG)


if __name__ == "__main__":
    main()
