"""The door for calls from Python: arguments are held to their annotations.

What is wrong is said in words of Python, whoever has noticed it.
"""

import contextlib
import contextvars
import functools
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

from shared.config.values import in_line, plain, printable, shown
from shared.errors import TrainingError, UsageError
from shared.words import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

_P = ParamSpec("_P")
_T = TypeVar("_T")

# A command, or a flag that is in none, nor in a name such as a--b; with its value where
# it stands alone.
_FLAG = re.compile(
    r"((?:python -m|torchrun) [^;]*)"
    r"|(?<![^\s(])--([a-z][a-z-]*)(?:(?<=it with --resume) ([^,]*))?"
)

_in_flags = contextvars.ContextVar("in_flags", default=False)

# By name: most of these classes are above this floor.
_WORDS = {
    "NoneType": "None",
    "bool": "True or False",
    "int": "a whole number",
    "float": "a finite number",
    "str": "a text",
    "Path": "a path",
    "Callable": "a function",
    "SupportsArray": "an array",
    "Sequence": "a list",
    "TrainConfig": 'a TrainConfig, as PRESETS["quick"] is',
    "ImageData": 'ImageData, as data.load("digits") or data.from_arrays(x) returns',
    "DataInfo": "a DataInfo, as data.info is",
    "TrainedRun": "what fit has returned",
}
# Short enough to be shown; arrays, data sets and modules are not.
_SHOWN = (NoneType, bool, int, float, str, tuple)


@runtime_checkable
class SupportsArray(Protocol):
    """An array of any framework."""

    def __array__(self) -> Any:
        """What NumPy makes of it."""


# Whatever is taken for an array.
AnyArray = SupportsArray | Sequence[Any]


def as_array(name: str, value: object) -> "NDArray[Any]":
    """What NumPy makes of an array of any framework, or of lists.

    Args:
        name: what an error calls it.
        value: of any type.

    Raises:
        UsageError: NumPy makes nothing of it, or what it would take for values is
            masked, or no colour.
    """
    import numpy as np  # what a command refuses needs none

    # NumPy makes one object of these.
    if value is None or isinstance(value, str | bytes | Mapping | Set | Iterator):
        kind = type(value).__name__
        raise UsageError(f"{name} of type {kind}: must be an array, or a list")
    try:
        array = np.asarray(value)
    except Exception as error:  # each framework has errors of its own
        reason = printable(one_line(error), most=200)
        raise UsageError(f"{name}: cannot be made an array: {reason}") from error
    # Values of PIL's other images are no colours, as those of a palette.
    for image in value if isinstance(value, list | tuple) else ():
        if hasattr(image, "getbands") and image.mode not in ("L", "RGB"):
            raise UsageError(
                f"{name} of mode {shown(image.mode)}: must be L or RGB; of these, x:"
                ' [image.convert("RGB") for image in x]'
            )
    if np.ma.is_masked(value):
        raise UsageError(f"{name}: must have no masked values")
    return array


def from_python(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have a function refuse arguments of other types than it is annotated with.

    A word that is none of the choices is refused, too, and whatever the function itself
    refuses is said as `in_python` says it.
    """
    names = list(inspect.signature(function).parameters)
    called: Callable[..., _T] = function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> _T:
        with in_python():
            kinds = _kinds(function)
            given = dict(zip(names, args, strict=False)) | kwargs
            for name, value in given.items():
                _check(name, value, kinds.get(name, object))
            return called(*map(_own, args), **{k: _own(v) for k, v in kwargs.items()})

    return cast("Callable[_P, _T]", call)


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """Have errors name the arguments as Python does: ``batch_size``, not a flag.

    They are of one line, whatever line breaks a path may have.
    Commands that an error tells of are left as they are; so are flags in a command.
    """
    try:
        yield
    except (UsageError, TrainingError) as error:
        if not _in_flags.get():
            error.args = (without_flags(one_line(error)),)
        raise


def without_flags(line: str) -> str:
    """What is said to a command line, as `in_python` says it."""
    return _FLAG.sub(_argument, line)


@contextlib.contextmanager
def in_flags() -> Iterator[None]:
    """Have errors name the arguments as a command line does: what is inside is one."""
    token = _in_flags.set(True)
    try:
        yield
    finally:
        _in_flags.reset(token)


@contextlib.contextmanager
def named_as(dataset: str, words: str) -> Iterator[None]:
    """Have errors name a data set as it was given, where that was not by ``--dataset``.

    Args:
        dataset: its name.
        words: how it was given.
    """
    try:
        yield
    except UsageError as error:
        said = str(error).replace(f"--dataset {dataset}", words)
        raise UsageError(said) from error


@contextlib.contextmanager
def about(argument: str) -> Iterator[None]:
    """Have errors that begin with a path name the argument that it was given by.

    Args:
        argument: its name.
    """
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{argument} {error}") from error


@contextlib.contextmanager
def about_path(argument: str, path: object) -> Iterator[None]:
    """Have Python's errors that begin with a path name the argument of it.

    A command has it by its place, not by a name.

    Args:
        argument: its name.
        path: as the errors write it.
    """
    try:
        yield
    except UsageError as error:
        if not _in_flags.get() and str(error).startswith(str(path)):
            error.args = (f"{argument} {error}",)
        raise


def _own(value: Any) -> Any:
    """Python's own number for NumPy's, which no file of ours can hold."""
    return plain(value) if isinstance(value, Real) else value


def _argument(found: re.Match[str]) -> str:
    command, flag, value = found.groups()
    return command or flag.replace("-", "_") + (f'="{value}"' if value else "")


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of the arguments, by name."""
    kinds = get_type_hints(function)
    kinds.pop("return", None)
    return kinds


def _check(name: str, value: object, kind: Any) -> None:
    if not _fits(value, kind):
        raise UsageError(f"{name} {_given(value)}: must be {_words(kind)}")
    if Path in get_args(kind) and isinstance(value, str | os.PathLike):
        _check_path(name, value)


def _check_path(name: str, path: str | os.PathLike[str]) -> None:
    """Refuse what the system has no file for, or takes for the current folder."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded:
        shown_path = in_line(os.fspath(path))
        raise UsageError(f"{name} {shown_path}: no file or folder can have this name")


def _fits(value: object, kind: Any) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, member) for member in args)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin is tuple:
        is_one = isinstance(value, tuple) and len(value) == len(args)
        return is_one and all(map(_fits, value, args))
    if kind is int:  # NumPy's, too; a bool is an int to Python
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return is_number and value - value == 0  # finite, of whatever size
    return isinstance(value, os.PathLike if kind is Path else origin or kind)


def _given(value: object) -> str:
    if type(value) in _SHOWN:
        return in_line(value)
    return f"of type {type(value).__name__}"


def _words(kind: Any) -> str:
    """What a value must be."""
    args = get_args(kind)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(args)}"
    if get_origin(kind) not in (Union, UnionType):
        return _word(kind)
    # What may be a path may be one as a text; None is said first.
    members = [x for x in args if not (x is str and Path in args)]
    words = [_word(x) for x in sorted(members, key=lambda x: x is not NoneType)]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _word(kind: Any) -> str:
    """The same as one of several."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(map(repr, args))
    if origin is tuple:
        return f"{len(args)} in a tuple"
    name = (origin or kind).__name__
    return _WORDS.get(name, f"a {name}")
