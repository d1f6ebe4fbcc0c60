"""Compile a run for accelerators that are not here.

``python -m gans_jax.compile [PRESET] --for v5e:2x2 [--flags of train]``

It takes the training call that ``train`` would run, has XLA compile it for the chips,
and says whether they could run it, what a step takes of them, and what it takes at
best. There is no twin: PyTorch compiles for no device that it does not find.
"""

import os
import sys
from collections.abc import Sequence

from shared.commands.process import run_command

PROG = "gans_jax.compile"


def main(argv: Sequence[str] | None = None) -> None:
    """Compile, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG, argv):
        # Imported late, so that Ctrl-C and bad input take a moment only.
        from gans_jax._elsewhere.arguments import parse_compile

        options, target = parse_compile(argv, PROG)
        # An installed libtpu would look for TPUs of this machine.
        os.environ.setdefault("JAX_PLATFORMS", "cpu")

        from gans_jax._elsewhere.program import analyse
        from gans_jax._elsewhere.report import describe

        program = analyse(options, target)
        sys.stdout.write(describe(options.config, target, program))


if __name__ == "__main__":
    main()
