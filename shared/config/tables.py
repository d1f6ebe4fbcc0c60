"""Tables of the names that a setting may have, to which users add rows of their own."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from shared.errors import UsageError

_RowT = TypeVar("_RowT")
_MemberT = TypeVar("_MemberT")

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


class Table(dict[str, _RowT]):
    """What is known of each name that a setting may have, in the order of ``--help``.

    A field of the configuration is one of a table's names where its annotation says so,
    as in ``objective: Annotated[str, OBJECTIVES]``.

    Args:
        setting: the field, which errors name as its flag.
        rows: those of this package.
    """

    def __init__(self, setting: str, rows: Mapping[str, _RowT]) -> None:
        super().__init__(rows)
        self.setting = setting
        self._built_in = frozenset(rows)

    def is_built_in(self, name: str) -> bool:
        """Whether a name is this package's, not a user's."""
        return name in self._built_in


def register(
    name: str,
    table: Table[_RowT],
    row: _RowT,
    members: dict[str, _MemberT],
    member: _MemberT,
) -> None:
    """Add a name of the user's: to a table, and to one twin's functions or classes.

    Each twin registers its own; what both know of a name must be the same.

    Args:
        name: the name, of small letters, digits and single hyphens.
        table: what is known of the setting's names.
        row: what is known of this one.
        members: what the twin has under the names of the table.
        member: what it has under this one.

    Raises:
        UsageError: the name is taken, is not well formed, or the other twin has
            registered it with another row.
    """
    title = f"{table.setting} {name!r}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{title}: must be of small letters, digits and single hyphens, as in"
            f" {next(reversed(table))}"
        )
    if table.is_built_in(name) or name in members:
        raise UsageError(f"{title}: is taken; give it another name")
    if table.get(name, row) != row:
        raise UsageError(
            f"{title}: the other twin has registered it as {table[name]}, not {row}"
        )
    table[name] = row
    members[name] = member


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
