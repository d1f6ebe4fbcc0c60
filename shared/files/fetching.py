"""Files that are fetched: by libraries of others, from servers that may not answer."""

import contextlib
import socket
from collections.abc import Iterator

_SECONDS = 10.0


@contextlib.contextmanager
def impatiently() -> Iterator[None]:
    """Within a ``with`` statement, no server is waited for longer than a moment.

    One that does not answer must not hold up the line that says what to do.
    """
    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(usual)
