"""What changes with the step in a known way, computed once for both twins."""

import math

import numpy as np

from shared.config.train_config import TrainConfig


def total_steps(config: TrainConfig, count: int) -> int:
    """Generator updates of the whole run on ``count`` images.

    An epoch is one pass of D over the data in full batches, at ``n_critic`` batches a
    step, or one batch every ``d_every`` steps.
    """
    if config.steps is not None:
        return config.steps
    assert config.epochs is not None  # config.py: exactly one is given
    batches = config.epochs * (count // config.batch_size)
    return max(1, round(batches * config.d_every / config.n_critic))


def learning_rate_factor(config: TrainConfig, total: int, step: int) -> float:
    """Multiplier of both learning rates at ``step``, in [0, 1].

    Linear decay reaches 0 one step after the last, cosine decay likewise; the warm-up
    multiplies either and reaches 1 at step ``warmup_steps``.
    """
    progress = min(step / total, 1.0)
    factor = 1.0
    if config.lr_schedule == "linear":
        factor = 1.0 - progress
    elif config.lr_schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * progress))
    if step < config.warmup_steps:
        factor *= (step + 1) / (config.warmup_steps + 1)
    return factor


def instance_noise_scale(config: TrainConfig, step: int) -> np.float32:
    """Standard deviation of the noise on D's input at ``step``.

    References:
        Sønderby et al. 2017, arXiv:1610.04490, section 3.2 (instance noise).
    """
    remaining = max(0.0, 1.0 - step / config.instance_noise_steps)
    return np.float32(config.instance_noise * remaining)


def is_saved(config: TrainConfig, step: int) -> bool:
    """Whether the state after so many steps is saved; where a run stops, it is too."""
    every = (config.save_every, config.evaluate_every)
    return any(n and step % n == 0 for n in every)
