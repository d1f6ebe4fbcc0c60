"""Files and folders that are either whole or not there."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from shared.errors import UsageError

# Ends the name of a file that is still being written; what a killed process leaves.
TEMPORARY_SUFFIX = ".tmp"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace ``path`` by a file with this content, or leave it as it was.

    The content is on the disk before the file takes its name, so that not even a loss
    of power leaves half a file.

    Args:
        path: the file; its folder must exist.
        content: all of it.

    Raises:
        UsageError: the folder is missing or unwritable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                sync(file)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


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
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def sync(file: BinaryIO) -> None:
    """Have the bytes on the disk before a rename says that they are there."""
    file.flush()
    os.fsync(file.fileno())
