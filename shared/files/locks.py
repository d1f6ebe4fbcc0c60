"""Locks that keep two processes from writing the same place."""

import contextlib
import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from shared.errors import UsageError

LOCK = ".lock"
"""What a locked folder holds, and keeps when it is free again."""
_HELD = ".held"
MARK = LOCK + _HELD
"""What it holds instead while it is locked, where the file system has no locks."""

# What NFS, Lustre and the like say that are mounted without locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def lock_folder(folder: Path, say: Callable[[str], object]) -> AbstractContextManager:
    """Keep other processes from writing in a folder, within a ``with`` statement.

    The operating system releases the lock when the process ends, however it ends. On a
    file system without locks, a file stands for it that names process and host. One
    that a killed process has left is taken over on its own host; on another, nobody
    can know that the process has ended.

    Args:
        folder: it must exist.
        say: is told where such a file stands for the lock.

    Raises:
        UsageError: another process holds the lock, or the folder is read-only.
    """
    try:
        return acquire(folder / LOCK, say, timeout=0)
    except TimeoutError as error:
        raise UsageError(f"{folder}: is being written by {_holder(folder)}") from error
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error


def acquire(
    path: Path, say: Callable[[str], object], timeout: float = -1
) -> AbstractContextManager[Any]:
    """Wait for a lock, and take it, within a ``with`` statement.

    Args:
        path: the file that is locked; it stays.
        say: is told where the file system has no locks, and another stands for it.
        timeout: seconds to wait; -1: without end.

    Raises:
        TimeoutError: another process holds the lock.
        OSError: the files cannot be written.
    """
    # Whoever only reads need not wait for it.
    import filelock

    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        return lock.acquire(timeout)
    except NotImplementedError:
        pass  # what filelock says of ENOSYS
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    mark = path.with_name(f"{path.name}{_HELD}")
    say(
        f"{path.parent}: the file system has no locks; {mark.name} keeps other"
        " processes out"
    )
    return filelock.SoftFileLock(mark).acquire(timeout)


def _holder(folder: Path) -> str:
    """Who writes in a folder, as far as that is known."""
    mark = folder / MARK
    with contextlib.suppress(OSError, ValueError, IndexError):
        number, host = mark.read_text().split()[:2]
        return (
            f"process {int(number)} on {host}, says {mark}; remove it if that process"
            " has ended"
        )
    return "another process"
