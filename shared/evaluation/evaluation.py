"""One evaluation: all scores of an evaluator, and how each came about."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.evaluation import metrics
from shared.evaluation.score import STANDING, Evaluator, Score

NOT_MEANINGFUL = "not meaningful"
"""Shown instead of a number that says nothing."""
NOISE = "images of noise"
"""How the set of noise is called, behind its number."""
# Whatever lies in a few of the data's balls has a precision of 1.
_NO_COVERAGE = 0.05
_NOISE_PRECISION = 0.5
# By so much less FID in training mode tells that running statistics lag behind.
_LAGGING = 0.8


class Evaluation(NamedTuple):
    """Scores, and what is needed to read them."""

    scores: dict[str, dict[str, Any]]
    """Of each: ``value`` (the mean over the draws), ``interval_95``, ``draws``,
    ``title``, ``shown`` and ``protocol``."""
    protocol: dict[str, str | int]
    """What holds for all scores."""
    nearest: NDArray[np.uint8] | None
    """A picture of samples above the nearest of the data's images; None of points."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before the scores."""
    sanity: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """The same scores of sets that everybody knows, such as noise, by what they are."""

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
    sanity = evaluator.sanity(num)
    described = {name: _describe(score) for name, score in (scores | further).items()}
    warnings = [*evaluator.warnings(), *_misleading(described, sanity)]
    protocol = evaluator.protocol(num, draws, seed)
    if STANDING not in protocol:
        warnings += _lagging(described)
    return Evaluation(described, protocol, picture, tuple(warnings), sanity)


def _misleading(
    scores: dict[str, dict[str, Any]], sanity: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """What is not to be believed; such scores are no longer shown as numbers."""
    for name, values in sanity.items():
        if name.endswith(NOISE) and values["precision"] > _NOISE_PRECISION:
            yield (
                f"the judge takes noise for real images, with precision"
                f" {values['precision']:.2f}: do not trust precision and density"
            )
    coverage = scores.get("coverage", {}).get("value", 1.0)
    if coverage < _NO_COVERAGE and "precision" in scores:
        for name in ("precision", "density"):
            scores[name]["shown"] = NOT_MEANINGFUL
        yield (
            f"coverage is {coverage:.3f}: the samples lie in one corner of the data, or"
            f" outside; precision and density are {NOT_MEANINGFUL}"
        )


def _lagging(scores: dict[str, dict[str, Any]]) -> Iterator[str]:
    """That samples suffer from batch norm's running statistics, if they do."""
    if "fid_training_mode" not in scores:
        return
    fid, trained = scores["fid"], scores["fid_training_mode"]
    least = fid["value"] - (fid["interval_95"] or 0.0)
    if trained["value"] < min(least, _LAGGING * fid["value"]):
        yield (
            f"FID would be {trained['shown']} with the batch norm of training, whose"
            f" running statistics lag behind G: try --standing-stats 16"
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
