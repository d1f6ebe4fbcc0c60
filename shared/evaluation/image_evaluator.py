"""Scores of generated images, by their features."""

import math

import numpy as np
from numpy.typing import NDArray

from shared.config import choices
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.evaluation import classifier, metrics
from shared.evaluation.evaluation import NOISE
from shared.evaluation.features import ExtractedFeatures, FeatureExtractor
from shared.evaluation.pixel_evaluator import PixelEvaluator
from shared.evaluation.samples import Samples
from shared.evaluation.score import Score, by_name
from shared.randomness import noise

# As in the literature on stacked MNIST: Metz et al. 2017, arXiv:1611.02163.
_NUM_STACKED = 26_000
# Enough for moments of few features; for Inception's many; for what needs all pairs.
_MOST_REAL = 10_000
_NUM_INCEPTION = 10_000
_MOST_REAL_INCEPTION = 50_000
_MOST_COMPARED = 2048
# More than the neighbours that are counted.
_LEAST = 5


class ImageEvaluator(PixelEvaluator):
    """Compares images with the training images, by the features of both too.

    Copies are looked for in the training images, whatever the features are compared to.

    Args:
        samples: what is compared; it may change between the calls.
        config: the run's configuration.
        data: its training images.
        extractor: of the features; the data have labels if it knows their classes.
        against: whose features the samples' are compared with; None: the data's.
    """

    def __init__(
        self,
        samples: Samples,
        config: TrainConfig,
        data: ImageData,
        extractor: FeatureExtractor,
        against: ImageData | None = None,
    ) -> None:
        super().__init__(samples, config, data)
        self._data = data
        self._against = against
        self._classes = data.info.num_classes
        self._extractor = extractor
        most = _MOST_REAL
        if not extractor.knows_classes:
            # Fewer samples than features have a singular covariance.
            self.usual_num = _NUM_INCEPTION
            most = _MOST_REAL_INCEPTION
        elif config.dataset == choices.STACKED:
            self.usual_num = _NUM_STACKED
        self._used = self._order[:most]
        if against is None:
            reference = self._images[self._used]
        else:
            count = against.info.count
            order = noise.batch_indices(0, 0, count, count)
            reference = against.pixels[order[:most]]
        real = self._extractor(reference).features
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
        found = [_compare(self._real, one.features) for one in drawn]
        inception = [metrics.inception_score(one.probabilities) for one in drawn]
        kind = "training" if self._against is None else "reference"
        sets = f"{num} samples, {len(self._real)} {kind} images"
        few = f"{compared} samples, {compared} {kind} images"
        how = {
            "fid": sets,
            "kid": few,
            "precision": f"{few}, k=3",
            "recall": f"{few}, k=3",
            "density": f"{few}, k=5",
            "coverage": f"{few}, k=5",
        }
        scores = by_name(
            *(Score(name, [one[name] for one in found], how[name]) for name in how)
        )
        scores |= by_name(
            Score("inception_score", inception, f"{num} samples, no splits")
        )
        if self._extractor.knows_classes:
            ids = [one.probabilities.argmax(axis=1) for one in drawn]
            scores |= self._class_scores(ids, num)
        return scores

    def warnings(self) -> list[str]:
        """That the network which sees the features is weak, if it is."""
        weakness = self._extractor.weakness
        return [weakness] if weakness else []

    def sanity(self, num: int) -> dict[str, dict[str, float]]:
        """The scores of real images, of noise, and of copies of training images.

        The real ones are the tenth that a classifier does not learn; they are compared
        with the others, or with what the samples are compared with.
        """
        num = min(num, _MOST_COMPARED)
        count = len(self._images)
        unlearnt = classifier.held_out(self._data)
        unseen = self._order[unlearnt[self._order]][:num]
        copied = self._order[np.resize(np.arange(count)[::-1], num)]
        shape = self._images.shape[1:]
        # In parts: the bits of each number take eight times the memory of its pixel.
        parts = (slice(i, min(i + 64, num)) for i in range(0, num, 64))
        size = math.prod(shape)
        units = (noise.uniform(0, "noise images", 0, part, size) for part in parts)
        greys = np.concatenate([(unit * 256).astype(np.uint8) for unit in units])
        seen = self._real
        if self._against is None:
            seen = seen[~unlearnt[self._used]]
        sets = {
            "real images, held out": (self._images[unseen], seen),
            NOISE: (greys.reshape(num, *shape), self._real),
            "copies of training images": (self._images[copied], self._real),
        }
        return {
            f"{len(found)} {name}": _compare(real, self._extract_scaled(found).features)
            for name, (found, real) in sets.items()
            if min(len(found), len(real)) > _LEAST
        }

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        found = {
            **super().protocol(num, draws, seed),
            "features": self._extractor.description,
            **self._samples.protocol(num, draws, seed),
        }
        if self._against is not None:
            named = self._against.split == "test"
            count = self._against.info.count
            found["reference"] = "test split" if named else f"{count} images, as given"
        return found

    def _class_scores(
        self, drawn: list[NDArray[np.int64]], num: int
    ) -> dict[str, Score]:
        """Which classes occur; from the most probable class of each sample."""
        labels = self._data.labels
        assert labels is not None, "who knows the classes was taught by labels"
        how = f"{num} samples by their most probable class"
        hit = [float(len(np.unique(ids))) for ids in drawn]
        divergence = [metrics.class_divergence(labels, ids) for ids in drawn]
        from_data = f"{how}, from the training labels, nats"
        # What the chance of a draw makes of the same classes, where it is small.
        if num >= 5 * self._classes:
            floor = (self._classes - 1) / (2 * num)
            from_data += f"; of real images about {floor:.4f}"
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


def _compare(real: metrics.Vectors, fake: metrics.Vectors) -> dict[str, float]:
    """What features tell of two sets; what needs all pairs, of their first images."""
    compared = min(len(fake), len(real), _MOST_COMPARED)
    few = real[:compared], fake[:compared]
    return {
        "fid": metrics.frechet_distance(real, fake),
        "kid": metrics.kernel_distance(*few),
        "precision": metrics.precision(*few),
        "recall": metrics.recall(*few),
        "density": metrics.density(*few),
        "coverage": metrics.coverage(*few),
    }
