"""Scores of generated points in the plane, against the distribution's own formula."""

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend
from shared.config.train_config import TrainConfig
from shared.data import points
from shared.data.image_data import ImageData
from shared.evaluation import metrics
from shared.evaluation.score import Evaluator, Score, by_name, sampling_protocol
from shared.randomness.latents import draw_inputs


class PointEvaluator(Evaluator):
    """Counts modes and good points; see `shared.data.points.score`.

    Args:
        backend: with the state to be scored, which may change between the calls.
        config: the run's configuration.
        data: its points.
        standing_stats: as for `GeneratedSamples`.
    """

    usual_num = points.COUNTED

    def __init__(
        self,
        backend: Backend,
        config: TrainConfig,
        data: ImageData,
        standing_stats: int | None = None,
    ) -> None:
        self._backend = backend
        self._standing_stats = standing_stats
        self._config = config
        self._labels = data.labels
        self._modes = data.info.num_classes
        # Any first part is a fair sample: the data take their modes in turn.
        self._real = data.points[: points.COUNTED]

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """Scores of ``draws`` independent sets of ``num`` points, by name."""
        drawn = [self._draw(num, seed, i) for i in range(draws)]
        good = [points.score(self._config.dataset, one) for one in drawn]
        compared = min(num, len(self._real))
        near = "within three standard deviations"
        modes = Score(
            "modes",
            [float(one.modes or 0) for one in good],
            f"{num} samples; modes with a sample {near} of the centre",
            of=self._modes,
        )
        high_quality = Score(
            "high_quality",
            [one.high_quality for one in good],
            f"share of {num} samples {near} of"
            + (" a centre" if self._modes else " the spiral"),
        )
        coverage = Score(
            "coverage",
            [metrics.coverage(self._real, one[:compared]) for one in drawn],
            f"{compared} samples, {len(self._real)} training points, k=5, in the plane",
        )
        found = by_name(high_quality, coverage)
        return by_name(modes) | found if self._modes else found

    def further(
        self, num: int, seed: int
    ) -> tuple[dict[str, Score], NDArray[np.uint8] | None]:
        """How good the samples are when batch norm uses their batch; no picture."""
        if not self._config.g_has_batch_norm:
            return {}, None
        good = points.score(self._config.dataset, self._draw(num, seed, 0, True))
        how = f"share of {num} samples in training mode, in one batch"
        score = Score("high_quality_training_mode", [good.high_quality], how)
        return by_name(score), None

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        return {
            "dataset": self._config.dataset,
            "reference": "the distribution's own formula",
            **sampling_protocol(self._config, num, draws, seed, self._standing_stats),
        }

    def _draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.float32]:
        z, labels = draw_inputs(self._config, self._labels, num, seed, number)
        return self._backend.sample(z, labels, training).reshape(-1, 2)
