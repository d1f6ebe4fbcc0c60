"""Files that are either whole or not there."""

import os
from pathlib import Path

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
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
