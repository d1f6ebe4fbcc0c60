"""The page that shows both twins' formulas is what the sources give."""

import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from shared.config.traits import OBJECTIVES, PENALTIES
from support import module_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    return module_of(ROOT / "docs" / "site" / "side_by_side.py")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the sources, to be changed."""
    for twin in ("gans_torch", "gans_jax"):
        (tmp_path / twin).mkdir()
        for name in ("losses.py", "penalties.py"):
            shutil.copy(ROOT / twin / name, tmp_path / twin / name)
    return tmp_path


def test_the_page_is_what_the_sources_give(writer: ModuleType) -> None:
    assert writer.PAGE.read_text() == writer.page(), (
        "run `python docs/site/side_by_side.py`"
    )


@pytest.mark.parametrize(
    "setting", [*OBJECTIVES, *(name for name in PENALTIES if name != "none")]
)
def test_every_setting_has_formula_paper_and_both_twins(
    setting: str, writer: ModuleType
) -> None:
    sections = dict(re.findall(r"^### (.+)\n((?:(?!###? ).*\n)+)", writer.page(), re.M))
    section = sections[setting]
    shown = section.count("\n**`")
    assert shown == (2 if setting in OBJECTIVES else 1)
    assert section.count("```text\n") == shown
    assert section.count("```python\n") == 2 * shown
    assert section.count("](https://arxiv.org/abs/") >= shown


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("gans_torch/losses.py", "torch.relu(1 + fake", "torch.relu(2 + fake"),
        ("gans_torch/losses.py", "1611.04076, Eq. 8.", "1611.04076, Eq. 9."),
        ("gans_torch/losses.py", "L_D = E[D(G(z))] - E[D(x)]", "L_D = E[D(G(z))]"),
        ("gans_jax/penalties.py", "share * real", "share + real"),
        ("gans_torch/penalties.py", '"r1": r1_penalty,\n', ""),
    ],
)
def test_a_change_of_a_source_changes_the_page(
    file: str, old: str, new: str, writer: ModuleType, sources: Path
) -> None:
    assert writer.page(sources) == writer.page()
    path = sources / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert writer.page(sources) != writer.page()


def test_comments_are_shown_and_docstrings_are_not(writer: ModuleType) -> None:
    source = (
        'def f(x):\n    """Twice.\n\n    L = 2 x\n\n    Returns:\n        It.\n'
        '    """\n    # Why.\n    return g(x)\n\n\n'
        'def g(x):\n    return 2 * x\n\n\nT = Members("twin", of, {"f": f})\n'
    )
    module = writer.read(source, "T")
    assert module.table == {"f": ["f"]}
    shown = module.functions["f"]
    assert (shown.summary, shown.details) == ("Twice.", ["L = 2 x"])
    assert (shown.parameters, shown.references) == (["x"], [])
    assert (shown.lines, shown.calls) == ("# Why.\nreturn g(x)", {"g"})
    assert module.functions["g"].lines == "return 2 * x"
