"""The map of the rooms is true: all are there, and each knows those above it only."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "CONTRIBUTING.md").read_text()


def _rooms(heading: str) -> list[list[str]]:
    """Rows of the table under a heading, each with the rooms that it names."""
    table = PAGE.partition(heading)[2].partition("| --- | --- |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()
    return [re.findall(r"`(\w+)(?:/|\.py)`", row.split("|")[1]) for row in rows]


def _imported(source: str) -> Iterator[str]:
    """Rooms of `shared` that a source imports from."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module="shared", names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module)) if module.startswith("shared."):
                yield module.split(".")[1]


@pytest.mark.parametrize("package", ["shared", "parity_tests"])
def test_every_room_is_on_the_map(package: str) -> None:
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    named = {name for row in _rooms(f"The rooms of `{package}/`") for name in row}
    assert folders <= named
    assert all(
        (ROOT / package / name).is_dir() or (ROOT / package / f"{name}.py").is_file()
        for name in named
    )


def test_a_room_knows_those_above_it_only() -> None:
    rows = _rooms("The rooms of `shared/`")
    floor = {name: number for number, row in enumerate(rows) for name in row}
    assert len(floor) > 10
    for path in sorted((ROOT / "shared").rglob("*.py")):
        room = path.relative_to(ROOT / "shared").parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        known = set(_imported(path.read_text())) & floor.keys()
        above = {name for name in known if floor[name] > floor[room]}
        assert above == set(), f"{path} imports {above}"
