"""Arguments to options, and refusals in one line."""

import contextlib
import inspect
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from shared import sizes
from shared.commands import help_text, hints
from shared.config.flags import flag, spelled
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.errors import UsageError
from shared.sizes import ImageSize
from shared.words import suggestion

_T = TypeVar("_T")


_KINDS = {int: "a whole number", float: "a number", Path: "a path"}


# Flags whose values a plugin may add to.
_OF_PLUGINS = [flag(x.setting) for x in (ARCHITECTURES, OBJECTIVES, PENALTIES)]


_REGISTRY = ConstructorRegistry()

# Says of a field that it is no flag.
_POSITIONAL = get_args(tyro.conf.Positional[Any])[-1]

# Columns of a terminal on which no help text needs a second line.
_UNBROKEN = 4000


@_REGISTRY.primitive_rule
def _plain_values(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads T, T | None and tuple[T, T]; a refusal says in plain words what T is."""
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    kinds = kinds or [info.type]
    kind = kinds[0]
    if kind not in _KINDS or any(other is not kind for other in kinds):
        return None
    is_tuple = get_origin(info.type) is tuple

    def read(texts: list[str]) -> Any:
        try:
            values = tuple(kind(text) for text in texts)
        except ValueError:
            values = ()
        if not values or "" in texts:
            rule = f"must be {' and '.join([_KINDS[kind]] * len(texts))}"
            raise ValueError(f"{shlex.join(texts)}: {rule}")
        return values if is_tuple else values[0]

    return PrimitiveConstructorSpec(
        nargs=len(kinds),
        metavar=" ".join([kind.__name__.upper()] * len(kinds)),
        instance_from_str=read,
        is_instance=lambda _: True,
        str_from_instance=lambda value: [
            str(x) for x in (value if is_tuple else (value,))
        ],
    )


@_REGISTRY.primitive_rule
def _image_sizes(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads a size, of squares one number."""
    if info.type not in (ImageSize, ImageSize | None):
        return None

    def read(texts: list[str]) -> ImageSize:
        try:
            return sizes.parse(texts[0])
        except ValueError:
            rule = "must be a whole number, or height x width as in 48x64"
            raise ValueError(f"{shlex.join(texts)}: {rule}") from None

    return word("INT|INTxINT", read, lambda size: spelled("image_size", size))


def word(
    metavar: str,
    read: Callable[[list[str]], Any],
    write: Callable[[Any], str] = str,
) -> PrimitiveConstructorSpec[Any]:
    """A flag of one word.

    Args:
        metavar: what the help calls it.
        read: from the word, in a list, to the value; raises a `ValueError`.
        write: the inverse, for the help.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda _: True,
        str_from_instance=lambda value: [write(value)],
    )


def parse(
    flags: type[_T],
    args: list[str],
    *,
    prog: str,
    groups: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    **options: Any,
) -> _T:
    """`tyro.cli`, with every refusal as a `UsageError` of one line.

    Args:
        flags: what the arguments become.
        args: the arguments.
        prog: how the user calls the program.
        groups: the flags in the order of the help text, by title; none: one group.
        options: of `tyro.cli`.
    """
    options |= {"registry": _REGISTRY, "return_unknown_args": True}
    options["description"] += " --version says which version this is."
    refused = io.StringIO()
    try:
        with contextlib.redirect_stderr(refused), _grouped(groups):
            parsed, unknown = tyro.cli(flags, args=args, prog=prog, **options)
    except SystemExit as stop:
        if not stop.code:
            raise  # --help
        refusal = _in_our_words(_first_paragraph(refused.getvalue()), prog)
        # First: what follows an unknown option is taken for something else, and one of
        # a single dash for an argument, unless a flag lacks its value there.
        known = {*_options(flags), "--help", "-h"}
        pattern = "--" if refusal.startswith("--") else r"--|-[^-.\d]"
        for word in args:
            option = _option(word)
            # A flag that is on is put out by --no-; the name of one begins so itself.
            if re.match(pattern, word) and known.isdisjoint(
                (option, option.replace("--no-", "--"))
            ):
                raise _unrecognized(word, flags) from None
        raise UsageError(refusal) from None
    if unknown:
        option = _option(unknown[0])
        if not option.startswith("-"):
            hint = hints.of_argument(option, args, prog) or f"; see {prog} --help"
            raise UsageError(f"unexpected argument {option!r}{hint}")
        raise _unrecognized(unknown[0], flags)
    return parsed


def _option(word: str) -> str:
    """An option as it is called here: ``--batch-size`` of ``--batch_size=8``."""
    return word.partition("=")[0].replace("_", "-")


def _options(flags: type[Any]) -> list[str]:
    parameters = inspect.signature(flags).parameters.values()
    return [
        flag(x.name) for x in parameters if _POSITIONAL not in get_args(x.annotation)
    ]


def _unrecognized(word: str, flags: type[Any]) -> UsageError:
    option, known = _option(word), _options(flags)
    if os.path.lexists(word):
        return UsageError(f"unrecognized option {option}; did you mean ./{word}?")
    hint = hints.of_option(option, known) or suggestion(option, known)
    return UsageError(f"unrecognized option {option}{hint}")


@contextlib.contextmanager
def _grouped(groups: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Have a help text that is printed meanwhile come in groups."""
    printed = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_UNBROKEN)
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns
        if text := printed.getvalue():
            sys.stdout.write(help_text.in_groups(text, groups))


def _in_our_words(refusal: str, prog: str) -> str:
    """What tyro says, as other refusals are said, and with what may have been meant."""
    pattern = r"Missing value for argument '(.+)'\. Expected (\d+) values\."
    if found := re.fullmatch(pattern, refusal):
        count = "a value" if found[2] == "1" else f"{found[2]} values"
        return f"{found[1]}: needs {count}"
    if found := re.fullmatch(r"Missing from .+?: (\S+) .+", refusal):
        return f"{found[1]}: is missing; see {prog} --help"
    if found := re.fullmatch(r"Arguments (.+) are not allowed together!", refusal):
        return f"{found[1]}: give one of them, not both"
    pattern = r"invalid choice '(.*)' for argument '(.+)'.+ of \('(.+)'\)\."
    if not (found := re.fullmatch(pattern, refusal)):
        return refusal
    value, option, choices = found.groups()
    known = choices.split("', '")
    hint = hints.of_value(option, value) or suggestion(value, known)
    if not hint and option in _OF_PLUGINS:
        hint = "; is the --plugin missing that registers it?"
    return f"{option} {shlex.quote(value)}: must be one of {', '.join(known)}{hint}"


def _first_paragraph(box: str) -> str:
    """What tyro says in the first paragraph of its box, as one line."""
    lines = [line.strip(" │|") for line in box.splitlines()[1:]]
    is_text = [line.strip("─-") != "" for line in lines]
    start = is_text.index(True)
    end = [*is_text, False].index(False, start)
    text = " ".join(lines[start:end])
    return re.sub(r"^Error parsing (\S+): ", r"\1 ", text)
