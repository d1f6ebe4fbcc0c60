"""Score a run's samples in JAX: ``python -m gans_jax.evaluate RUN [--flags]``."""

from collections.abc import Sequence

from gans_jax import make_backend
from shared.commands import command_line

PROG = "gans_jax.evaluate"


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run_command(PROG):
        options = command_line.parse_evaluate(argv, PROG)
        # Imported late, so that refusing bad input takes a moment only.
        from shared.commands import evaluate

        evaluate.evaluate(options, make_backend)


if __name__ == "__main__":
    main()
