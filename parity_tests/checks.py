"""The list of comparisons, run by pytest and by `python -m parity_tests`."""

from collections.abc import Callable
from typing import NamedTuple

from parity_tests.compare import TOLERANCES


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
        return self.difference <= TOLERANCES[self.tolerance].bound


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
