"""Scores of generated images, by their features."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.config import choices
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.evaluation import metrics
from shared.evaluation.features import ExtractedFeatures, FeatureExtractor
from shared.evaluation.pixel_evaluator import PixelEvaluator
from shared.evaluation.samples import Samples
from shared.evaluation.score import Score, by_name

# As in the literature on stacked MNIST: Metz et al. 2017, arXiv:1611.02163.
_NUM_STACKED = 26_000
# Enough for moments of few features; for Inception's many; for what needs all pairs.
_MOST_REAL = 10_000
_NUM_INCEPTION = 10_000
_MOST_REAL_INCEPTION = 50_000
_MOST_COMPARED = 2048


class ImageEvaluator(PixelEvaluator):
    """Compares images with the training images, by the features of both too.

    Args:
        samples: what is compared; it may change between the calls.
        config: the run's configuration.
        data: its training images.
        extractor: of the features; the data have labels if it knows their classes.
    """

    def __init__(
        self,
        samples: Samples,
        config: TrainConfig,
        data: ImageData,
        extractor: FeatureExtractor,
    ) -> None:
        super().__init__(samples, config, data)
        self._classes = data.info.num_classes
        self._extractor = extractor
        most = _MOST_REAL
        if not extractor.knows_classes:
            # Fewer samples than features have a singular covariance.
            self.usual_num = _NUM_INCEPTION
            most = _MOST_REAL_INCEPTION
        elif config.dataset == choices.STACKED:
            self.usual_num = _NUM_STACKED
        real = self._extractor(self._images[self._order[:most]]).features
        # Else the scale of FID and KID would depend on the classifier's training;
        # that of Inception is part of its standard.
        self._scale = (
            np.sqrt(np.square(real).mean()) if extractor.knows_classes else 1.0
        )
        self._real = real / self._scale

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """Scores of ``draws`` independent sets of ``num`` samples, by name."""
        compared = min(num, len(self._real), _MOST_COMPARED)
        drawn = [
            self._extract_scaled(self._samples.draw(num, seed, i)) for i in range(draws)
        ]

        def each(score: Callable[[ExtractedFeatures], float]) -> list[float]:
            return [score(one) for one in drawn]

        def pairs(
            score: Callable[[metrics.Vectors, metrics.Vectors], float],
        ) -> list[float]:
            real = self._real[:compared]
            return each(lambda one: score(real, one.features[:compared]))

        sets = f"{num} samples, {len(self._real)} training images"
        few = f"{compared} samples, {compared} training images"
        fid = each(lambda x: metrics.frechet_distance(self._real, x.features))
        inception = each(lambda x: metrics.inception_score(x.probabilities))
        found = by_name(
            Score("fid", fid, sets),
            Score("kid", pairs(metrics.kernel_distance), few),
            Score("inception_score", inception, f"{num} samples, no splits"),
            Score("precision", pairs(metrics.precision), f"{few}, k=3"),
            Score("recall", pairs(metrics.recall), f"{few}, k=3"),
            Score("density", pairs(metrics.density), f"{few}, k=5"),
            Score("coverage", pairs(metrics.coverage), f"{few}, k=5"),
        )
        if self._extractor.knows_classes:
            ids = [one.probabilities.argmax(axis=1) for one in drawn]
            found |= self._class_scores(ids, num)
        return found

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        return {
            **super().protocol(num, draws, seed),
            "features": self._extractor.description,
            **self._samples.protocol(num, draws, seed),
        }

    def _class_scores(
        self, drawn: list[NDArray[np.int64]], num: int
    ) -> dict[str, Score]:
        """Which classes occur; from the most probable class of each sample."""
        labels = self._labels
        assert labels is not None, "who knows the classes was taught by labels"
        how = f"{num} samples by their most probable class"
        hit = [float(len(np.unique(ids))) for ids in drawn]
        divergence = [metrics.class_divergence(labels, ids) for ids in drawn]
        from_data = f"{how}, from the training labels, nats"
        return by_name(
            Score("classes_hit", hit, how, of=self._classes),
            Score("class_kl", divergence, from_data),
        )

    def _training_mode_scores(
        self, trained: NDArray[np.uint8], how: str
    ) -> dict[str, Score]:
        """Whether running statistics suit the samples less than their batch's do."""
        fid = metrics.frechet_distance(
            self._real, self._extract_scaled(trained).features
        )
        return by_name(Score("fid_training_mode", [fid], f"{how}; else as FID"))

    def _extract_scaled(self, pixels: NDArray[np.uint8]) -> ExtractedFeatures:
        found = self._extractor(pixels)
        return found._replace(features=found.features / self._scale)
