"""Where a program speaks to people. A message that cannot be written is dropped.

No training, and no checkpoint, may depend on whether somebody reads what is said: a
terminal closes, ``tee`` dies first, a disk is full, a pipe is not read.
"""

import codecs
import contextlib
import io
import os
import select
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

UNSAID = "messages.txt"
"""In a run's folder: what stderr did not take."""

_PLAIN = {"±": "+-", "↓": "v", "↑": "^", "─": "-", "│": "|", "…": "..."}
# A reader that is merely slow gets so long, once.
_PATIENCE_SECONDS = 1.0
_AT_ONCE = 512  # bytes that a pipe takes whole, if it takes any (POSIX's PIPE_BUF)


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "only writing replaces"
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in missing), error.end


codecs.register_error("plain", _replace)


class Stderr(io.TextIOBase):
    """A stream to a file descriptor that writes at once, and never raises an error.

    It has no buffer and no lock, so a handler of signals may use it too.

    Args:
        number: the descriptor.
        encoding: what characters become; those it lacks are replaced.
        is_open: whether anybody could be at the other end.
    """

    def __init__(self, number: int, encoding: str, is_open: bool = True) -> None:
        self._number = number
        self._encoding = encoding
        self._patience = _PATIENCE_SECONDS
        self.is_lost = not is_open
        """Whether the last text was dropped."""
        self._is_open = is_open

    @property
    def encoding(self) -> str:  # pyrefly: ignore[bad-override]
        """As the user has asked for."""
        return self._encoding

    def fileno(self) -> int:
        """The descriptor."""
        return self._number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._is_open and os.isatty(self._number)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Write a text, or drop what is not taken of it."""
        if self._is_open:
            self.is_lost = not self._takes(text.encode(self._encoding, "plain"))
            self._patience = 0.0 if self.is_lost else _PATIENCE_SECONDS
        return len(text)

    def _takes(self, content: bytes) -> bool:
        try:
            while content:
                # To write to a pipe that is full would wait for its reader.
                if not select.select((), (self._number,), (), self._patience)[1]:
                    return False
                written = os.write(self._number, content[:_AT_ONCE])
                content = content[written:]
        except (OSError, ValueError):
            return False
        return True


def take_streams() -> None:
    """Have this process's streams take whatever is written; for the start of a program.

    Stdout, which holds results, still tells that it cannot be written.
    """
    there = sys.stderr is not None
    # A file that is opened later would get the number of a stream that is closed, and
    # libraries would write their warnings into it.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    encoding = sys.stderr.encoding if there else "utf-8"
    sys.stderr = Stderr(2, encoding, is_open=there)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="plain")


def drop_output() -> None:
    """Have what is still to be written to stdout go nowhere, without a word."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Unsaid:
    """Where the lines go that stderr does not take."""

    folder: Path | None = None


def keep_unsaid(folder: Path | None) -> None:
    """Have the lines that stderr does not take added to a file of this folder."""
    _Unsaid.folder = folder


def say(line: str) -> None:
    """Write a line to stderr, above a progress bar if there is one."""
    if _write(line) or _Unsaid.folder is None:
        return
    with (
        contextlib.suppress(OSError),
        (_Unsaid.folder / UNSAID).open("a", encoding="utf-8") as file,
    ):
        file.write(line + "\n")


def _write(line: str) -> bool:
    """Whether the line was written."""
    stream = sys.stderr
    try:
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(line, file=stream)
        else:
            stream.write(line + "\n")
    # It may be closed, or None.
    except (AttributeError, OSError, ValueError):
        return False
    return not getattr(stream, "is_lost", False)


def is_watched() -> bool:
    """Whether stderr is a terminal."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def bar(items: Iterable[Any] | None = None, **options: Any) -> "tqdm[Any]":
    """A progress bar on stderr, as `tqdm.tqdm`; none where that is no terminal."""
    # Imported when it is asked for: refusals and help texts take a moment only.
    from tqdm import tqdm

    return tqdm(items, disable=not is_watched(), **options)
