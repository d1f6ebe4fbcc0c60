"""What a run says of itself while it goes on, and at its end."""

from pathlib import Path

import pytest

from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo
from shared.run.run_dir import RunDir
from shared.training.journal import Journal

DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="ab" * 32)
# In effect, a class of ten.
LOST = {"class_kl": 2.3}
TOLD = "warning at step {}: G has lost modes"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def journal(tmp_path: Path, said: list[str]) -> Journal:
    config = PRESETS["dcgan"]
    run = RunDir.create(tmp_path / "run", config, DATA)
    return Journal(run, config, tensorboard=False, say=said.append)


def test_scores_that_last_are_warned_of_as_they_come(
    journal: Journal, said: list[str]
) -> None:
    for step in (1000, 1100):
        journal.log_scores({"step": step, **LOST})
    assert said == []
    journal.log_scores({"step": 1200, **LOST})
    (line,) = said
    assert line.startswith(TOLD.format(1200))


def test_at_the_end_the_last_scores_suffice(journal: Journal, said: list[str]) -> None:
    journal.log_scores({"step": 1000, **LOST})
    assert said == []
    journal.conclude()
    (line,) = said
    assert line.startswith(TOLD.format(1000))


def test_what_the_folder_no_longer_holds_is_forgotten(
    journal: Journal, said: list[str], tmp_path: Path
) -> None:
    for step in (1000, 1100):
        journal.log_scores({"step": step, **LOST})
    RunDir.open(tmp_path / "run").truncate_after(900)
    journal.reopen()
    journal.log_scores({"step": 1000, **LOST})
    assert said == []
