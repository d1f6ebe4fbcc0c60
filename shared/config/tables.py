"""Tables of the names that a setting may have, to which users add rows of their own."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from shared.errors import UsageError
from shared.words import suggestion

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
        self.members: list[Members[Any]] = []
        """Of the twins that are imported."""

    def __repr__(self) -> str:
        return _listed(self)

    def is_built_in(self, name: str) -> bool:
        """Whether a name is this package's, not a user's."""
        return name in self._built_in


class Members(dict[str, _MemberT]):
    """What one twin has under the names of a table: functions, or classes.

    Args:
        twin: its package.
        table: has the names.
        rows: of this package.
    """

    def __init__(
        self, twin: str, table: Table[Any], rows: Mapping[str, _MemberT]
    ) -> None:
        super().__init__(rows)
        self._twin = twin
        self._table = table
        table.members.append(self)

    def __repr__(self) -> str:
        return _listed(self)

    def __missing__(self, name: str) -> _MemberT:
        """Tell whom a name is unknown to; the other twin alone may know it."""
        title = f"{self._table.setting} {name!r}"
        if name not in self._table or self._table.is_built_in(name):
            raise UsageError(
                f"{title}: must be one of {', '.join(self)}{suggestion(name, self)}"
            )
        raise UsageError(
            f"{title}: has been registered with the other twin, not with {self._twin}"
        )


def _listed(table: Mapping[str, Any]) -> str:
    """The names alone: what stands behind them fills pages of ``help()``."""
    return f"{type(table).__name__}({', '.join(table)})"


def register(
    name: str,
    table: Table[_RowT],
    row: _RowT,
    members: Members[_MemberT],
    member: _MemberT,
) -> None:
    """Add a name of the user's: to a table, and to one twin's functions or classes.

    Each twin registers its own; what both know of a name must be the same. A name that
    is registered again, as by a cell of a notebook that runs twice, means what is new;
    where other things are known of it, the other twin has to register it again, too.

    Args:
        name: the name, of small letters, digits and single hyphens.
        table: what is known of the setting's names.
        row: what is known of this one.
        members: what the twin has under the names of the table.
        member: what it has under this one.

    Raises:
        UsageError: the name is this package's, is not well formed, or the other twin
            has registered it with another row.
    """
    title = f"{table.setting} {name!r}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{title}: must be of small letters, digits and single hyphens, as in"
            f" {next(reversed(table))}"
        )
    if table.is_built_in(name):
        raise UsageError(f"{title}: is taken; give it another name")
    if table.get(name, row) != row:
        if name not in members:
            raise UsageError(
                f"{title}: the other twin has registered it as {table[name]}, not {row}"
            )
        for others in table.members:
            others.pop(name, None)
    table[name] = row
    members[name] = member
