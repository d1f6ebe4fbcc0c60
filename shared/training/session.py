"""What trains: a configuration, data and a twin's state; nothing of what is written."""

from collections.abc import Callable
from typing import Any, NamedTuple

from shared.backend import Backend
from shared.config import schedules
from shared.config.choices import DataPlace
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.files.arrays import Arrays
from shared.randomness.draws import draw
from shared.randomness.initial_weights import initial_arrays
from shared.run.rollbacks import Rollback


class Prepared(NamedTuple):
    """All that some steps need, on its way to the device."""

    steps: range
    """Which; in a row."""
    inputs: Any
    """As `Backend.train` takes them."""


class Session:
    """Trains by a configuration, on data, with a twin's networks.

    It holds no state until it is told where to start: at the seed's (`start`), or at a
    stored one (`restore`).

    Args:
        config: the run's configuration.
        data: what to train on.
        backend: made for both.
        data_on: where the images are kept.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: ImageData,
        backend: Backend,
        data_on: DataPlace = "auto",
    ) -> None:
        self.config = config
        self.data = data
        self.backend = backend
        self.total = schedules.total_steps(config, data.info.count)
        self.step = 0
        self.rollbacks: tuple[Rollback, ...] = ()
        """How the run has gone back after it had diverged."""
        backend.load_data(data, data_on)

    @property
    def steps_per_call(self) -> int:
        """How many steps one call should have; fewer where something comes between."""
        most = self.backend.steps_per_call
        return schedules.steps_of_call(self.config, self.total, most)

    def initial_arrays(self) -> Arrays:
        """The state that follows from the seed."""
        return initial_arrays(self.backend.statements(), self.config.seed)

    def start(self, rollbacks: tuple[Rollback, ...] = ()) -> None:
        """Go to the first step, in the state that follows from the seed."""
        self.restore(self.initial_arrays(), 0, rollbacks)

    def restore(
        self, arrays: Arrays, step: int, rollbacks: tuple[Rollback, ...] = ()
    ) -> None:
        """Go to a step in its state, as `Backend.arrays` gave it."""
        self.backend.load(arrays)
        self.step = step
        self.rollbacks = rollbacks

    def prepare(self, steps: range) -> Prepared:
        """Make what the steps need; depends on no state, so any thread may do it."""
        info = self.data.info
        draws = draw(
            self.config,
            channels=info.channels,
            count=info.count,
            total_steps=self.total,
            steps=steps,
            rollbacks=len(self.rollbacks),
            samples=self.backend.batch_slice,
        )
        return Prepared(steps, self.backend.prepare(draws))

    def train(self, prepared: Prepared) -> Callable[[], Arrays]:
        """Run the steps that were prepared; as `Backend.train`."""
        read = self.backend.train(prepared.inputs)
        self.step = prepared.steps.stop
        return read

    def run(self, steps: int) -> Arrays:
        """Run so many steps in one call, from where the session is.

        Returns:
            The steps' metrics, each of shape [steps].
        """
        coming = range(self.step, self.step + steps)
        return self.train(self.prepare(coming))()
