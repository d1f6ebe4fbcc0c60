"""Signals that ask a program to stop: what they do depends on what there is to save.

No handler here raises an exception in training: Python may be in a hook of the garbage
collector at that moment, as JAX has one, from where no exception comes out.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Self

from shared import terminal
from shared.training.processes import processes

# Ctrl-C, the systems that end processes, terminals that close, and what schedulers send
# ahead of a job's end. Not every system knows them all.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
_Handler = Callable[[int, FrameType | None], None]


class Stop:
    """Whether a run is asked to stop early; this one never is."""

    received: int | None = None
    """Number of the signal that asked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Signals(Stop):
    """Notes the first signal; a second one acts as it did before."""

    def __init__(self) -> None:
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._old = _handle(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        _restore(self._old)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        _restore(self._old)
        if processes().follows:
            return
        # Not by way of sys.stderr, which the signal may have interrupted.
        stream = terminal.Stderr(2, "ascii")
        stream.write("\nsaving, after this step; again: stop without saving\n")


class _Last:
    """What is said when the process ends at once."""

    words = ""


def end_at_once() -> None:
    """Have a signal end this process, with the status 128 + its number.

    For the start of a program, when nothing is worth saving yet, and for its end, when
    everything is saved: what is on the disk bears that, at any moment.
    """
    _handle(_end)


def say_at_last(words: str) -> None:
    """Have `end_at_once` say this on stderr."""
    _Last.words = words


@contextlib.contextmanager
def tidily() -> Iterator[None]:
    """Where `end_at_once` has been called: first have what is half done taken away."""
    noted = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        _handle(_end)
        raise SystemExit(128 + number)

    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    _handle(note)
    yield
    _handle(_end)
    if noted:  # and the exception was lost on its way
        raise SystemExit(128 + noted[0])


def _end(number: int, frame: FrameType | None) -> None:
    if _Last.words:
        terminal.say(_Last.words)
    os._exit(128 + number)


def _handle(handler: _Handler) -> dict[int, Any]:
    """Install a handler; returns those that were there."""
    # Python lets no other thread handle signals.
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return {
        number: signal.signal(number, handler)
        for number in numbers
        # What nohup asks for.
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT
    }


def _restore(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
