"""Write a run's generator in JAX: ``python -m gans_jax.export RUN [--flags]``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.commands.callable_module import CallableModule
from shared.commands.process import run_command

if TYPE_CHECKING:
    from gans_jax.trained import TrainedGenerator
    from shared.run.checkpoint import Checkpoint
    from shared.run.generator import GeneratorState

PROG = "gans_jax.export"

# So that `gans_jax.export(...)` works all the same.
sys.modules[__name__].__class__ = CallableModule


def main(argv: Sequence[str] | None = None) -> None:
    """Export, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from shared.commands import command_line

        options = command_line.parse_export(argv, PROG)

        from shared.commands import export

        export.export(options, "gans_jax", _load, _convert)


def _load(state: "Checkpoint | GeneratorState", device: str) -> "TrainedGenerator":
    """Imported when there is a state, so that its lack is said in a moment."""
    from gans_jax.trained import TrainedGenerator

    return TrainedGenerator(state, device)


def _convert(generator: "TrainedGenerator", format: str) -> bytes:
    from gans_jax.formats import convert

    return convert(generator, format)


if __name__ == "__main__":
    main()
