"""What the command lines of the benchmarks have in common."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import tyro

from shared.commands.command_line import arguments
from shared.commands.process import run_command
from shared.config.flags import refuse
from shared.run.outputs import made_out
from shared.words import suggestion

_OptionsT = TypeVar("_OptionsT")


@contextlib.contextmanager
def run(
    kind: type[_OptionsT],
    argv: Sequence[str] | None,
    name: str,
    about: str | None,
    written: Sequence[str] = (),
) -> Iterator[_OptionsT]:
    """Run what follows with the options of a command line, as `run_command` does.

    The folder ``--out`` is made first, so that nothing is measured in vain; and goes
    again if nothing is.

    Args:
        kind: of the options.
        argv: the arguments; None: the process's.
        name: of the module that is run.
        about: what it does, for ``--help``.
        written: names of the files in ``--out``, where there is such an option.
    """
    prog = f"benchmarks.{name}"
    options = tyro.cli(kind, args=arguments(argv), prog=prog, description=about)
    with run_command(prog):
        out = getattr(options, "out", None)
        with contextlib.nullcontext() if out is None else made_out(out, *written):
            yield options


def check_known(field: str, names: Sequence[str], known: Collection[str]) -> None:
    """Refuse a name that nothing has.

    Args:
        field: of the options.
        names: its value.
        known: all names that there are.

    Raises:
        UsageError: one is none of them.
    """
    for name in names:
        if name not in known:
            near = suggestion(name, known)
            raise refuse(field, name, f"must be one of {', '.join(known)}{near}")


def check_above_0(options: Any, *fields: str) -> None:
    """Refuse numbers that nothing can be made of.

    Args:
        options: what the command line says.
        fields: whose value is a number, or several, or None.

    Raises:
        UsageError: one is 0 or below.
    """
    for field in fields:
        value = getattr(options, field)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and number <= 0:
                raise refuse(field, number, "must be above 0")
