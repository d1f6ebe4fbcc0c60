"""What the tests of training, sampling and bad input share."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Train = Callable[..., None]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name; without lock files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def untimed_contents(run: Path) -> dict[str, bytes]:
    """The same of a run, without what tells how fast it was."""
    timed = ("metrics.jsonl", "report.html")
    return {name: file for name, file in contents(run).items() if name not in timed}


def metrics(run: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl, without what depends on the time."""
    records = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
    for record in records:
        assert record.pop("images_per_second") > 0
        assert 0 <= record.pop("wait_share") < 1
    return records


def last_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").iterdir())


def copy(run: Path, folder: Path) -> Path:
    """A copy of a run that a test may change."""
    return shutil.copytree(run, folder / "copy")


def stopped(status: int, call: Callable[[], object]) -> None:
    """Check that the call ends the program with this exit status."""
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == status
