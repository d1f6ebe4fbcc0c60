"""Draw images from a run in JAX: ``python -m gans_jax.sample RUN [--flags]``."""

from collections.abc import Sequence

from gans_jax.train import make_backend
from shared import cli

PROG = "gans_jax.sample"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw images, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with cli.run_command(PROG):
        options = cli.parse_sample(argv, PROG)
        from shared import sampling

        sampling.sample(options, make_backend)


if __name__ == "__main__":
    main()
