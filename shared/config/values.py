"""The one door for values from outside: held to the types that their readers rely on.

What a value must be is said where it is meant: by the annotations of a dataclass, a
`NamedTuple` or a `TypedDict`, of which JSON holds an object. A schema library would do
the same in as many lines here: its words are not those of the command line, it reads a
`NamedTuple` from a list, and turns 10 into 10.0, which changes the bytes of a run.
"""

import functools
import math
from collections.abc import Callable
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from shared.words import one_line

MISSING = object()
"""Stands for a value that is not there."""

_SHOWN = 40


class Mismatch(ValueError):
    """A value that is not what it must be.

    Args:
        field: where it is, as in ``scores.fid.value``.
        value: what is there.
        rule: what must be there.
    """

    def __init__(self, field: str, value: object, rule: str) -> None:
        parts = [printable(field)]
        if value is not MISSING:
            parts.append(shown(value))
        super().__init__(f"{' '.join(filter(None, parts))}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule


def plain(value: object) -> object:
    """What JSON can hold: Python's own number for any other, as NumPy's."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    if isinstance(value, Integral) and not isinstance(value, int):
        return int(value)
    if isinstance(value, Real) and not isinstance(value, int | float):
        return float(value)
    return value


def printable(text: str, most: int = _SHOWN) -> str:
    """A text from outside in a message: short, and nothing that moves a cursor."""
    text = text if len(text) <= most else f"{text[:most]}..."
    return text if text.isprintable() else ascii(text)


def shown(value: object) -> str:
    """A value in a message: short, and strings in quotes."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return "a huge value"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def in_line(value: object) -> str:
    """The same of what Python writes over several lines, as it does arrays."""
    return one_line(shown(value))


def _is_whole(value: object) -> bool:
    # A bool is an int to Python; more digits would not fit anything that counts.
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: object) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


_PLAIN: dict[Any, tuple[str, Callable[[object], bool]]] = {
    int: ("a whole number", _is_whole),
    float: ("a finite number", _is_number),
    bool: ("true or false", lambda value: type(value) is bool),
    str: ("a text", lambda value: type(value) is str),
    NoneType: ("null", lambda value: value is None),
}


def conform(value: Any, kind: Any, field: str = "") -> Any:
    """A value of the type that it must have.

    Args:
        value: as JSON gives it, or Python. A number is never changed into another.
        kind: int, float, bool, str, None; unions of these, also with a tuple; lists,
            tuples (of any length, too) and dictionaries of kinds, or of anything; a
            `NamedTuple`, of which all fields must be known and those without a default
            be there, and whose ``broken_rule()``, where it has one, names a field and
            what it must be; a `TypedDict`, which may hold more than its keys.
        field: what an error calls the value.

    Returns:
        The value; of a `NamedTuple` or a tuple, one of that type.

    Raises:
        Mismatch: it is of another type, or not finite, or no whole number in 64 bits.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return conform(value, args[0], field)
    if origin is tuple and args[-1] is ...:
        items = list(value) if type(value) is tuple else value
        return tuple(conform(items, list[args[0]], field))
    if origin is tuple:
        return _tuple(value, args, field)
    if origin is list:
        _demand(type(value) is list, field, value, "must be a list")
        return [conform(x, args[0], f"{field}[{i}]") for i, x in enumerate(value)]
    if origin is dict:
        _demand(type(value) is dict, field, value, "must be an object")
        return {
            name: conform(x, args[1], _join(field, name)) for name, x in value.items()
        }
    if is_typeddict(kind) or hasattr(kind, "_fields"):
        return _object(value, kind, field)
    is_union = origin in (Union, UnionType)
    members = args if is_union else (kind,)
    allowed = [_PLAIN[member] for member in members if member in _PLAIN]
    if not any(fits(value) for _, fits in allowed):
        rule = " or ".join(words for words, _ in allowed)
        for tuple_of in (get_args(x) for x in members if get_origin(x) is tuple):
            if isinstance(value, list | tuple):
                return _tuple(value, tuple_of, field)
            rule += f", or a list of {len(tuple_of)}"
        if type(value) is int and not _is_whole(value):
            rule = "less than 2**63 in size"
        raise Mismatch(field, value, f"must be {rule}")
    return value


def _tuple(value: Any, kinds: tuple[Any, ...], field: str) -> tuple[Any, ...]:
    is_one = isinstance(value, list | tuple) and len(value) == len(kinds)
    _demand(is_one, field, value, f"must be a list of {len(kinds)}")
    pairs = zip(value, kinds, strict=True)
    return tuple(conform(x, kind, field) for x, kind in pairs)


def _object(value: Any, kind: Any, field: str) -> Any:
    _demand(type(value) is dict, field, value, "must be an object")
    kinds, optional = _fields(kind)
    for name in sorted(kinds.keys() - optional - value.keys()):
        raise Mismatch(_join(field, name), MISSING, "is missing")
    found = {
        n: conform(value[n], kinds[n], _join(field, n)) for n in kinds if n in value
    }
    if is_typeddict(kind):
        return value | found
    for name in value.keys() - kinds.keys():
        raise Mismatch(_join(field, name), value[name], "is unknown")
    made = kind(**found)
    if hasattr(made, "broken_rule") and (broken := made.broken_rule()):
        name, rule = broken
        raise Mismatch(_join(field, name), value.get(name, MISSING), rule)
    return made


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Types of the fields, by name; and which may be left out."""
    optional = getattr(kind, "__optional_keys__", getattr(kind, "_field_defaults", ()))
    return get_type_hints(kind), frozenset(optional)


def _demand(is_right: bool, field: str, value: Any, rule: str) -> None:
    if not is_right:
        raise Mismatch(field, value, rule)


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name
