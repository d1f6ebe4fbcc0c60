"""How fast a run trains."""

import time


class Clock:
    """How fast the calls follow each other.

    Left out is the time in which the device draws grids and evaluates.

    Args:
        images: real images that D is trained on in each step, on average.
        step: where the run starts.
    """

    def __init__(self, images: float, step: int) -> None:
        self._images = images
        self._untold = 0.0
        self.restart(step)

    def restart(self, step: int) -> None:
        """Measure from here."""
        self._first = self._last = step
        self._start = self._free = time.perf_counter()
        self._waited = 0.0

    def add(self, steps: range, start: float, end: float) -> None:
        """Take in a call: when it was made, and when the device had done it."""
        self._last = steps.stop
        # Made while the call before was under way, it found the device at work.
        self._waited += max(0.0, start - self._free)
        self._untold += end - self._free
        self._free = end

    def take_rates(self) -> dict[str, float]:
        """Images per second; and the share of the time when the device had no call.

        And the seconds since it was last asked, over restarts: they can be summed.
        """
        seconds, untold, self._untold = self._free - self._start, self._untold, 0.0
        trained = (self._last - self._first) * self._images
        return {
            "images_per_second": round(trained / seconds, 1),
            "seconds": round(untold, 6),
            "wait_share": round(self._waited / seconds, 3),
        }
