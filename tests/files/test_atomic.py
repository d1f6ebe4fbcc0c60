"""Folders that are whole or not there; of files, see the tests of checkpoints."""

from pathlib import Path

import pytest

from shared.files.atomic import new_folder


def test_a_folder_takes_its_place_when_it_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for content in ("old", "new"):
        with new_folder(place) as folder:
            (folder / content).touch()
            assert not (place / content).exists()
        assert [path.name for path in place.iterdir()] == [content]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with new_folder(place) as folder:
        (folder / "old").touch()

    def interrupted() -> None:
        with new_folder(place) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.rglob("*")] == ["place", "old"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "place.partial").mkdir()
    (tmp_path / "place.partial" / "half").touch()
    with new_folder(tmp_path / "place") as folder:
        assert list(folder.iterdir()) == []
