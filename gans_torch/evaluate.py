"""Score a run's samples in PyTorch: ``python -m gans_torch.evaluate RUN [--flags]``."""

from collections.abc import Sequence

from gans_torch.train import make_backend
from shared import cli

PROG = "gans_torch.evaluate"


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_evaluate(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared import evaluation

        evaluation.evaluate(options, make_backend)


if __name__ == "__main__":
    main()
