"""What the command lines of the benchmarks have in common."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import tyro

from shared.commands.command_line import arguments
from shared.commands.process import run_command

_OptionsT = TypeVar("_OptionsT")


@contextlib.contextmanager
def run(
    kind: type[_OptionsT], argv: Sequence[str] | None, name: str, about: str | None
) -> Iterator[_OptionsT]:
    """Run what follows with the options of a command line, as `run_command` does.

    Args:
        kind: of the options.
        argv: the arguments; None: the process's.
        name: of the module that is run.
        about: what it does, for ``--help``.
    """
    prog = f"benchmarks.{name}"
    options = tyro.cli(kind, args=arguments(argv), prog=prog, description=about)
    with run_command(prog):
        yield options
