"""Files and folders that are either whole or not there, even after a loss of power.

Whatever a run leaves on the disk is written here. Until a file is synced the disk may
not hold its bytes, and until its folder is, the disk may not know its name: so both
are, before a function returns that says so.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from shared.errors import UsageError

# The names that only this project gives: to files, and to folders, that are still being
# filled. Nobody can guess them, and plant a link there.
_TEMPORARY = re.compile(r"\.gans-[0-9a-f]{32}\.tmp")
_PARTIAL = r"\.[0-9a-f]{32}\.partial"

# Where a system has none of these, it has nothing to be told by them.
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)
# What file systems say that do not sync folders, and need not.
_UNSYNCABLE = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}

_CHUNK_BYTES = 1 << 20


def write_atomically(path: Path, content: bytes, *, verify: bool = False) -> None:
    """Replace ``path`` by a file with this content, or leave it as it was.

    The content is on the disk before the file takes its name, so that not even a loss
    of power leaves half a file; and when this returns, so is the name.

    Args:
        path: the file; its folder must exist.
        content: all of it.
        verify: whether to read it back, from the disk, before it takes its name.

    Raises:
        UsageError: the folder is missing or unwritable, the disk is full, there is
            something that is no file, or what is read back is not what was written.
    """
    _refuse_special(path)
    temporary = path.with_name(f".gans-{secrets.token_hex(16)}.tmp")
    with _writing(path):
        file = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY,
            0o666,
        )
        try:
            try:
                _write_all(file, content)
                os.fsync(file)
            finally:
                os.close(file)
            if verify:
                _verify(temporary, content)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_folder(path.parent)


def write_object(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a file by a JSON object, for people to read, too.

    Raises:
        UsageError: as `write_atomically`.
    """
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def append(path: Path, content: bytes) -> None:
    """Add to a file, which is made where it is missing; `sync_files` makes it last.

    Raises:
        UsageError: it cannot be written; a part of the content may have been.
    """
    with _writing(path):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o666)
        try:
            _write_all(file, content)
        finally:
            os.close(file)


def sync_files(*paths: Path) -> None:
    """Have what was appended on the disk, and the names of the files.

    Args:
        paths: files of one folder; one that is missing is left out.

    Raises:
        UsageError: the disk does not take it.
    """
    there = [path for path in paths if path.exists()]
    for path in there:
        with _writing(path):
            file = os.open(path, os.O_RDWR | _BINARY)
            try:
                os.fsync(file)
            finally:
                os.close(file)
    for folder in {path.parent for path in there}:
        with _writing(folder):
            sync_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, where they are missing.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def remove(paths: Iterable[Path]) -> None:
    """Remove files, in this order; one that is missing is left out.

    Raises:
        OSError: one cannot be removed.
    """
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        sync_folder(folder)


def temporaries(folder: Path) -> list[Path]:
    """Files that a killed process was still writing in a folder; not those below."""
    return [path for path in folder.glob(".gans-*") if is_temporary(path)]


def is_temporary(path: Path) -> bool:
    """Whether a file has the name of one that is still being written."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _refuse_special(path: Path) -> None:
    # A rename would replace even /dev/null, for everybody on the machine.
    is_special = (Path.is_fifo, Path.is_socket, Path.is_char_device)
    with _writing(path):
        special = any(test(path) for test in (*is_special, Path.is_block_device))
    if special:
        raise UsageError(f"{path}: cannot be written: a pipe, socket or device")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder beside its place, within a ``with`` statement; then move it there.

    Whoever fills it calls `sync` for each file. An error leaves nothing of it, and what
    was at the place before.

    Args:
        folder: the place; only one process at a time may write there.

    Yields:
        The folder to be filled.
    """
    ours = re.compile(re.escape(folder.name) + _PARTIAL)
    for path in folder.parent.iterdir():
        if ours.fullmatch(path.name):  # left by a process that was killed
            shutil.rmtree(path, ignore_errors=True)
    partial = folder.with_name(f"{folder.name}.{secrets.token_hex(16)}.partial")
    partial.mkdir()
    try:
        yield partial
        sync_folder(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def sync(file: BinaryIO) -> None:
    """Have the bytes on the disk before a rename says that they are there."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder.

    Raises:
        OSError: the disk does not take them.
    """
    with open_folder(folder) as opened:
        try:
            if opened is not None:
                os.fsync(opened)
        except OSError as error:
            if error.errno not in _UNSYNCABLE:
                raise


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[int | None]:
    """The descriptor of a folder, within a ``with`` statement, if there can be one."""
    if not hasattr(os, "O_DIRECTORY"):
        yield None  # Windows opens no folders
        return
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:
        yield None  # a folder that may be written, and not read
        return
    try:
        yield opened
    finally:
        os.close(opened)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _write_all(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _verify(path: Path, content: bytes) -> None:
    """Compare a synced file with what it should hold."""
    read = 0
    file = os.open(path, os.O_RDONLY | _NO_FOLLOW | _BINARY)
    try:
        if hasattr(os, "posix_fadvise"):
            # Else the system answers from memory, whatever the disk holds.
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := os.read(file, _CHUNK_BYTES):
            # Slices of bytes are compared many times faster than those of views.
            if content[read : read + len(chunk)] != chunk:
                break
            read += len(chunk)
    finally:
        os.close(file)
    if chunk or read < len(content):
        raise OSError(errno.EIO, "the disk does not give back what was written to it")
