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


def went_back(count: int) -> str:
    """How often a run did, in words.

    Args:
        count: 1 or more.
    """
    return f"went back {'once' if count == 1 else f'{count} times'}"
