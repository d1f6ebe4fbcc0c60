"""What is read is a file, of a size that fits, and in UTF-8."""

import errno
import os
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.files.arrays import ArrayFile
from shared.files.reading import check_regular, parse_json, read_file, read_object
from shared.files.records import read_records


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b'{"a": 1}')
    (tmp_path / "link").symlink_to(path)
    for place in (path, tmp_path / "link"):
        assert check_regular(place) == 8
        assert read_file(place, most=8) == b'{"a": 1}'
        assert read_object(place) == {"a": 1}


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(2**30)  # of which nothing is on the disk
    with pytest.raises(UsageError, match="a: has 1073741824 bytes, a file"):
        read_object(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff{}", "no UTF-8"),
        (b"[1, 2]", "no object"),
        (b"[" * 100_000, "nests too deep"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_what_is_no_object_is_refused(text: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=f"a: unreadable: {reason}"):
        read_object(path)


def test_of_two_equal_names_the_later_counts() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for name, reason in (("n" * 256, "File name too long"), ("a\0b", "null ")):
        with pytest.raises(UsageError, match=reason):
            check_regular(tmp_path / name)


def test_a_disk_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"{}")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(Path, "read_bytes", fail)
    monkeypatch.setattr("shared.files.arrays.safe_open", fail)
    for read in (read_file, read_records, ArrayFile("toy", "toy").read):
        with pytest.raises(UsageError, match=r"a: cannot be read: .*Input"):
            read(path)
