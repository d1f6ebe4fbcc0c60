"""The command line of `gans_jax.compile`: that of ``train``, and ``--for``."""

import sys
from collections.abc import Sequence

from gans_jax._elsewhere.target import Target, parse_target
from shared.commands import command_line
from shared.config.flags import refuse
from shared.config.run_options import TrainOptions
from shared.errors import UsageError

_HELP = """\
usage: {prog} [PRESET] --for TARGET [--flags of train]

Compile the training call of a run for accelerators that are not here, and say what
it takes of them.

  --for TARGET  v5e:2x2, v6e:4x4, v4:2x2x1, v5p:4x4x8, ...: TPUs, so many along each
                axis of their network, 256 at most; libtpu compiles for them
                (pip install "gans-twins[tpu-compile]"). cuda:8, tpu:2x4: lowers only,
                with the figures of H100s in nodes of eight, and of v5e.

All flags of train mean what they mean there; --batch-size is that of the whole batch.
"""
# What the target says, and so no flag.
_SAID = {"device": "auto", "devices": None, "num_processes": None}


def parse_compile(argv: Sequence[str] | None, prog: str) -> tuple[TrainOptions, Target]:
    """Options of ``train``, and the accelerators of ``--for``.

    Args:
        argv: the arguments; None: the process's.
        prog: how the user calls the program.

    Raises:
        UsageError: as `command_line.parse_train` does; or it is not said for what, or
            said twice.
        SystemExit: help or version has been printed.
    """
    words = command_line.arguments(argv)
    if {"-h", "--help"} & set(words):
        sys.stdout.write(_HELP.format(prog=prog))
        sys.exit(0)
    target, rest = _take_target(words)
    options = command_line.parse_train(rest, prog)
    for name, usual in _SAID.items():
        if (value := getattr(options, name)) != usual:
            raise refuse(name, value, "--for says which devices there are")
    return options, target


def _take_target(words: list[str]) -> tuple[Target, list[str]]:
    """What ``--for`` means, and the other words."""
    rest, texts = [], []
    coming = iter(words)
    for word in coming:
        name, is_whole, value = word.partition("=")
        if name == "--for":
            texts.append(value if is_whole else next(coming, ""))
        else:
            rest.append(word)
    if len(texts) != 1:
        raise UsageError("--for: say once for which accelerators, as in --for v5e:2x2")
    return parse_target(texts[0]), rest
