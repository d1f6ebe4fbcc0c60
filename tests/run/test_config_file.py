"""What a run notes in config.json: read back, taken back, refused when damaged."""

import json
from pathlib import Path

import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.run.config_file import ConfigFile

CONFIG = TrainConfig(steps=1000, adam_betas=(0.5, 0.9))
DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="ab" * 32)


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    file = ConfigFile(tmp_path / "config.json")
    file.write(CONFIG, DATA)
    return file


def test_a_run_knows_its_twins_in_turn(file: ConfigFile) -> None:
    assert file.twins() == []
    turns = ("gans_torch", "gans_torch", "gans_jax", None, "gans_torch")
    for step, twin in enumerate(turns):
        file.write(CONFIG, DATA, twin=twin, step=step)
    assert file.twins() == ["gans_torch", "gans_jax", "gans_torch"]
    assert file.read() == (CONFIG, DATA)
    # As runs were stored before.
    values = json.loads(file.path.read_text())
    del values["twins"]
    file.path.write_text(json.dumps(values))
    assert file.twins() == []


def test_going_back_drops_who_trained_later(file: ConfigFile) -> None:
    for step, twin in ((0, "gans_torch"), (5, "gans_jax"), (10, "gans_torch")):
        file.write(CONFIG, DATA, twin=twin, step=step)
    file.write(CONFIG, DATA, twin="gans_torch", step=8)
    assert file.handovers() == [(5, "gans_jax"), (8, "gans_torch")]
    for _ in range(2):
        file.write(CONFIG, DATA, twin="gans_torch", step=5)
        assert file.twins() == ["gans_torch"]
        assert file.handovers() == []


def test_going_back_drops_the_data_of_later_steps(file: ConfigFile) -> None:
    second, third = (DATA._replace(sha256=x * 64) for x in "23")

    def earlier(data: DataInfo, step: int) -> list[tuple[int, DataInfo]]:
        file.write(CONFIG, data, step=step)
        stored = json.loads(file.path.read_text())
        steps = [x["until_step"] for x in stored.get("earlier_data", [])]
        return list(zip(steps, file.earlier_data(), strict=True))

    earlier(second, 10)
    assert earlier(third, 20) == [(10, DATA), (20, second)]
    assert earlier(third, 15) == [(10, DATA), (15, second)]
    assert earlier(third, 8) == [(8, DATA)]
    # The old images are back, and no others were trained on.
    assert earlier(DATA, 8) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "unreadable"),
        ('{"version": 1,', "unreadable"),
        ("[]", "unreadable"),
        ("\udcff", "unreadable"),
        ('{"version": 99}', "configuration version 99: this program reads"),
        ('{"version": 1, "data": {}, "colour": 1}', "unknown colour"),
    ],
)
def test_bad_config_is_refused(file: ConfigFile, text: str, expected: str) -> None:
    file.path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UsageError) as error:
        file.read()
    assert str(error.value).startswith(f"{file.path}: ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [{"steps": "many"}, {"batch_size": 0}, {"data": {"count": 1}}]
)
def test_bad_value_in_config_is_refused(
    file: ConfigFile, change: dict[str, object]
) -> None:
    file.path.write_text(json.dumps(json.loads(file.path.read_text()) | change))
    with pytest.raises(UsageError, match=r"config\.json: "):
        file.read()


def test_what_is_to_be_kept_is_remembered(file: ConfigFile) -> None:
    assert file.keep() == "all"
    file.write(CONFIG, DATA, keep=2)
    file.write(CONFIG, DATA)
    assert file.keep() == 2
    values = json.loads(file.path.read_text())
    # As runs were stored before: nothing of theirs is removed unasked.
    del values["keep"]
    file.path.write_text(json.dumps(values))
    assert file.keep() == "all"
    file.path.write_text(json.dumps(values | {"keep": 0}))
    with pytest.raises(UsageError, match="unreadable: keep 0"):
        file.keep()
