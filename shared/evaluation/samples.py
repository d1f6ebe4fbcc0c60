"""What is evaluated: images that a generator makes, or that somebody hands over."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend
from shared.config.train_config import TrainConfig
from shared.drawing.samples import draw_images
from shared.evaluation.score import sampling_protocol
from shared.randomness import noise
from shared.randomness.latents import draw_inputs


class Samples(Protocol):
    """Images to be compared with the data."""

    has_modes: bool
    """Whether they are others in training mode than in evaluation mode."""

    def draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        """Some of the images, [num, height, width, channels].

        Args:
            num: how many.
            seed: of the evaluation.
            number: of the draw.
            training: in training mode.
        """
        ...

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """How they come about."""
        ...


class GeneratedSamples(Samples):
    """What a backend's generator makes of latents, and of labels as in the data.

    Args:
        backend: with the state to be scored, which may change between the calls.
        config: the run's configuration.
        labels: of the data.
        standing_stats: batches whose statistics the backend's batch norm goes by; None:
            those of training.
    """

    def __init__(
        self,
        backend: Backend,
        config: TrainConfig,
        labels: NDArray[np.int32] | None,
        standing_stats: int | None = None,
    ) -> None:
        self._backend = backend
        self._config = config
        self._labels = labels
        self._standing_stats = standing_stats
        self.has_modes = config.g_has_batch_norm

    def draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        """Images of new latents; as `Samples.draw`."""
        z, labels = draw_inputs(self._config, self._labels, num, seed, number)
        return draw_images(self._backend, z, labels, training)

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """Which weights, how many, and of what seed."""
        return sampling_protocol(self._config, num, draws, seed, self._standing_stats)


class GivenSamples(Samples):
    """Images from anywhere, all in one draw.

    Args:
        images: [count, height, width, channels], in any order.
    """

    has_modes = False

    def __init__(self, images: NDArray[np.uint8]) -> None:
        # Shuffled: they may come class by class, and some scores are of the first. In
        # another order than the reference, which may be the same images.
        count = len(images)
        self._images = images[noise.batch_indices(0, 1, count, count)]

    def draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        """The same images each time, in an order of chance."""
        return self._images[:num]

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """That they were given."""
        return {"reference": "as given", "resizing": "none", "samples": num}
