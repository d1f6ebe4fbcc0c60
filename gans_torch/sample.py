"""Draw images from a run in PyTorch: ``python -m gans_torch.sample RUN [--flags]``."""

from collections.abc import Sequence

from shared import cli

PROG = "gans_torch.sample"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw images, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_sample(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from gans_torch.backend import Backend
        from shared import sampling

        sampling.sample(options, Backend)


if __name__ == "__main__":
    main()
