"""What can be said of generated images without a network that looks at them."""

import numpy as np
from numpy.typing import NDArray

from shared import sizes
from shared.config.choices import portable_name
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.drawing import images
from shared.evaluation.copies import nearest_images, nearest_moved
from shared.evaluation.samples import Samples
from shared.evaluation.score import Evaluator, Score, by_name
from shared.randomness import noise

_NUM = 2048
_NEAREST_QUERIES = 64
_NEAREST_COLUMNS = 12
_NEAREST_ROWS = 3
# A copy is so many times nearer than training images are to each other.
_COPY_SHARE = 3


class PixelEvaluator(Evaluator):
    """Compares images with the training images, pixel by pixel.

    Args:
        samples: what is compared; it may change between the calls.
        config: the run's configuration.
        data: its training images.
    """

    def __init__(self, samples: Samples, config: TrainConfig, data: ImageData) -> None:
        self._samples = samples
        self._config = config
        self._images = data.pixels
        count = data.info.count
        self.usual_num = min(_NUM, count)
        # Shuffled, so that any first part of them is a fair sample.
        self._order = noise.batch_indices(0, 0, count, count)

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """None: a single draw is enough for all that pixels tell."""
        return {}

    def further(
        self, num: int, seed: int
    ) -> tuple[dict[str, Score], NDArray[np.uint8] | None]:
        """What batch norm's mode changes, and whether samples are copies.

        Returns:
            Scores, and a picture: samples above their nearest training images.
        """
        nearest, picture = self._nearest(seed)
        return self._batch_norm_scores(num, seed) | nearest, picture

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        size = sizes.both(self._config.image_size)
        return {
            "dataset": portable_name(self._config.dataset),
            "reference": "training split",
            "features": "none",
            "resizing": f"data cached at {size}, samples of that size, 8 bits",
            **self._samples.protocol(num, 1, seed),
        }

    def _batch_norm_scores(self, num: int, seed: int) -> dict[str, Score]:
        """How samples change when batch norm uses their batch; empty without it."""
        if not self._samples.has_modes:
            return {}
        draw = self._samples.draw
        evaluated, trained = (draw(num, seed, 0, mode) for mode in (False, True))
        gap = np.abs(evaluated.astype(np.int16) - trained.astype(np.int16)).mean()
        how = f"{num} samples in training mode, batches of 64"
        both = f"{how}, against evaluation mode: mean difference, grey levels of 255"
        return self._training_mode_scores(trained, how) | by_name(
            Score("batch_norm_gap", [float(gap)], both)
        )

    def _training_mode_scores(
        self, trained: NDArray[np.uint8], how: str
    ) -> dict[str, Score]:
        """Scores of samples in training mode by themselves: these need features."""
        return {}

    def _nearest(self, seed: int) -> tuple[dict[str, Score], NDArray[np.uint8]]:
        """Whether samples are copies: distances, and a picture."""
        queries = min(_NEAREST_QUERIES, len(self._images))
        fake = self._samples.draw(queries, seed, 0)
        found, places = nearest_images(fake, self._images, _NEAREST_ROWS)
        real = self._images[self._order[:queries]]
        # k = 2: the nearest to a training image is itself.
        between, _ = nearest_images(real, self._images, 2)
        how = "median over {} to the nearest {}, root mean square, grey levels of 255"
        distances = by_name(
            Score(
                "nearest_distance",
                [float(np.median(found[:, 0]))],
                how.format(f"{len(fake)} samples", "training image"),
            ),
            Score(
                "nearest_distance_real",
                [float(np.median(between[:, 1]))],
                how.format(f"{queries} training images", "other one"),
            ),
        )
        distances |= self._copies(fake, self._order[:queries])
        columns = min(_NEAREST_COLUMNS, queries)
        neighbours = self._images[places[:columns].T.reshape(-1)]
        above, below = (images.grid(x, columns) for x in (fake[:columns], neighbours))
        line = np.full_like(above[:2], 255)
        return distances, np.concatenate([above, line, below])

    def _copies(
        self, fake: NDArray[np.uint8], own: NDArray[np.int64]
    ) -> dict[str, Score]:
        """How many samples are copies, also shifted or mirrored ones.

        Args:
            fake: the samples.
            own: as many training images, for how near these are to each other.
        """
        found = nearest_moved(fake, self._images)
        between = nearest_moved(self._images[own], self._images, own)
        # By images that are copies of others, as in mirrored data, it would be 0.
        apart = between[between > 0]
        bound = float(np.median(apart)) / _COPY_SHARE if len(apart) else 0.0
        how = (
            f"{len(fake)} samples, each shifted by up to a sixteenth of the side and"
            f" mirrored; nearer than {bound:.2f} grey levels of 255, a third of the"
            f" median of training images to the nearest other one, in the middle"
        )
        copies = Score("copies", [float(np.mean(found <= bound))], how)
        moved = (
            f"median over {len(fake)} samples, to the nearest training image so moved"
        )
        return by_name(
            Score("nearest_distance_moved", [float(np.median(found))], moved), copies
        )
