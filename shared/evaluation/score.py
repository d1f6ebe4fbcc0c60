"""What every evaluation gives: scores, each with its protocol."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig
from shared.quantities import QUANTITIES

STANDING = "batch norm"
"""What a protocol has where batch norm goes by statistics of new samples."""


class Score(NamedTuple):
    """One number about a run, and how it came about."""

    name: str
    """In `QUANTITIES`."""
    values: list[float]
    """One for each independent draw of the samples."""
    protocol: str
    """What was compared with what."""
    of: int | None = None
    """The most that it can be, where that depends on the data."""

    @property
    def title(self) -> str:
        """As the table shows it, with an arrow to where it is better."""
        return QUANTITIES[self.name].heading(self.of)

    @property
    def decimals(self) -> int:
        """How many are shown."""
        return QUANTITIES[self.name].decimals


def by_name(*scores: Score) -> dict[str, Score]:
    """The scores, each under its name."""
    return {score.name: score for score in scores}


class Evaluator(Protocol):
    """Compares a backend's samples with the data; what they share is made once."""

    usual_num: int
    """Samples in each draw, unless the user says otherwise."""

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """Scores of ``draws`` independent sets of ``num`` samples, by name."""
        ...

    def further(
        self, num: int, seed: int
    ) -> tuple[dict[str, Score], NDArray[np.uint8] | None]:
        """Scores for which one draw is enough, and a picture of nearest images."""
        ...

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        ...

    def warnings(self) -> list[str]:
        """What a reader must know before the scores."""
        return []

    def sanity(self, num: int) -> dict[str, dict[str, float]]:
        """Scores of sets that everybody knows, such as noise, by what they are.

        Args:
            num: how many of each there may be.
        """
        return {}

    def record(self) -> dict[str, Any]:
        """The scores of one draw, to be repeated while training, and ``protocol``."""
        num, draws, seed = self.usual_num, 1, 0
        scores = self.scores(num, draws, seed)
        values = {name: score.values[0] for name, score in scores.items()}
        return values | {"protocol": self.protocol(num, draws, seed)}


def standing_words(config: TrainConfig, standing_stats: int | None) -> str | None:
    """What batch norm goes by, if it is not the statistics of training."""
    if standing_stats is None:
        return None
    return f"statistics of {standing_stats} batches of {config.batch_size} new samples"


def sampling_protocol(
    config: TrainConfig,
    num: int,
    draws: int,
    seed: int,
    standing_stats: int | None,
) -> dict[str, str | int]:
    """How the samples were drawn."""
    average = f"average of G, {config.averaging}" if config.averaging else "G"
    protocol: dict[str, str | int] = {
        "weights": f"{average}, in evaluation mode",
        "samples": num,
        "draws": draws,
        "seed": seed,
    }
    if (standing := standing_words(config, standing_stats)) is not None:
        protocol[STANDING] = standing
    if draws > 1:
        protocol["interval"] = "95%, Student's t, over the draws"
    return protocol
