"""What a terminal shows of a run."""

import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tqdm import tqdm

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
        text = "  ".join(_describe(record))
        if not self._bar.disable:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step // self._every > self._last // self._every or step == self._total:
            sys.stderr.write(f"step {step}/{self._total}  {text}\n")
            self._last = step


def _describe(record: Mapping[str, float]) -> Iterator[str]:
    yield f"D loss {record['d_loss']:.3f}"
    yield f"G loss {record['g_loss']:.3f}"
    yield f"D(x) {record['d_real']:.2f}"
    yield f"D(G(z)) {record['d_fake_before']:.2f}/{record['d_fake_after']:.2f}"
    yield f"{record['images_per_second']:.0f} images/s"
