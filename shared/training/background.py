"""Work of the host beside that of the device: made ahead of it, or done behind it."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

_ItemT = TypeVar("_ItemT")
_MadeT = TypeVar("_MadeT")
_P = ParamSpec("_P")

# Enough for a hiccup of the disk or a new epoch's order; each costs a call's memory.
_AHEAD = 2
# Tasks that may wait: each may hold a grid of images.
_WAITING = 16


def prefetch(
    make: Callable[[_ItemT], _MadeT], items: Iterable[_ItemT]
) -> Generator[_MadeT, None, None]:
    """``map(make, items)``, whose next results are being made in a thread of its own.

    Close it, or exhaust it, and the thread is gone.

    Args:
        make: called in that thread, in order; its error comes out where its result
            would have.
        items: read in the caller's thread.
    """
    coming = iter(items)
    with ThreadPoolExecutor(1, "prefetch") as worker:
        started = deque(worker.submit(make, item) for item in islice(coming, _AHEAD))
        try:
            while started:
                made = started.popleft().result()
                started.extend(worker.submit(make, item) for item in islice(coming, 1))
                yield made
        finally:
            for future in started:
                future.cancel()


class Background(contextlib.AbstractContextManager["Background"]):
    """Does tasks one after the other in a thread of its own.

    After an error no further task is done, so that nothing stands on the disk without
    what should precede it. The error comes out of a later call, or on leaving; leaving
    waits for all tasks.
    """

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "background")
        self._tasks: deque[Future[None]] = deque()
        self._failed = False

    def do(
        self, task: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """Have a task done; waits only while too many are waiting."""
        while self._tasks and (len(self._tasks) >= _WAITING or self._tasks[0].done()):
            self._tasks.popleft().result()
        self._tasks.append(self._worker.submit(self._do, task, *args, **kwargs))

    def wait(self) -> None:
        """Until all tasks are done."""
        while self._tasks:
            self._tasks.popleft().result()

    def _do(self, task: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        if self._failed:
            return
        try:
            task(*args, **kwargs)
        except BaseException:
            self._failed = True
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._worker.shutdown()
        if error is None:
            self.wait()
