"""One evaluation: all scores of an evaluator, and how each came about."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.evaluation import metrics
from shared.evaluation.score import Evaluator, Score


class Evaluation(NamedTuple):
    """Scores, and what is needed to read them."""

    scores: dict[str, dict[str, Any]]
    """Of each: ``value`` (the mean over the draws), ``interval_95``, ``draws``,
    ``title``, ``shown`` and ``protocol``."""
    protocol: dict[str, str | int]
    """What holds for all scores."""
    nearest: NDArray[np.uint8] | None
    """A picture of samples above the nearest of the data's images; None of points."""

    @property
    def values(self) -> dict[str, float]:
        """The scores as bare numbers."""
        return {name: score["value"] for name, score in self.scores.items()}


def evaluate(evaluator: Evaluator, num: int, draws: int, seed: int) -> Evaluation:
    """All scores.

    Args:
        evaluator: knows samples and data.
        num: samples in each draw.
        draws: independent draws, over which intervals are made.
        seed: of the samples.
    """
    scores = evaluator.scores(num, draws, seed)
    further, picture = evaluator.further(num, seed)
    return Evaluation(
        {name: _describe(score) for name, score in (scores | further).items()},
        evaluator.protocol(num, draws, seed),
        picture,
    )


def _describe(score: Score) -> dict[str, Any]:
    mean, interval = metrics.mean_interval(score.values)
    shown = f"{mean:.{score.decimals}f}"
    if interval is not None:
        shown += f" ± {interval:.{score.decimals}f}"
    return {
        "title": score.title,
        "shown": shown,
        "value": mean,
        "interval_95": interval,
        "draws": score.values,
        "protocol": score.protocol,
    }
