"""The map of the rooms is true: all are there, in their order."""

import re
from pathlib import Path

import pytest

from parity_tests.test_imports import FLOORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "CONTRIBUTING.md").read_text()


def _rooms(heading: str) -> list[list[str]]:
    """Rows of the table under a heading, each with the rooms that it names."""
    table = PAGE.partition(heading)[2].partition("| --- | --- |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()
    return [re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[1]) for row in rows]


@pytest.mark.parametrize("package", ["shared", "parity_tests"])
def test_every_room_is_on_the_map(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    named = {name for row in _rooms(f"The rooms of `{package}/`") for name in row}
    assert folders <= named
    assert all(
        (ROOT / package / name).is_dir() or (ROOT / package / f"{name}.py").is_file()
        for name in named
    )


def test_the_rooms_stand_as_they_build_on_each_other() -> None:
    rows = _rooms("The rooms of `shared/`")
    assert tuple(name for row in rows for name in row) == FLOORS
