"""Who is told how a run gets on: nobody, or a terminal."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from shared import terminal
from shared.quantities import log_line

_SILENT_SECONDS = 60.0
"""After which a log tells of a step that is not one of `every`."""


class Progress:
    """Is told how a run gets on, and says nothing."""

    def begin(self, total: int, step: int, every: int) -> AbstractContextManager[None]:
        """Around the training.

        Args:
            total: steps of the whole run.
            step: how many are done.
            every: steps between lines, where there is no progress bar. In a run so
                slow that they would be minutes apart, there are more.
        """
        return contextlib.nullcontext()

    def show(self, record: Mapping[str, Any]) -> None:
        """Report a logged step; called from a thread of the training's."""

    def say(self, line: str) -> None:
        """Report what is noticed, such as a warning; called from any thread."""


class TerminalProgress(Progress):
    """A progress bar on a terminal, else a quiet log; on stderr."""

    @contextlib.contextmanager
    def begin(self, total: int, step: int, every: int) -> Iterator[None]:
        """Around the training; as `Progress.begin`."""
        self._total = total
        self._every = every
        self._first = self._last = step
        self._began = self._told = time.monotonic()
        self._bar = terminal.bar(
            total=total, initial=step, unit="step", dynamic_ncols=True
        )
        with contextlib.closing(self._bar):
            yield

    def show(self, record: Mapping[str, Any]) -> None:
        """Report a logged step."""
        step = record["step"]
        text = log_line(record)
        if not self._bar.disable:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif self._is_due(step):
            terminal.say(f"step {step}/{self._total}  {text}{self._left(step)}")
            self._last, self._told = step, time.monotonic()

    def _is_due(self, step: int) -> bool:
        """Whether a log without a bar tells of this step."""
        reached = step // self._every > self._last // self._every
        silent = time.monotonic() - self._told >= _SILENT_SECONDS
        return reached or silent or step == self._total

    def _left(self, step: int) -> str:
        """How long the rest takes, if it goes on as it went; nothing at the end."""
        passed, done = time.monotonic() - self._began, step - self._first
        if step == self._total or done <= 0:
            return ""
        left = self._bar.format_interval(passed / done * (self._total - step))
        return f"  {left} left"

    def say(self, line: str) -> None:
        """Write a line, above the bar if there is one."""
        terminal.say(line)
