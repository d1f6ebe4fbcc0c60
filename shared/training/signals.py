"""Signals that ask a run to stop."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Stop:
    """Whether a run is asked to stop early; this one never is."""

    received: int | None = None
    """Number of the signal that asked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


class Signals(Stop):
    """Notes the first Ctrl-C or SIGTERM; a second one acts as usual."""

    def __init__(self) -> None:
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets no other thread handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        # Not by way of sys.stderr, which the signal may have interrupted.
        os.write(2, b"\nsaving, after this step; again: stop without saving\n")

    def _restore(self) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
