"""The list of comparisons, run by pytest and by `python -m parity_tests`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from parity_tests.certificate.compare import TOLERANCES, difference


class Finding(NamedTuple):
    """One measured difference of the twins."""

    aspect: str
    """value, input gradient, parameter gradient, second order, state, ..."""
    difference: float
    """As `compare.difference` defines it."""
    tolerance: str
    """Row of `compare.TOLERANCES`."""
    curve: tuple[float, ...] = ()
    """For trajectories: the difference after each step."""
    note: str = ""
    """What a reader should know, such as the first tensor to diverge."""

    @property
    def holds(self) -> bool:
        """Whether the difference is within its bound (NaN is not)."""
        # NumPy's floats compare to a bool of its own, which JSON does not take.
        return bool(self.difference <= TOLERANCES[self.tolerance].bound)


class Check(NamedTuple):
    """One comparison of the twins."""

    name: str
    """Unique, as in ``loss/hinge/discriminator``."""
    kind: str
    """objective, penalty, layer, optimizer, network, remedy, variant, fact, ..."""
    covers: tuple[str, ...]
    """Public names of both twins that it proves, as in ``losses.softplus``."""
    run: Callable[[], list[Finding]]
    """Measures; raises AssertionError where there is nothing to measure."""
    full_only: bool = False
    """Whether only the full certificate runs it, because it takes long."""


CHECKS: dict[str, Check] = {}


def check(
    name: str, kind: str, covers: tuple[str, ...] = (), full_only: bool = False
) -> Callable[[Callable[[], list[Finding]]], Callable[[], list[Finding]]]:
    """Register the decorated function as a comparison; arguments as in `Check`.

    Raises:
        ValueError: there is a comparison of that name already.
    """

    def register(run: Callable[[], list[Finding]]) -> Callable[[], list[Finding]]:
        if name in CHECKS:
            raise ValueError(f"name {name!r}: registered already")
        CHECKS[name] = Check(name, kind, covers, run, full_only)
        return run

    return register


class Worst:
    """Findings of many cases: for each aspect the largest difference, and its case."""

    def __init__(self) -> None:
        # A tight bound must not hide behind a larger difference within a loose one.
        self._findings: dict[tuple[str, str], Finding] = {}

    def compare(
        self,
        aspect: str,
        first: Any,
        second: Any,
        tolerance: str,
        case: str,
        floor: float = 1e-12,
    ) -> None:
        """Compare two arrays of one case.

        Args:
            aspect: as in `Finding`.
            first: an array.
            second: the other twin's, or the oracle's.
            tolerance: row of `TOLERANCES`.
            case: what a reader finds it by.
            floor: as in `difference`.

        Raises:
            AssertionError: as `difference` does; names aspect and case.
        """
        try:
            found = difference(first, second, floor)
        except AssertionError as error:
            raise AssertionError(f"{aspect}, {case}: {error}") from None
        worst = self._findings.get((aspect, tolerance))
        if worst is None or found > worst.difference:
            self._findings[aspect, tolerance] = Finding(
                aspect, found, tolerance, note=case
            )

    def findings(self) -> list[Finding]:
        """One for each aspect, in the order of their first comparison."""
        return list(self._findings.values())
