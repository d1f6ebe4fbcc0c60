"""What every evaluation gives: scores, each with its protocol."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared import noise
from shared.config import TrainConfig


class Score(NamedTuple):
    """One number about a run, and how it came about."""

    title: str
    """As the table shows it, with an arrow to where it is better, if that is clear."""
    values: list[float]
    """One for each independent draw of the samples."""
    decimals: int
    """Shown."""
    protocol: str
    """What was compared with what."""


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

    def record(self) -> dict[str, Any]:
        """The scores of one draw, to be repeated while training, and ``protocol``."""
        num, draws, seed = self.usual_num, 1, 0
        scores = self.scores(num, draws, seed)
        values = {name: score.values[0] for name, score in scores.items()}
        return values | {"protocol": self.protocol(num, draws, seed)}


def draw_inputs(
    config: TrainConfig,
    labels: NDArray[np.int32] | None,
    num: int,
    seed: int,
    number: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Latents and, for a conditional run, labels as frequent as in the data.

    Args:
        config: the run's configuration.
        labels: of the data.
        num: how many.
        seed: of the evaluation.
        number: of the draw.
    """
    z = noise.normal(seed, "evaluated samples", number, num, config.z_dim)
    if not config.conditional:
        return z, None
    assert labels is not None, "conditional runs have labels"
    chosen = noise.uniform(seed, "evaluated labels", number, num)[:, 0]
    return z, labels[(chosen * len(labels)).astype(np.int64)]


def sampling_protocol(
    config: TrainConfig, num: int, draws: int, seed: int
) -> dict[str, str | int]:
    """How the samples were drawn."""
    average = f"average of G, decay {config.ema_decay}" if config.ema_decay else "G"
    protocol: dict[str, str | int] = {
        "weights": f"{average}, in evaluation mode",
        "samples": num,
        "draws": draws,
        "seed": seed,
    }
    if draws > 1:
        protocol["interval"] = "95%, Student's t, over the draws"
    return protocol
