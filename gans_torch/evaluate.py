"""Score a run's samples in PyTorch: ``python -m gans_torch.evaluate RUN [--flags]``."""

import sys
from collections.abc import Sequence

from gans_torch import make_backend
from shared.commands.callable_module import CallableModule
from shared.commands.process import run_command

PROG = "gans_torch.evaluate"

# So that `gans_torch.evaluate(...)` works all the same.
sys.modules[__name__].__class__ = CallableModule


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options = command_line.parse_evaluate(argv, PROG)

        from shared.commands import evaluate

        evaluate.evaluate(options, "gans_torch", make_backend)


if __name__ == "__main__":
    main()
