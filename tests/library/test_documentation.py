"""docs/library.md does what it says, in both twins."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.run.run_dir import RunDir
from support import Twin

_PAGE = Path(__file__).parents[2] / "docs" / "library.md"
_BLOCK = re.compile(r'^```python(?: title="(.+)")?\n(.*?)^```$', re.M | re.S)
# The page's numbers are for people.
_SMALL = {
    "steps=400": "steps=2",
    "steps=600": "steps=3",
    "(500, 32, 32, 3)": "(16, 8, 8, 3)",
    "image_size=32": "image_size=8, width=2, batch_size=4, log_every=1",
    "sample(64)": "sample(16)",
    'load("digits")': 'load("digits", image_size=16)',
}


def test_the_page_works(
    twin: Twin,
    finished: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = _PAGE.read_text("utf-8").replace("gans_torch", f"gans_{twin.name}")
    for number, small in _SMALL.items():
        assert number in text
        text = text.replace(number, small)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "runs" / "quick-digits-001")
    shutil.copytree(data_dir, tmp_path / "data")
    names: dict[str, Any] = {}
    for title, code in _BLOCK.findall(text):
        if title:
            (tmp_path / title).write_text(code)
        else:
            exec(compile(code, str(_PAGE), "exec"), names)
    assert "nearest_distance" in capsys.readouterr().out
    assert names["images"].shape == (16, 16, 16, 1)
    assert [step for step, *_ in names["losses"]] == [1, 2]
    assert RunDir.open(tmp_path / "runs" / "photos").checkpoint_steps() == [2, 3]
    flags = "--plugin own.py --objective absolute --image-size 8 --width 2 --steps 1"
    words = [*flags.split(), "--batch-size", "4", "--run-dir", "runs/own"]
    twin.main("train")(words)
    generator = names[f"gans_{twin.name}"].load_generator("runs/own")
    assert generator.config.objective == "absolute"


def test_every_block_is_found() -> None:
    text = _PAGE.read_text("utf-8")
    assert len(_BLOCK.findall(text)) == text.count("```python")
