"""Words for people: a message's single line, a list that stays short, a near miss."""

import difflib
from collections.abc import Iterable, Sequence

NAMED = 3
"""Names in a message that are enough to find the others."""


def one_line(text: object) -> str:
    """What a text, or an error, says, without line breaks, and what moves a cursor."""
    return legible(" ".join(str(text).split()))


def reason_of(error: BaseException) -> str:
    """What was wrong: what the system says, without its number and the path."""
    return getattr(error, "strerror", None) or str(error)


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """The first of some names, in one line."""
    rest = ", ..." if len(names) > most else ""
    return ", ".join(map(legible, names[:most])) + rest


def legible(name: object) -> str:
    """A name or path as any terminal can print it: in one line, without odd bytes."""
    odd = "\N{REPLACEMENT CHARACTER}"
    return "".join(x if x.isprintable() else odd for x in str(name))


def suggestion(word: str, known: Iterable[str], *, cutoff: float = 0.8) -> str:
    """``; did you mean ...?`` where a known word is near, else nothing.

    Args:
        word: what was written.
        known: what may have been meant.
        cutoff: how much of both words has to agree, from 0 to 1.
    """
    by_letters = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_letters, n=1, cutoff=cutoff)
    return f"; did you mean {by_letters[close[0]]}?" if close else ""
