"""Everything random that a step consumes, drawn for the global batch."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared import sizes
from shared.config import schedules
from shared.config.augmentation import ADA
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, PENALTIES
from shared.randomness import ada, augmentation, noise
from shared.randomness.noise import Purpose


class Draws(NamedTuple):
    """The inputs of several steps; every array starts with the axis ``steps``.

    Updates of D within a step have an axis of their own, ``n_critic``. Where G's update
    has a batch of its own, it is one more, the last: ``batches`` counts all of them.
    What a configuration does not use is None.
    """

    indices: NDArray[np.int32]
    """Images of each real batch: [steps, batches, batch]."""
    z: NDArray[np.float32]
    """Latents: [steps, batches, batch, z_dim]."""
    alpha: NDArray[np.float32] | None
    """Share of the real image in the penalty's mix: [steps, n_critic, batch]."""
    penalty_noise: NDArray[np.float32] | None
    """DRAGAN's uniform noise: [steps, n_critic, batch, height, width, channels]."""
    flips: NDArray[np.bool_] | None
    """Which labels of D are swapped, real then fake: [steps, n_critic, 2, batch]."""
    instance_noise: NDArray[np.float32] | None
    """Scaled noise on D's input, for D's real and fake images and, in the last entry,
    for G's: [steps, n_critic + 1, 2, batch, height, width, channels]."""
    augmentation: NDArray[np.float32] | None
    """Rows of `augmentation.Record`, or of `ada.records`, for D's real and fake images
    and, in the last entry, for G's: [steps, n_critic + 1, 2, batch, fields]."""
    mirrored: NDArray[np.bool_] | None
    """Which real images are mirrored: [steps, batches, batch]."""
    noise_maps: NDArray[np.float32] | None
    """What G's layers add to their maps: [steps, batches, batch, numbers]."""
    other_z: NDArray[np.float32] | None
    """Latents of the styles that are mixed in: [steps, batches, batch, z_dim]."""
    mixed: NDArray[np.bool_] | None
    """Which layers have these styles: [steps, batches, layers]."""
    directions: NDArray[np.float32] | None
    """In which images are moved for path lengths, for G's update alone; where there is
    none, zeros: [steps, 1, batch, height, width, channels]."""
    update_d: NDArray[np.bool_]
    """Whether D is updated at this step: [steps]."""
    penalise: NDArray[np.bool_] | None
    """Whether it is updated by the penalty alone after that: [steps]."""
    hold_paths: NDArray[np.bool_] | None
    """Whether G is updated by its path lengths after its update: [steps]."""
    g_lr: NDArray[np.float64]
    """Learning rate of the generator: [steps]."""
    d_lr: NDArray[np.float64]
    """Learning rate of the discriminator: [steps]."""
    penalty_weight: NDArray[np.float64] | None
    """Multiplier of the penalty, where it changes: [steps]."""
    beta2: NDArray[np.float64] | None
    """Decay rate of Adam's average of squares, where it changes: [steps]."""
    ema_share: NDArray[np.float64] | None
    """Share of G's new weights in an average that has a half-life: [steps]."""


BATCH_AXES = {
    "indices": 2,
    "z": 2,
    "alpha": 2,
    "penalty_noise": 2,
    "flips": 3,
    "instance_noise": 3,
    "augmentation": 3,
    "mirrored": 2,
    "noise_maps": 2,
    "other_z": 2,
    "directions": 2,
}
"""Which axis counts the samples of a batch, in the arrays that have one."""


def draw(
    config: TrainConfig,
    channels: int,
    count: int,
    total_steps: int,
    steps: range,
    rollbacks: int = 0,
    samples: slice | None = None,
) -> Draws:
    """What the given steps consume.

    After a rollback these are other latents and other noise, and both learning rates
    are halved; the order of the images stays, so that each epoch still has them all.

    Args:
        config: the run's configuration.
        channels: channels of the images.
        count: images in the data set.
        total_steps: length of the whole run, for the learning-rate schedule.
        steps: which steps.
        rollbacks: how often the run has diverged and gone back.
        samples: which of each batch, ``slice(first, stop)``; None: all.
    """
    samples = samples or slice(0, config.batch_size)
    per_step = [
        _draw_step(config, channels, count, total_steps, step, rollbacks, samples)
        for step in steps
    ]
    stacked: dict[str, Any] = {
        name: None if first is None else np.stack([getattr(x, name) for x in per_step])
        for name, first in per_step[0]._asdict().items()
    }
    return Draws(**stacked)


