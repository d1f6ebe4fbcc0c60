"""docs/export.md does what it says."""

import re
from pathlib import Path
from typing import Any

import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.export.formats import FORMATS
from shared.run import checkpoint
from support import Twin, forged_state

_PAGE = Path(__file__).parents[2] / "docs" / "export.md"
_BLOCKS: dict[str, str] = dict(
    re.findall(
        r'^```python title="(\w+)"\n(.*?)^```$', _PAGE.read_text("utf-8"), re.M | re.S
    )
)
_CONFIG = TrainConfig(image_size=8, width=2, batch_size=4)
_DATA = DataInfo(channels=1, num_classes=0, count=9, sha256="")


def test_every_format_has_its_lines() -> None:
    text = _PAGE.read_text("utf-8")
    assert _BLOCKS.keys() == FORMATS.keys()
    assert text.count("```python") == len(_BLOCKS)
    for name in FORMATS:
        assert f"\n| `{name}` |" in text


def test_the_lines_draw(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint.save(Path("run.safetensors"), forged_state(twin, _CONFIG, _DATA))
    drawn = set()
    for name, traits in FORMATS.items():
        if traits.twin in ("", f"gans_{twin.name}"):
            out = f"generator{traits.suffix}"
            twin.library.export("run.safetensors", out, name)
            code = _BLOCKS[name].replace("gans_torch", f"gans_{twin.name}")
            names: dict[str, Any] = {}
            exec(compile(code, f"{_PAGE}: {name}", "exec"), names)
            assert names["images"].shape[0] == 16
            drawn.add(name)
    assert len(drawn) == {"torch": 3, "jax": 2}[twin.name]
