"""Paths through the latent space."""

import numpy as np
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig
from shared.randomness import noise


def great_circle(
    start: NDArray[np.float32], end: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """``count`` latents from start to end, shape [count, z_dim].

    Along a great circle: on a straight line the middle would be shorter than any latent
    that the generator was trained on.

    References:
        White 2016, arXiv:1609.04468, section 2.1.
    """
    unit = [x / np.linalg.norm(x) for x in (start, end)]
    angle = np.arccos(np.clip(np.dot(*unit), -1.0, 1.0))
    t = np.linspace(0.0, 1.0, count)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - t) * start + t * end).astype(np.float32)
    path = np.sin((1 - t) * angle) * start + np.sin(t * angle) * end
    return (path / np.sin(angle)).astype(np.float32)


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
