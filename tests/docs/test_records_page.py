"""The page of what a run writes down is what the table of quantities gives."""

from pathlib import Path

from support import module_of

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_table_gives() -> None:
    writer = module_of(ROOT / "docs" / "site" / "records.py")
    page = writer.PAGE.read_text()
    assert page == writer.written(), "run `python docs/site/records.py`"
