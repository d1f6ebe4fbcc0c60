"""What moves over a burn-in, and how far, by the formulas of the authors' code."""

import math

import numpy as np

from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.comparisons import first_steps
from parity_tests.harness.trajectories import make_pair, run
from shared.config.train_config import TrainConfig
from shared.randomness.draws import draw

# A step has 8 images, the burn-in 20: its end is between two steps.
_STEPS = 5


def _images(config: TrainConfig, step: int) -> int:
    """How many D has been trained on before a step, counted in its batches."""
    drawn = draw(config, 1, 60, config.steps or 0, range(step + 1))
    return drawn.indices[:step, : config.n_critic].size


def _cosine(config: TrainConfig, step: int, start: float, final: float) -> float:
    """`cosine_decay_with_warmup` of training_loop.py, without what it leaves at 0."""
    images, total = _images(config, step), config.burn_in_images or 0
    decay = 0.5 * (1 + np.cos(np.pi * images / total))
    value = start + (1 - decay) * (final - start)
    return float(np.where(images > total, final, value))


@check("schedule/burn-in", "fact")
def _burn_in() -> list[Finding]:
    """Every number is the formula's, of the images that D has seen.

    References:
        Huang et al. 2024, arXiv:2501.05441; github.com/brownvc/R3GAN.
    """
    config = first_steps.make_config("burn-in")
    drawn = draw(config, 1, 60, 100, range(_STEPS))
    ends = {
        "g_lr": (config.g_lr, config.final_g_lr),
        "d_lr": (config.d_lr, config.final_d_lr),
        "penalty_weight": (config.penalty_weight, config.final_penalty_weight),
        "beta2": (config.adam_betas[1], config.final_beta2),
        "augment_p": (config.augment_p, config.final_augment_p),
    }
    worst = Worst()
    for name, (start, final) in ends.items():
        assert start is not None
        assert final is not None
        for step, value in enumerate(getattr(drawn, name)):
            expected = _cosine(config, step, start, final)
            worst.compare(name, value, np.float64(expected), "optimizer, float64", name)
        assert value == final, f"{name} ends at {value}"
    return worst.findings()


@check("schedule/half-life", "fact", ("steps.generator_step",))
def _half_life() -> list[Finding]:
    """Of what the average of G was, 0.5 ** (images / half-life) is left by a step."""
    config = first_steps.make_config("burn-in")
    final = config.final_ema_half_life
    assert final is not None
    worst = Worst()
    for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
        before: dict[str, np.ndarray] = {}
        for step, state in enumerate(run(session, _STEPS)):
            half_life = _cosine(config, step, config.ema_half_life, final)
            images = _images(config, step + 1) - _images(config, step)
            decay = math.pow(0.5, images / max(half_life, 1e-8))
            for name in (x for x in state if x.startswith("g_optimizer.exp_avg.")):
                path = name.removeprefix("g_optimizer.exp_avg.")
                new, found = state[f"generator.{path}"], state[f"generator_ema.{path}"]
                expected = decay * before.get(path, new) + (1 - decay) * new
                worst.compare(twin, found, expected, "optimizer, float64", path, 1.0)
                before[path] = found
    return worst.findings()


@check("schedule/own batch", "fact", ("steps.train_step",))
def _own_batch() -> list[Finding]:
    """G's update has images and latents that none of D's has had; D's are as ever."""
    own = first_steps.make_config("burn-in")
    shared = first_steps.make_config("burn-in", g_own_batch=False)
    # 15 batches are an epoch, of D in 7.5 steps, of G in 15.
    drawn, before = (draw(x, 1, 60, 100, range(15)) for x in (own, shared))
    worst = Worst()
    for name in ("indices", "z", "mirrored"):
        of_d = getattr(drawn, name)[:, : own.n_critic]
        worst.compare(f"D's {name}", of_d, getattr(before, name), "exact", name)
    images = np.sort(drawn.indices[:, -1].ravel())
    worst.compare("an epoch of G", images, np.arange(60), "exact", "all images, once")
    repeated = {
        "batches that are D's": (np.sort(drawn.indices, axis=-1), (-1, own.batch_size)),
        "latents that are D's": (drawn.z, (-1, own.z_dim)),
    }
    for aspect, (values, shape) in repeated.items():
        rows = values.reshape(shape)
        number = len(rows) - len(np.unique(rows, axis=0))
        worst.compare(aspect, np.array(number), np.array(0), "exact", "of 15 steps")
    return worst.findings()
