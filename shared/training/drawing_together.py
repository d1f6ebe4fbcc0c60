"""Several processes of a run that draw together: the first asks, all have a part."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shared import backend
from shared.backend import Latents
from shared.training.processes import Processes


class DrawsTogether(backend.Backend):
    """What both twins' backends do to draw with all devices of all processes.

    Inside `helped` the first process tells the others, by `agree`, what each call of
    `sample_batches` is to draw, and None at the end.
    """

    _processes: Processes
    _is_helped = False

    def sample_batches(
        self, batches: Sequence[Latents], training: bool = False
    ) -> list[NDArray[np.float32]]:
        """What `sample` makes of each batch, with all devices at work."""
        if self._is_helped:
            self.agree((batches, training))
        elif self._processes.count > 1:
            return super().sample_batches(batches, training)
        return self._draw_part(batches, training)

    @contextlib.contextmanager
    def helped(self) -> Iterator[bool]:
        """Inside, all processes of a run draw the batches of the first.

        All have to enter. Those that help come in when the first leaves.

        Yields:
            Whether this process is the first.
        """
        if self._processes.follows:
            while (asked := self.agree(None)) is not None:
                self._draw_part(*asked)
            yield False
            return
        self._is_helped = self._processes.count > 1
        try:
            yield True
        finally:
            self._is_helped = False
            self.agree(None)

    def _draw_part(
        self, batches: Sequence[Latents], training: bool
    ) -> list[NDArray[np.float32]]:
        """Draw this process's part; the first process gets all parts."""
        raise NotImplementedError
