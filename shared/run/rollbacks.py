"""How a run that had diverged went on."""

from typing import NamedTuple

MOST = 5
"""How often a run may go back: its rates are 1/32 of what they were then."""


class Rollback(NamedTuple):
    """A run had diverged, and went back."""

    to: int
    """The step it went back to."""
    at: int
    """The step at which it had diverged."""
