"""Values from outside: what has another type than its reader relies on is named."""

import math
from typing import Any, NamedTuple, NotRequired, TypedDict

import pytest

from shared.config.values import MISSING, Mismatch, conform, shown


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Thing(TypedDict):
    size: float | None
    pair: NotRequired[Pair]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (-(2**63), int),
        (1, float),
        (1.5, float),
        (None, float | None),
        ("x", str | None),
        (True, bool),
        ([1, 2.5], list[float]),
        ({"a": 1}, dict[str, int]),
        ({"a": [[]]}, dict[str, Any]),
        ({"size": None, "other": [3]}, Thing),
    ],
)
def test_what_fits_is_left_as_it_is(value: object, kind: Any) -> None:
    found = conform(value, kind)
    assert found == value
    assert type(found) is type(value)


def test_named_tuples_and_tuples_are_made() -> None:
    assert conform({"left": 1}, Pair) == Pair(1)
    assert conform({"size": 1, "pair": {"left": 2}}, Thing) == {
        "size": 1,
        "pair": Pair(2),
    }
    assert conform([0.5, 1], tuple[float, float]) == (0.5, 1)
    assert conform((1, 2), tuple[int, ...]) == (1, 2)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "x True: must be a whole number"),
        (1.0, int, "x 1.0: must be a whole number"),
        (2**63, int, "x 9223372036854775808: must be less than 2**63 in size"),
        (-(2**63) - 1, int, "x -9223372036854775809: must be less than 2**63 in size"),
        (10**400, float, "must be less than 2**63 in size"),
        (math.nan, float, "x nan: must be a finite number"),
        (-math.inf, float | None, "x -inf: must be a finite number or null"),
        (False, float, "x False: must be a finite number"),
        (1, bool, "x 1: must be true or false"),
        (None, str, "x None: must be a text"),
        ("a" * 99, int, f"x '{39 * 'a'}...: must be a whole number"),
        ({}, list[int], "x {}: must be a list"),
        ([0, "1"], list[int], "x[1] '1': must be a whole number"),
        ([1], dict[str, int], "x [1]: must be an object"),
        ({"a": {"b": 1}}, dict[str, dict[str, str]], "x.a.b 1: must be a text"),
        ([1], tuple[int, int], "x [1]: must be a list of 2"),
        (3, tuple[int, int], "x 3: must be a list of 2"),
        (3, Pair, "x 3: must be an object"),
        ({"right": ""}, Pair, "x.left: is missing"),
        ({"left": 1, "up": 2}, Pair, "x.up 2: is unknown"),
        ({}, Thing, "x.size: is missing"),
        ({"size": 1, "pair": {"left": "1"}}, Thing, "x.pair.left '1': must be a whole"),
    ],
)
def test_what_does_not_fit_is_named(value: object, kind: Any, message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        conform(value, kind, "x")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 150


def test_a_value_is_shown_in_short() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "a huge value"
    assert shown(10**5000) == "a huge value"
    assert shown("a\nb") == "'a\\nb'"
    assert str(Mismatch("\x1b[31m" + "a" * 999, "\x1b", "no")) == (
        f"'\\x1b[31m{'a' * 35}...' '\\x1b': no"
    )
    assert str(Mismatch("", 3, "must not be")) == "3: must not be"
    assert str(Mismatch("a", MISSING, "is missing")) == "a: is missing"
