"""docs/reading_curves.md tells of each objective what its traits say."""

import math
import re
from pathlib import Path

import pytest

from shared.config.traits import OBJECTIVES

_PAGE = Path(__file__).parents[2] / "docs" / "reading_curves.md"
_FRACTIONS = {"¼": 1 / 4, "⅛": 1 / 8}


def _rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by objective."""
    _, _, section = _PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.*) \|$", section.partition("\n## ")[0], re.M
    )
    return {name: cells.split(" | ") for name, cells in rows}


def _number(cell: str) -> float | None:
    """What a cell ends in; None: it says that there is no scale."""
    last = cell.split(" ")[-1].replace("\N{MINUS SIGN}", "-")
    if last == "scale":
        return None
    return _FRACTIONS[last] if last in _FRACTIONS else float(last)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_where_the_game_ends_is_what_the_traits_say(objective: str) -> None:
    traits = OBJECTIVES[objective]
    d_loss, g_loss = map(_number, _rows("Where the game ends")[objective][:2])
    # A critic's estimate has a line, and so minus the estimate, which is its loss.
    d_chance = 0.0 if traits.wasserstein else traits.chance_loss
    for told, known in ((d_loss, d_chance), (g_loss, traits.g_chance_loss)):
        assert (told is None) == (known is None)
        assert told is None or math.isclose(told, known or 0.0, abs_tol=5e-4)


def test_each_objective_was_trained_healthy_and_sick() -> None:
    rows = _rows("Each objective, as it goes well and as it does not")
    assert list(rows) == list(OBJECTIVES)
    for cells in rows.values():
        healthy, sick = (int(cells[place]) for place in (2, 6))
        assert healthy > sick
