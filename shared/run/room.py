"""Whether a disk has the room for what is to be written."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from shared.errors import UsageError

# For the records, grids and pages beside the checkpoints.
_SPARE_BYTES = 1 << 20


def check_room(folder: Path, size: int, what: str) -> None:
    """Refuse to write what the disk has no room for.

    Args:
        folder: where it is to be written; it may be still to be made.
        size: bytes.
        what: is to be written; for the message.

    Raises:
        UsageError: there is no room, or the folder is gone.
    """
    there = next(
        path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)
    )
    try:
        usage = shutil.disk_usage(there)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error
    needed = size + _SPARE_BYTES
    # A file system that does not know its size says 0.
    if usage.total and usage.free < needed:
        raise UsageError(
            f"{folder}: {what} would take {_text(needed, math.ceil)}, and"
            f" {_text(usage.free, math.floor)} are free on the disk"
        )


def _text(size: int, whole: Callable[[float], int]) -> str:
    """Rounded up or down, so that too little never looks like enough."""
    unit, name = (10**9, "GB") if size >= 10**9 else (10**6, "MB")
    return f"{whole(10 * size / unit) / 10:.1f} {name}"
