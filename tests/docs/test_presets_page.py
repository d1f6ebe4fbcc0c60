"""The page of the presets is what they are."""

from pathlib import Path
from types import ModuleType

import pytest

from shared.config.presets import PRESETS
from support import module_of

# The page counts one twin's networks and the other's operations.
pytestmark = [pytest.mark.needs("torch"), pytest.mark.needs("jax")]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return module_of(ROOT / "docs" / "site" / "presets.py")


def test_the_page_is_what_the_presets_give(writer: ModuleType) -> None:
    page = writer.PAGE.read_text()
    operations = writer.told(page)
    assert list(operations) == list(PRESETS)
    assert page == writer.written(operations), "run `python docs/site/presets.py`"


# One with convolutions, one without, one with several updates of D.
@pytest.mark.parametrize("name", ["dcgan", "ring", "wgan-gp"])
def test_operations_are_those_of_its_training(name: str, writer: ModuleType) -> None:
    told = writer.told(writer.PAGE.read_text())[name]
    # Another release of XLA may count a little otherwise.
    assert writer.counted(name) == pytest.approx(told, rel=0.05)
