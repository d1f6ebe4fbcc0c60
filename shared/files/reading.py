"""Files that others may have made: nothing hangs on them, and nothing is believed."""

import json
import stat
from pathlib import Path
from typing import Any

from shared.errors import UsageError
from shared.words import reason_of

# A configuration or an evaluation has a few thousand bytes; no file of that kind may
# fill the memory.
_MOST_BYTES = 2**24


def check_regular(path: Path, what: str = "file") -> int:
    """Refuse what is no file, before it is opened: a pipe would wait for ever.

    Args:
        path: of the file; links are followed.
        what: the file is to be, for the message.

    Returns:
        Its size in bytes.

    Raises:
        UsageError: there is none, it cannot be reached, or it is a folder, a pipe, a
            socket or a device.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: cannot be read: no such file") from error
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        raise UsageError(f"{path}: cannot be read: {reason_of(error)}") from error
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path}: a folder, not a {what}")
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path}: a pipe, socket or device, not a {what}")
    return found.st_size


def read_file(path: Path, most: int = _MOST_BYTES, what: str = "file") -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        most: bytes that it may have.
        what: the file is to be, for the message.

    Raises:
        UsageError: as `check_regular`; or it is larger, or cannot be read.
    """
    size = check_regular(path, what)
    if size > most:
        raise UsageError(f"{path}: has {size} bytes, a {what} has at most {most}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def parse_json(text: bytes) -> Any:
    """What JSON says; of two equal keys, the last.

    Args:
        text: UTF-8, whatever else JSON may come in.

    Raises:
        ValueError: it is no JSON, or its lists and objects nest too deep.
    """
    try:
        return json.loads(text.decode())
    except RecursionError as error:
        raise ValueError("nests too deep") from error
    except UnicodeDecodeError as error:
        raise ValueError("no UTF-8") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that is a file's content.

    Raises:
        UsageError: as `read_file`; or it holds no object.
    """
    content = read_file(path)
    try:
        values = parse_json(content)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path}: unreadable: {reason}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: unreadable: no object")
    return values
