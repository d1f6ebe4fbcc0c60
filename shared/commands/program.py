"""The scripts ``gans-torch`` and ``gans-jax``: a command, and its arguments."""

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from shared.commands.command_line import arguments
from shared.commands.options import (
    CompareOptions,
    DataOptions,
    EvaluateOptions,
    ExportOptions,
    SampleOptions,
    TrainFlags,
)
from shared.errors import UsageError
from shared.words import suggestion

_OPTIONS = {
    "train": (TrainFlags, "train a GAN, or continue a run"),
    "sample": (SampleOptions, "draw images from a run"),
    "evaluate": (EvaluateOptions, "score a run's samples"),
    "export": (ExportOptions, "write a run's generator for others to load"),
    "data": (DataOptions, "show a data set as a run sees it"),
    "compare": (CompareOptions, "compare runs: a table, and their curves"),
}
# Beside what a package of that name offers to Python.
_MODULES = {"data": "data.__main__"}
# What one twin alone has is not a command of both.
_ELSEWHERE = {"compile": "; for JAX there is python -m gans_jax.compile"}
_SHELLS = ("bash", "zsh")


def run_program(prog: str, package: str, argv: Sequence[str] | None) -> None:
    """Run the command that comes first, as ``python -m PACKAGE.COMMAND`` does.

    Args:
        prog: how the user calls the program.
        package: the twin that has the commands.
        argv: the arguments; None: the process's.

    Raises:
        UsageError: there is no such command.
    """
    name, *rest = arguments(argv) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(_help(prog))
    elif name == "completion":
        _print_completion(prog, rest)
    elif name in _OPTIONS:
        module = _MODULES.get(name, name)
        importlib.import_module(f"{package}.{module}").main(rest)
    else:
        known = (*_OPTIONS, "completion")
        raise UsageError(
            f"command {name!r}: must be one of {', '.join(known)}"
            + (_ELSEWHERE.get(name) or suggestion(name, known))
        )


def _help(prog: str) -> str:
    rows = [f"  {name:<11} {words}" for name, (_, words) in _OPTIONS.items()]
    return "\n".join(
        [
            f"usage: {prog} COMMAND [ARGUMENTS]",
            "",
            *rows,
            f"  completion  what lets a shell complete words: {' or '.join(_SHELLS)}",
            "",
            f"{prog} COMMAND --help says more; {prog} --version says which this is.",
            "",
        ]
    )


def _print_completion(prog: str, rest: list[str]) -> None:
    if len(rest) != 1 or rest[0] not in _SHELLS:
        raise UsageError(f"completion: name a shell, {' or '.join(_SHELLS)}")
    commands: Any = tuple(
        Annotated[options, tyro.conf.subcommand(name)]
        for name, (options, _) in _OPTIONS.items()
    )
    words = ["--tyro-print-completion", rest[0]]
    tyro.cli(Union[commands], prog=prog, args=words)  # noqa: UP007  (made at run time)
