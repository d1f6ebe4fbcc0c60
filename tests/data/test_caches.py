"""Where resized images are kept: originals may be read-only."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from shared.data import caches, datasets
from shared.errors import UsageError


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder of caches."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (place,) = caches.places(tmp_path / "data")[1:]
    assert place.parent == tmp_path / "home"
    return place


def make_read_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a read-only mount, which binds the root user too."""
    access = os.access

    def refuse(path: Path, mode: int) -> bool:
        is_inside = Path(path) == folder or folder in Path(path).parents
        return access(path, mode) and not (is_inside and mode & os.W_OK)

    monkeypatch.setattr(os, "access", refuse)


def test_a_cache_folder_is_used_and_the_data_folder_is_not(tmp_path: Path) -> None:
    data = datasets.load("digits", 8, tmp_path / "no", cache_dir=tmp_path / "cache")
    assert (tmp_path / "cache" / "digits-8" / "images.npy").exists()
    assert not (tmp_path / "no").exists()
    assert data.info == datasets.load("digits", 8, tmp_path / "yes").info


def test_beside_read_only_data_the_users_own_cache_serves(
    tmp_path: Path,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    originals = tmp_path / "originals"
    originals.mkdir()
    make_read_only(originals, monkeypatch)
    datasets.load("digits", 8, originals)
    assert (own / "digits-8" / "images.npy").exists()
    assert list(originals.iterdir()) == []
    said = f"{originals} may only be read: resized images are kept in {own}\n"
    assert capsys.readouterr().err == said
    datasets.load("digits", 8, originals)  # from there
    assert capsys.readouterr().err == ""


def test_a_cache_in_read_only_data_is_used(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.load("digits", 8, tmp_path / "data")
    make_read_only(tmp_path / "data", monkeypatch)
    datasets.load("digits", 8, tmp_path / "data")
    assert not own.exists()


def test_a_cache_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^cache_dir .*file: must be a folder"):
        datasets.load("digits", 8, tmp_path, cache_dir=tmp_path / "file")


def shut(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the right to enter it, which binds all but the root user."""
    stat = os.stat

    def refuse(path: Path, **options: Any) -> os.stat_result:
        if folder in Path(os.fspath(path)).parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    make_read_only(folder, monkeypatch)


def test_of_two_folders_one_may_be_shut_or_can_be_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shut").mkdir()
    shut(tmp_path / "shut", monkeypatch)
    folders = [tmp_path / "shut" / "data" / "cache", tmp_path / ("x" * 300)]
    assert caches.first_writable(folders[:1]) == folders[0]
    assert caches.first_writable(folders) == folders[1]
    for folder in folders:
        with pytest.raises(UsageError, match=r"^cache_dir .*: must be a folder that"):
            datasets.load("digits", 8, tmp_path, cache_dir=folder)


def test_without_a_home_there_is_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(caches.platformdirs, "user_cache_path", fail)
    assert caches.places(tmp_path) == [tmp_path / "cache"]


def test_a_relative_folder_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert caches.first_writable([Path("data/cache")]) == Path("data/cache")
    datasets.load("digits", 8, "data")
    shutil.rmtree("data")
