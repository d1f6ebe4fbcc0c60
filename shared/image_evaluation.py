"""Scores of generated images, by the features of a judge."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared import classifier, datasets, images, metrics, noise, scores
from shared.backend import Backend, ImageData
from shared.config import TrainConfig
from shared.judges import Judge, Judged
from shared.pictures import draw_images
from shared.scores import Evaluator, Score

_NUM = 2048
# As in the literature on stacked MNIST: Metz et al. 2017, arXiv:1611.02163.
_NUM_STACKED = 26_000
# Enough for moments of few features; for Inception's many; for what needs all pairs.
_MOST_REFERENCES = 10_000
_NUM_INCEPTION = 10_000
_MOST_REFERENCES_INCEPTION = 50_000
_MOST_COMPARED = 2048
_NEAREST_QUERIES = 64
_NEAREST_COLUMNS = 12
_NEAREST_ROWS = 3


class ImageEvaluator(Evaluator):
    """Compares images with the training images, by what a judge says of both.

    Args:
        backend: with the state to be judged, which may change between the calls.
        config: the run's configuration.
        data: its training images.
        judge: what looks at the images; with labels if it knows their classes.
    """

    def __init__(
        self, backend: Backend, config: TrainConfig, data: ImageData, judge: Judge
    ) -> None:
        self._backend = backend
        self._config = config
        self._classes = data.info.num_classes
        self._images = classifier.pixels(data)
        self._labels = data.labels
        self._judge = judge
        count = data.info.count
        self.recorded_num = min(_NUM, count)
        if not judge.knows_classes:
            # Fewer samples than features have a singular covariance.
            self.usual_num = _NUM_INCEPTION
            references = min(count, _MOST_REFERENCES_INCEPTION)
        else:
            stacked = config.dataset == datasets.STACKED
            self.usual_num = _NUM_STACKED if stacked else self.recorded_num
            references = min(count, _MOST_REFERENCES)
        # Shuffled, so that any first part of them is a fair sample.
        self._order = noise.batch_indices(0, 0, references, count)
        real = self._judge(self._images[self._order]).features
        # Else the scale of FID and KID would depend on the classifier's training;
        # that of Inception is part of its standard.
        self._scale = np.sqrt(np.square(real).mean()) if judge.knows_classes else 1.0
        self._real = real / self._scale

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """Scores of ``draws`` independent sets of ``num`` samples, by name."""
        compared = min(num, len(self._real), _MOST_COMPARED)
        drawn = [self._judge_scaled(self._draw(num, seed, i)) for i in range(draws)]

        def each(score: Callable[[Judged], float]) -> list[float]:
            return [score(one) for one in drawn]

        def pairs(
            score: Callable[[metrics.Features, metrics.Features], float],
        ) -> list[float]:
            real = self._real[:compared]
            return each(lambda one: score(real, one.features[:compared]))

        sets = f"{num} samples, {len(self._real)} training images"
        few = f"{compared} samples, {compared} training images"
        found = {
            "fid": Score(
                "FID ↓",
                each(lambda x: metrics.frechet_distance(self._real, x.features)),
                3,
                sets,
            ),
            "kid": Score("KID ↓", pairs(metrics.kernel_distance), 5, few),
            "inception_score": Score(
                "Inception score ↑",
                each(lambda x: metrics.inception_score(x.probabilities)),
                3,
                f"{num} samples, no splits",
            ),
            "precision": Score(
                "precision ↑", pairs(metrics.precision), 3, f"{few}, k=3"
            ),
            "recall": Score("recall ↑", pairs(metrics.recall), 3, f"{few}, k=3"),
            "density": Score("density ↑", pairs(metrics.density), 3, f"{few}, k=5"),
            "coverage": Score("coverage ↑", pairs(metrics.coverage), 3, f"{few}, k=5"),
        }
        if self._judge.knows_classes:
            ids = [one.probabilities.argmax(axis=1) for one in drawn]
            found |= self._class_scores(ids, num)
        return found

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
        size = self._config.image_size
        return {
            "dataset": self._config.dataset,
            "reference": "training split",
            "features": self._judge.description,
            "resizing": f"data cached at {size}x{size}, samples of that size, 8 bits",
            **scores.sampling_protocol(self._config, num, draws, seed),
        }

    def _class_scores(
        self, drawn: list[NDArray[np.int64]], num: int
    ) -> dict[str, Score]:
        """Which classes occur; from the most probable class of each sample."""
        labels = self._labels
        assert labels is not None, "who knows the classes was taught by labels"
        how = f"{num} samples by their most probable class"
        return {
            "classes_hit": Score(
                f"classes hit of {self._classes} ↑",
                [float(len(np.unique(ids))) for ids in drawn],
                1,
                how,
            ),
            "class_kl": Score(
                "KL of classes ↓",
                [metrics.class_divergence(labels, ids) for ids in drawn],
                4,
                f"{how}, from the training labels, nats",
            ),
        }

    def _batch_norm_scores(self, num: int, seed: int) -> dict[str, Score]:
        """How samples change when batch norm uses their batch; empty without it."""
        if "batch" not in self._config.g_norm:
            return {}
        evaluated, trained = (self._draw(num, seed, 0, mode) for mode in (False, True))
        gap = np.abs(evaluated.astype(np.int16) - trained.astype(np.int16)).mean()
        fid = metrics.frechet_distance(self._real, self._judge_scaled(trained).features)
        how = f"{num} samples in training mode, batches of 64"
        return {
            "fid_training_mode": Score(
                "FID in training mode ↓", [fid], 3, f"{how}; else as FID"
            ),
            "batch_norm_gap": Score(
                "batch-norm gap ↓",
                [float(gap)],
                2,
                f"{how}, against evaluation mode: mean difference, grey levels of 255",
            ),
        }

    def _nearest(self, seed: int) -> tuple[dict[str, Score], NDArray[np.uint8]]:
        """Whether samples are copies: distances, and a picture."""
        queries = min(_NEAREST_QUERIES, len(self._images))
        fake = self._draw(queries, seed, 0)
        # k = 2: the nearest to a training image is itself.
        found, places = metrics.nearest_images(fake, self._images, _NEAREST_ROWS)
        real = self._images[self._order[:queries]]
        between, _ = metrics.nearest_images(real, self._images, 2)
        how = "median over {} to the nearest {}, root mean square, grey levels of 255"
        distances = {
            "nearest_distance": Score(
                "distance to data",
                [float(np.median(found[:, 0]))],
                2,
                how.format(f"{queries} samples", "training image"),
            ),
            "nearest_distance_real": Score(
                "distance within data",
                [float(np.median(between[:, 1]))],
                2,
                how.format(f"{queries} training images", "other one"),
            ),
        }
        columns = min(_NEAREST_COLUMNS, queries)
        neighbours = self._images[places[:columns].T.reshape(-1)]
        above, below = (images.grid(x, columns) for x in (fake[:columns], neighbours))
        line = np.full_like(above[:2], 255)
        return distances, np.concatenate([above, line, below])

    def _judge_scaled(self, pixels: NDArray[np.uint8]) -> Judged:
        judged = self._judge(pixels)
        return judged._replace(features=judged.features / self._scale)

    def _draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        z, labels = scores.draw_inputs(self._config, self._labels, num, seed, number)
        return draw_images(self._backend, z, labels, training)
