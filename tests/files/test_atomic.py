"""Files and folders that are whole or not there."""

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.files.atomic import append, make_folder, new_folder, write_atomically


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
    killed = tmp_path / f"place.{'0f' * 16}.partial"
    others = [tmp_path / "place.partial", tmp_path / f"place2.{'0f' * 16}.partial"]
    for path in (killed, *others):
        path.mkdir()
        (path / "half").touch()
    with new_folder(tmp_path / "place") as folder:
        assert list(folder.iterdir()) == []
    assert not killed.exists()
    assert all((path / "half").exists() for path in others)


def test_temporary_names_are_not_guessed_and_links_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = set()
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda x, y: (names.add(x.name), replace(x, y))
    )
    for _ in range(2):
        write_atomically(tmp_path / "a", b"a")
        with new_folder(tmp_path / "b"):
            pass
    assert len(names) == 4
    # Even where one is guessed, nothing is written through it, or removed.
    monkeypatch.setattr(secrets, "token_hex", lambda size: "0f" * size)
    mine = tmp_path / "mine"
    mine.write_text("mine")
    link = tmp_path / f".gans-{'0f' * 16}.tmp"
    link.symlink_to(mine)
    with pytest.raises(UsageError, match="a: cannot be written: File exists"):
        write_atomically(tmp_path / "a", b"b")
    assert (mine.read_text(), link.is_symlink()) == ("mine", True)
    assert (tmp_path / "a").read_bytes() == b"a"


def test_a_written_file_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "ours", b"")
    append(tmp_path / "log", b"")
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_file_that_the_disk_does_not_give_back_takes_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old" * 10**6, verify=True)
    read = os.read

    def flip(file: int, size: int) -> bytes:
        return bytes(byte ^ 1 for byte in read(file, size))

    for broken in (flip, lambda file, size: read(file, size)[:-1], lambda *_: b""):
        monkeypatch.setattr(os, "read", broken)
        with pytest.raises(UsageError, match="the disk does not give back what was"):
            write_atomically(path, b"new", verify=True)
        assert [x.name for x in tmp_path.iterdir()] == ["a"]
    monkeypatch.undo()
    assert path.read_bytes() == b"old" * 10**6


def test_short_writes_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, left: write(file, left[:3]))
    write_atomically(tmp_path / "a", b"0123456789")
    append(tmp_path / "a", b"abcdefgh")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"0123456789abcdefgh"


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> Callable[[int], None]:
        def fsync(file: int) -> None:
            raise OSError(number, os.strerror(number))

        return fsync

    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    make_folder(tmp_path / "a" / "b")
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        make_folder(tmp_path / "c")
