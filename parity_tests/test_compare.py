"""The helper that judges: whatever is wrong must fail, and nothing else."""

from typing import Any

import numpy as np
import pytest

from parity_tests.certificate import compare
from parity_tests.certificate.compare import (
    TOLERANCES,
    Tolerance,
    assert_parity,
    difference,
)
from parity_tests.certificate.registry import Worst

VALUES = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -4.0]])


@pytest.fixture(autouse=True)
def _small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(compare.TOLERANCES, "toy", Tolerance(1e-6, 1e-8, "a test"))


def test_equal_arrays_pass() -> None:
    assert difference(VALUES, VALUES.copy()) == 0.0
    assert assert_parity(VALUES, VALUES.copy(), "toy") == 0.0
    assert difference(np.zeros(3), np.zeros(3)) == 0.0
    assert difference(np.zeros((0, 2)), np.zeros((0, 2))) == 0.0


def test_the_difference_is_relative_to_the_largest_entry() -> None:
    other = VALUES.copy()
    other[1, 1] = 4e-7
    assert difference(VALUES, other) == pytest.approx(1e-7)
    assert difference(1e6 * VALUES, 1e6 * other) == pytest.approx(1e-7)
    assert assert_parity(VALUES, other, "toy") == pytest.approx(1e-7)
    # Not the first array's, and not the second's: the largest of both.
    assert difference([1.0], [4.0]) == difference([4.0], [1.0]) == 0.75


def test_the_floor_makes_small_differences_absolute() -> None:
    assert difference([1e-9], [2e-9]) == 0.5
    assert difference([1e-9], [2e-9], floor=1.0) == pytest.approx(1e-9)


WRONG: dict[str, Any] = {
    "NaN": np.where(VALUES == 3, np.nan, VALUES),
    "infinity": np.where(VALUES == 3, np.inf, VALUES),
    "another shape": VALUES.T,
    "broadcastable": VALUES[:, :1],
    "a single number": np.float64(1.0),
    "an axis more": VALUES[None],
    "empty": VALUES[:0],
    "too large": VALUES + 1e-5,
    "one entry": VALUES + 1e-5 * (VALUES == 0),
    "flipped": -VALUES,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_fails_whichever_side_it_is_on(wrong: Any) -> None:
    for pair in ((VALUES, wrong), (wrong, VALUES)):
        with pytest.raises(AssertionError):
            assert_parity(*pair, "toy")


@pytest.mark.parametrize("name", ["NaN", "infinity"])
def test_the_same_non_number_on_both_sides_fails(name: str) -> None:
    with pytest.raises(AssertionError, match="NaN or infinity"):
        difference(WRONG[name], WRONG[name])


def test_broadcasting_is_no_agreement() -> None:
    with pytest.raises(AssertionError, match=r"shapes differ: \(3,\) and \(3, 1\)"):
        difference(np.ones(3), np.ones((3, 1)))


def test_dictionaries_need_the_same_keys() -> None:
    both = {"weight": VALUES, "bias": VALUES[0]}
    assert assert_parity(both, {**both}, "toy") == 0.0
    for pair in ((both, {"weight": VALUES}), ({"weight": VALUES}, both)):
        with pytest.raises(AssertionError, match="only one side has bias"):
            assert_parity(*pair, "toy")


def test_the_message_names_array_difference_and_bound() -> None:
    both = {"weight": VALUES, "bias": VALUES[0]}
    other = {**both, "bias": VALUES[0] + 0.3}
    with pytest.raises(AssertionError, match=r"bias: differs by 0\.0909, bound 1e-06"):
        assert_parity(both, other, "toy")
    with pytest.raises(AssertionError, match="bias: shapes differ"):
        assert_parity(both, {**both, "bias": VALUES}, "toy")


def test_the_worst_case_of_each_aspect_is_kept() -> None:
    worst = Worst()
    worst.compare("value", [1.0], [1.0], "toy", "first")
    worst.compare("value", [1.0], [4.0], "toy", "second")
    worst.compare("value", [1.0], [2.0], "toy", "third")
    worst.compare("gradient", [1.0], [1.0], "toy", "first")
    value, gradient = worst.findings()
    assert (value.aspect, value.difference, value.note) == ("value", 0.75, "second")
    assert not value.holds
    assert (gradient.aspect, gradient.difference, gradient.holds) == (
        "gradient",
        0.0,
        True,
    )
    with pytest.raises(AssertionError, match="value, fourth: the second array holds"):
        worst.compare("value", [1.0], [np.nan], "toy", "fourth")


# Two float64 results that were equal where it was measured may be one rounding apart
# elsewhere.
SMALLEST_MEASUREMENT = 2.0**-52


@pytest.mark.parametrize("name", TOLERANCES)
def test_bounds_are_close_to_what_was_measured(name: str) -> None:
    bound, measured, reason = TOLERANCES[name]
    assert 0 <= measured <= bound < np.inf
    assert bound <= 100 * max(measured, SMALLEST_MEASUREMENT)
    assert reason
