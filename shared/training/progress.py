"""What a terminal shows of a run."""

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

from shared.quantities import LOG_LINE

if TYPE_CHECKING:
    from shared.training.loop import Training


class Progress:
    """A progress bar on a terminal, else a quiet log."""

    def __init__(self, training: "Training") -> None:
        self._bar = tqdm(
            total=training.total,
            initial=training.step,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._total = training.total
        self._every = training.config.sample_every
        self._last = training.step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def show(self, record: Mapping[str, Any]) -> None:
        """Report a logged step."""
        step = record["step"]
        text = LOG_LINE.format_map(record)
        if not self._bar.disable:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step // self._every > self._last // self._every or step == self._total:
            sys.stderr.write(f"step {step}/{self._total}  {text}\n")
            self._last = step
