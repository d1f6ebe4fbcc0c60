"""What changes with the step in a known way, computed once for both twins."""

import math
from typing import Any, NamedTuple

import numpy as np

from shared.config.train_config import TrainConfig


class Scalars(NamedTuple):
    """Numbers of a step: each may have a schedule."""

    g_lr: Any
    """Learning rate of the generator."""
    d_lr: Any
    """Learning rate of the discriminator."""
    penalty_weight: Any
    """Multiplier of the penalty."""
    beta2: Any
    """Decay rate of Adam's average of squares."""
    ema_share: Any
    """Share of G's new weights in their average; 1 - decay."""
    augment_p: Any
    """Probability of ADA's transformations; None where it follows from D's output."""


class Phases(NamedTuple):
    """Which updates a step makes, beside G's; each may have an interval."""

    update_d: Any
    """Whether D is updated, or only looked at."""
    update_d_by_penalty: Any
    """Whether D is updated once more, by a penalty of its own interval."""
    update_g_by_paths: Any
    """Whether G is updated once more, by its path lengths."""


def constants(config: TrainConfig) -> Scalars:
    """Each number as it is configured, before any schedule."""
    return Scalars(
        g_lr=config.g_lr,
        d_lr=config.d_lr,
        penalty_weight=config.penalty_weight,
        beta2=config.adam_betas[1],
        ema_share=1 - config.ema_decay,
        augment_p=config.augment_p,
    )


def scheduled(
    config: TrainConfig, total: int, step: int, rollbacks: int = 0
) -> Scalars:
    """Each number at ``step``; None where it stays as it is configured.

    The average's half-life h makes its decay 0.5 ** (b / h), b being the images of a
    step, and a half-life of 0 makes it a copy.

    Args:
        config: the run's configuration.
        total: length of the whole run in steps, for its learning-rate schedule.
        step: which.
        rollbacks: how often the run has gone back: each halves both learning rates.

    References:
        Huang et al. 2024, arXiv:2501.05441, and its authors' code: what has a burn-in.
    """
    images = step * config.images_per_step

    def now(start: float, final: float | None) -> float:
        return start if final is None else _burn_in(config, start, final, images)

    def only_if(start: float, final: float | None) -> float | None:
        return None if final is None else _burn_in(config, start, final, images)

    factor = learning_rate_factor(config, total, step) / 2**rollbacks
    half_life = now(config.ema_half_life, config.final_ema_half_life)
    return Scalars(
        g_lr=factor * now(config.g_lr, config.final_g_lr),
        d_lr=factor * now(config.d_lr, config.final_d_lr),
        penalty_weight=only_if(config.penalty_weight, config.final_penalty_weight),
        beta2=only_if(config.adam_betas[1], config.final_beta2),
        ema_share=(
            _share(config.images_per_step, half_life) if config.has_half_life else None
        ),
        augment_p=only_if(config.augment_p or 0.0, config.final_augment_p),
    )


def _burn_in(config: TrainConfig, start: float, final: float, images: float) -> float:
    """v(n) = v0 + (v1 - v0) (1 - cos(pi n / N)) / 2 up to n = N, then v1.

    Args:
        config: has N, the images of the burn-in.
        start: v0.
        final: v1.
        images: n, those that D was trained on before this step, on average where it
            skips steps.
    """
    assert config.burn_in_images is not None  # train_config.py: with each final value
    if images >= config.burn_in_images:
        return final
    angle = math.pi * images / config.burn_in_images
    return start + (final - start) * (1 - math.cos(angle)) / 2


def _share(images: float, half_life: float) -> float:
    """1 - 0.5 ** (images / half_life), to the last digit."""
    if not half_life:
        return 1.0
    return -math.expm1(-math.log(2) * images / half_life)


def total_steps(config: TrainConfig, count: int) -> int:
    """Generator updates of the whole run on ``count`` images.

    An epoch is one pass of D over the data in full batches, at ``n_critic`` batches a
    step, or one batch every ``d_every`` steps.
    """
    if config.steps is not None:
        return config.steps
    assert config.epochs is not None  # TrainConfig: exactly one is given
    batches = config.epochs * (count // config.batch_size)
    return max(1, round(batches * config.d_every / config.n_critic))


def intervals(config: TrainConfig) -> list[int]:
    """Steps between pictures, between checkpoints, and between scores if there are any.

    A call of the twin ends where one of them comes.
    """
    every = (config.sample_every, config.save_every, config.evaluate_every)
    return [n for n in every if n]


def steps_of_call(config: TrainConfig, total: int, most: int) -> int:
    """How many steps a call should have, of ``most`` at the most.

    Where there is such a number, whatever comes between calls comes after whole ones: a
    call is compiled anew for each of its lengths.

    Args:
        config: the run's configuration.
        total: length of the whole run in steps.
        most: of a call; no fewer than half of it are given up for that.
    """
    events = [n for n in intervals(config) if n < total]
    most = min(most, total)
    for common in (math.gcd(*events, total), math.gcd(*events)):
        for steps in range(most, (most - 1) // 2, -1):
            if common % steps == 0:
                return steps
    return most


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


def d_updates(config: TrainConfig, step: int) -> int:
    """How often D was updated by its loss in so many steps."""
    return -(-step // config.d_every) * config.n_critic


def images_seen(config: TrainConfig, step: int) -> int:
    """Real images that D was trained on: the budget that should be equal."""
    return d_updates(config, step) * config.batch_size


def is_saved(config: TrainConfig, step: int) -> bool:
    """Whether the state after so many steps is saved; where a run stops, it is too."""
    every = (config.save_every, config.evaluate_every)
    return any(n and step % n == 0 for n in every)


def count_saved(config: TrainConfig, steps: range) -> int:
    """After how many of the steps, which may be billions, `is_saved` says so."""

    def multiples(of: int) -> int:
        return (steps.stop - 1) // of - (steps.start - 1) // of if of else 0

    save, evaluate = config.save_every, config.evaluate_every
    both = math.lcm(save, evaluate)  # 0, as a multiple of 0
    return multiples(save) + multiples(evaluate) - multiples(both)
