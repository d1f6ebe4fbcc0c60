"""Changes of functions' sources, made for a while."""

import contextlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple


class Edit(NamedTuple):
    """A change of one function's source."""

    function: Callable[..., Any]
    """A function or method, as its module defines it."""
    changes: dict[str, str]
    """What stands in the mutant for a text that occurs once in the source."""


@contextlib.contextmanager
def edited(*edits: Edit) -> Iterator[None]:
    """Make the edits, and undo them on leaving.

    The function's code is exchanged, not the function, so that every reference to it
    (a table's, a ``from`` import's) sees the mutant.

    Raises:
        ValueError: the text to replace does not occur exactly once.
    """
    with contextlib.ExitStack() as undo:
        for edit in edits:
            function = inspect.unwrap(edit.function)
            assert isinstance(function, FunctionType)
            code = _edited_code(function, edit.changes)
            undo.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = code
        yield


def _edited_code(function: FunctionType, changes: dict[str, str]) -> CodeType:
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in changes.items():
        if source.count(old) != 1:
            raise ValueError(
                f"{function.__qualname__}: must contain {old!r} once, not"
                f" {source.count(old)} times"
            )
        source = source.replace(old, new)
    defined: dict[str, Any] = {}
    code = compile(source, f"<mutant of {function.__qualname__}>", "exec")
    exec(code, function.__globals__, defined)
    new = defined[function.__name__]
    return inspect.unwrap(getattr(new, "func", new)).__code__