def _draw_step(
    config: TrainConfig,
    channels: int,
    count: int,
    total_steps: int,
    step: int,
    rollbacks: int,
    samples: slice,
) -> Draws:
    """The same of one step, without the axis ``steps``."""
    seed, size = config.seed, config.image_size
    batch = samples.stop - samples.start
    image = (*sizes.height_and_width(size), channels)
    pixels = math.prod(image)
    # D's updates are counted over the whole run; each has its own draws.
    updates = range(step * config.n_critic, (step + 1) * config.n_critic)
    # With --d-every, only the steps that update D use up a real batch.
    first_batch = step // config.d_every * config.n_critic

    def each(draw_one: Any) -> NDArray[Any]:
        return np.stack([draw_one(update) for update in updates])

    def streams(
        for_d: Purpose, for_g: Purpose, first: int = updates.start
    ) -> list[tuple[Purpose, int]]:
        """Where D's updates draw and, with a batch of its own, G's: the last."""
        of_d = [(for_d, first + k) for k in range(config.n_critic)]
        return of_d + [(for_g, step)] * config.g_own_batch

    indices = np.stack(
        [
            noise.batch_indices(seed, batch, config.batch_size, count, purpose)
            for purpose, batch in streams(
                "epoch order", "epoch order for G", first_batch
            )
        ]
    ).astype(np.int32)[:, samples]
    normal = functools.partial(noise.normal, rollbacks=rollbacks)
    uniform = functools.partial(noise.uniform, rollbacks=rollbacks)
    z = np.stack(
        [
            normal(seed, purpose, u, samples, config.z_dim)
            for purpose, u in streams("latents", "latents for G")
        ]
    )
    alpha = penalty_noise = flips = instance_noise = records = mirrored = None
    noise_maps = other_z = mixed = directions = None
    if numbers := ARCHITECTURES[config.architecture].noise_numbers(size):
        noise_maps = np.stack(
            [
                normal(seed, purpose, u, samples, numbers)
                for purpose, u in streams("noise maps", "noise maps for G")
            ]
        )
    penalty_inputs = PENALTIES[config.penalty].inputs
    if "alpha" in penalty_inputs:
        alpha = each(lambda u: uniform(seed, "penalty mix", u, samples)[:, 0])
    if "penalty_noise" in penalty_inputs:
        penalty_noise = each(
            lambda u: uniform(seed, "penalty noise", u, samples, pixels)
        ).reshape(-1, batch, *image)
    if config.label_flip:
        flips = each(
            lambda u: uniform(seed, "label flips", u, samples, 2).T
        ) < np.float32(config.label_flip)
    if config.instance_noise:
        instance_noise = _instance_noise(config, step, image, normal, samples)
    if config.augment == ADA:
        records = ada.draw_records(config, step, image, uniform, normal, samples)
    elif config.policies:
        records = augmentation.draw_records(config, step, image, uniform, samples)
    if config.flip:
        mirrored = np.stack(
            [
                uniform(seed, purpose, u, samples)[:, 0] < 0.5
                for purpose, u in streams("mirrored images", "mirrored images for G")
            ]
        )
    if config.style_mixing:
        other_z = np.stack(
            [
                normal(seed, purpose, u, samples, config.z_dim)
                for purpose, u in streams("other latents", "other latents for G")
            ]
        )
        mixed = np.stack(
            [
                _mixed(config, uniform(seed, purpose, u, 1, 2)[0])
                for purpose, u in streams("style mixing", "style mixing for G")
            ]
        )
    holds_paths = config.path_length > 0 and step % config.path_length_every == 0
    if config.path_length:
        directions = np.zeros((1, batch, *image), np.float32)
    if holds_paths:
        drawn = normal(seed, "path directions", step, samples, pixels)
        directions = drawn.reshape(1, batch, *image)
        directions /= np.float32(math.sqrt(sizes.pixels(size)))
    scheduled = schedules.scheduled(config, total_steps, step, rollbacks)
    scalars: dict[str, Any] = {
        name: None if value is None else np.asarray(value, np.float64)
        for name, value in scheduled._asdict().items()
    }
    return Draws(
        indices=indices,
        z=z,
        alpha=alpha,
        penalty_noise=penalty_noise,
        flips=flips,
        instance_noise=instance_noise,
        augmentation=records,
        mirrored=mirrored,
        noise_maps=noise_maps,
        other_z=other_z,
        mixed=mixed,
        directions=directions,
        update_d=np.asarray(step % config.d_every == 0),
        penalise=(
            np.asarray(step % config.penalty_every == 0)
            if config.penalty_every > 1
            else None
        ),
        hold_paths=np.asarray(holds_paths) if config.path_length else None,
        **scalars,
    )


def _mixed(config: TrainConfig, unit: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Layers from one on, any but the first; or none.

    Args:
        config: the run's configuration.
        unit: two numbers from U[0, 1).

    References:
        Karras et al. 2019, arXiv:1812.04948, section 3.1 (mixing regularization).
    """
    count = config.style_layers
    first = 1 + int(float(unit[1]) * (count - 1))
    return (np.arange(count) >= first) & (unit[0] < config.style_mixing)


def _instance_noise(
    config: TrainConfig,
    step: int,
    image: tuple[int, int, int],
    normal: Callable[..., NDArray[np.float32]],
    samples: slice,
) -> NDArray[np.float32]:
    batch = samples.stop - samples.start
    scale = schedules.instance_noise_scale(config, step)
    # One more than D's updates: the last is for G's step.
    number = config.n_critic + 1
    if not scale:  # By far the longest draws of all; not made to be multiplied by zero.
        return np.zeros((number, 2, batch, *image), np.float32)
    length = 2 * math.prod(image)
    return scale * np.stack(
        [
            normal(config.seed, "instance noise", u, samples, length)
            .reshape(batch, 2, *image)
            .swapaxes(0, 1)
            for u in range(step * number, (step + 1) * number)
        ]
    )
