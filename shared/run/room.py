"""Whether a disk has the room for what is to be written."""

import shutil
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
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        usage = shutil.disk_usage(there)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error
    needed = size + _SPARE_BYTES
    # A file system that does not know its size says 0.
    if usage.total and usage.free < needed:
        raise UsageError(
            f"{folder}: {what} would take {_text(needed)}, and {_text(usage.free)} are"
            " free on the disk"
        )


def _text(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
