"""Everything random that a step consumes, drawn for the global batch."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared import sizes
from shared.config import schedules
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, PENALTIES
from shared.randomness import ada, augmentation, noise
from shared.randomness.noise import Purpose

_Streams = list[tuple[Purpose, int]]
# Where G draws, if it has a batch of its own.
_FOR_G: dict[Purpose, Purpose] = {
    "epoch order": "epoch order for G",
    "latents": "latents for G",
    "mirrored images": "mirrored images for G",
    "noise maps": "noise maps for G",
    "other latents": "other latents for G",
    "style mixing": "style mixing for G",
}


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
    update_d_by_penalty: NDArray[np.bool_] | None
    """Whether D has a second update after that, by the penalty alone: [steps]."""
    update_g_by_paths: NDArray[np.bool_] | None
    """Whether G has a second update, by its path lengths alone: [steps]."""
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
    augment_p: NDArray[np.float64] | None
    """Probability of ADA's transformations, where it has a schedule: [steps]."""


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
    image = (*sizes.height_and_width(size), channels)
    batch, pixels = samples.stop - samples.start, math.prod(image)
    normal = functools.partial(noise.normal, rollbacks=rollbacks)
    uniform = functools.partial(noise.uniform, rollbacks=rollbacks)

    # D's updates are counted over the whole run; each has its own draws.
    def of_d(purpose: Purpose, first: int = step * config.n_critic) -> _Streams:
        return [(purpose, first + k) for k in range(config.n_critic)]

    # G's, where it has a batch of its own, come last.
    def of_all(purpose: Purpose, first: int = step * config.n_critic) -> _Streams:
        return of_d(purpose, first) + [(_FOR_G[purpose], step)] * config.g_own_batch

    def each(
        draw_one: Callable[..., NDArray[np.float32]],
        streams: _Streams,
        numbers: int = 1,
        of: slice | int = samples,
    ) -> NDArray[np.float32]:
        drawn = [draw_one(seed, *stream, of, numbers) for stream in streams]
        return np.stack(drawn)

    # With --d-every, only the steps that update D use up a real batch.
    first_batch = step // config.d_every * config.n_critic
    orders = [
        noise.batch_indices(seed, number, config.batch_size, count, purpose)
        for purpose, number in of_all("epoch order", first_batch)
    ]
    # What a configuration does not use stays None.
    used: dict[str, Any] = dict.fromkeys(Draws._fields)
    used["indices"] = np.stack(orders).astype(np.int32)[:, samples]
    used["z"] = each(normal, of_all("latents"), config.z_dim)
    used["update_d"] = np.asarray(step % config.d_every == 0)
    inputs = PENALTIES[config.penalty].inputs
    if "alpha" in inputs:
        used["alpha"] = each(uniform, of_d("penalty mix"))[..., 0]
    if "penalty_noise" in inputs:
        drawn = each(uniform, of_d("penalty noise"), pixels)
        used["penalty_noise"] = drawn.reshape(-1, batch, *image)
    if config.label_flip:
        drawn = each(uniform, of_d("label flips"), 2).swapaxes(1, 2)
        used["flips"] = drawn < np.float32(config.label_flip)
    if config.instance_noise:
        used["instance_noise"] = _instance_noise(config, step, image, normal, samples)
    if config.pipe:
        used["augmentation"] = ada.draw_records(
            config, step, image, uniform, normal, samples
        )
    elif config.policies:
        used["augmentation"] = augmentation.draw_records(
            config, step, image, uniform, samples
        )
    if config.flip:
        used["mirrored"] = each(uniform, of_all("mirrored images"))[..., 0] < 0.5
    if noise_numbers := ARCHITECTURES[config.architecture].noise_numbers(size):
        used["noise_maps"] = each(normal, of_all("noise maps"), noise_numbers)
    if config.style_mixing:
        used["other_z"] = each(normal, of_all("other latents"), config.z_dim)
        unit = each(uniform, of_all("style mixing"), 2, of=1)[:, 0]
        used["mixed"] = _mixed(config, unit)
    if config.path_length:
        is_updated = step % config.path_length_every == 0
        directions = np.zeros((1, batch, *image), np.float32)
        if is_updated:
            drawn = each(normal, [("path directions", step)], pixels)
            directions = drawn.reshape(directions.shape)
            directions /= np.float32(math.sqrt(sizes.pixels(size)))
        used["directions"] = directions
        used["update_g_by_paths"] = np.asarray(is_updated)
    if config.penalty_every > 1:
        used["update_d_by_penalty"] = np.asarray(step % config.penalty_every == 0)
    scheduled = schedules.scheduled(config, total_steps, step, rollbacks)._asdict()
    for name, value in scheduled.items():
        if value is not None:
            used[name] = np.asarray(value, np.float64)
    return Draws(**used)


def _mixed(config: TrainConfig, unit: NDArray[np.float32]) -> NDArray[np.bool_]:
    """For each batch layers from one on, any but the first; or none.

    Args:
        config: the run's configuration.
        unit: two numbers from U[0, 1): [batches, 2].

    References:
        Karras et al. 2019, arXiv:1812.04948, section 3.1 (mixing regularization).
    """
    count = config.style_layers
    first = 1 + (unit[:, 1:].astype(np.float64) * (count - 1)).astype(int)
    return (np.arange(count) >= first) & (unit[:, :1] < config.style_mixing)


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
