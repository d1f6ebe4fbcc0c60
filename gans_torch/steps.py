"""One training step: updates of D, then one of G.

Without slices, lazy phases, augmentation and a batch of G's own it is

    fake = G(z)
    D -= rate * grad [L_D(D(x), D(fake)) + weight * penalty]    `discriminator_step`
    G -= rate * grad [L_G(D(fake))]                             `generator_step`
    ema += (1 - decay) * (G - ema)                              `_update_ema`

Formulas are in `losses` and `penalties`, what is minimised in `terms`, the rule of an
update in `optim`; a backend's ``_train_step`` leads here.
"""

import dataclasses
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gans_torch import (
    _slices,
    ada,
    augmentation,
    optim,
    orthogonality,
    paths,
    penalties,
)
from gans_torch._nn import widen
from gans_torch.models import Outputs
from gans_torch.models.labels import Labels
from gans_torch.shapes import Images
from gans_torch.terms import Metrics, discriminator_terms, generator_terms
from shared.config import traits
from shared.config.schedules import Phases, Scalars
from shared.config.train_config import TrainConfig
from shared.errors import UsageError

Records = Float[Tensor, "2 batch fields"]


@dataclasses.dataclass
class TrainState:
    """Everything that training changes."""

    generator: nn.Module
    discriminator: nn.Module
    g_optimizer: torch.optim.Optimizer
    d_optimizer: torch.optim.Optimizer
    generator_ema: nn.Module | None
    memory: dict[str, Tensor]
    """Further numbers: those of `shared.config.memory`."""


class Batch(NamedTuple):
    """What an update consumes; None: the configuration has no use for it."""

    real: Images
    """Real images in [-1, 1]."""
    labels: Labels
    """Their classes, which the generated images share."""
    z: Float[Tensor, "batch z_dim"]
    """Latents of the generated images."""
    alpha: Float[Tensor, " batch"] | None = None
    """Share of the real image in the penalty's mix."""
    penalty_noise: Images | None = None
    """DRAGAN's uniform noise."""
    flips: Bool[Tensor, "2 batch"] | None = None
    """Which labels are swapped: of the real images, of the generated ones."""
    instance_noise: Float[Tensor, "2 batch channels height width"] | None = None
    """Noise on D's input: on real images, on generated ones."""
    augmentation: Records | None = None
    """Parameters of T, by which D sees T(x): of real images, of generated ones. Inside
    a step they are ADA's maps, where T is ADA's."""
    noise_maps: Float[Tensor, "batch numbers"] | None = None
    """What G's layers add to their maps."""
    other_z: Float[Tensor, "batch z_dim"] | None = None
    """Latents of the second styles, where styles are mixed."""
    mixed: Bool[Tensor, " layers"] | None = None
    """Layers that take the second style."""
    directions: Images | None = None
    """y of the path lengths: N(0, 1) / sqrt(height * width)."""

    @property
    def generator_inputs(self) -> tuple[Any, ...]:
        """The generator's arguments: latents, labels, and what its styles take."""
        taken = (self.z, self.labels)
        if self.noise_maps is None:
            return taken
        return (*taken, self.noise_maps, self.other_z, self.mixed)


def train_step(
    config: TrainConfig,
    state: TrainState,
    batches: list[Batch],
    generator_noise: Float[Tensor, "2 batch channels height width"] | None,
    generator_augmentation: Records | None,
    *,
    phases: Phases,
    scalars: Scalars,
) -> Metrics:
    """Update D on each batch, then G once, on the last batch's latents.

    G's update reuses the images that D has just seen, as DCGAN's authors do: one
    forward pass of G serves both networks. With ``config.g_own_batch`` the last batch
    is G's alone.

    With ``config.accumulate`` above 1, each update takes its batch in so many slices.
    For its own update G then makes the images again, slice by slice, as their graphs
    would fill the memory that slices are to save.

    Args:
        config: the run's configuration.
        state: changed in place.
        batches: one for each update of D and, where it has its own, one for G's.
        generator_noise: noise on D's input in G's update.
        generator_augmentation: parameters of T in G's update.
        phases: which updates are made beside G's.
        scalars: learning rates and whatever else may have a schedule.

    Returns:
        Metrics of the step; those of D are means over its updates.
    """
    if config.pipe:
        p = scalars.augment_p
        if config.adapts:
            p = ada.probability(config, state.memory, batches[0].z.dtype)
        batches = [
            batch._replace(augmentation=_maps(batch.augmentation, p))
            for batch in batches
        ]
        generator_augmentation = _maps(generator_augmentation, p)
    *earlier, last = batches
    history = []
    for batch in earlier:
        fake = _generate(config, state.generator, batch)
        history.append(discriminator_step(config, state, batch, fake, phases, scalars))
    fake = None
    if config.accumulate == 1:
        fake = state.generator(*last.generator_inputs)
    if not config.g_own_batch:
        seen = _preview(config, state, last) if fake is None else fake.detach()
        history.append(discriminator_step(config, state, last, seen, phases, scalars))
    batch = last._replace(
        instance_noise=generator_noise, augmentation=generator_augmentation
    )
    g_metrics = generator_step(config, state, batch, fake, phases, scalars)
    metrics = _slices.mean(history) | g_metrics
    if config.adapts:
        metrics["augment_p"] = _adapt(config, state, metrics["real_sign"])
    return metrics


def discriminator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images,
    phases: Phases,
    scalars: Scalars,
) -> Metrics:
    """Update D once, on ``batch.real`` against ``fake``; then by a lazy penalty.

    Args:
        config: the run's configuration.
        state: changed in place.
        batch: the real images and this update's random numbers.
        fake: generated images, taken as constants.
        phases: whether to update, or only to look (running statistics are kept up
            either way), and whether by the penalty too.
        scalars: of this step.
    """
    discriminator, count = state.discriminator, config.accumulate

    def total_loss(part: Batch, part_fake: Images) -> tuple[Float[Tensor, ""], Metrics]:
        real, part_fake = _add_noise(part.real, part_fake, part.instance_noise)
        if config.looks_once:
            real_outputs, fake_outputs, penalty = _look_once(
                config, discriminator, part.labels, real, part_fake
            )
        else:
            seen_real = _augment(config, real, part.augmentation, 0)
            seen_fake = _augment(config, part_fake, part.augmentation, 1)
            real_outputs = discriminate(discriminator, seen_real, part.labels)
            fake_outputs = discriminate(discriminator, seen_fake, part.labels)
            penalty = None
            if config.penalty_every == 1:
                penalty = _penalty(config, discriminator, part, real, part_fake)
        return discriminator_terms(
            config,
            real_outputs,
            fake_outputs,
            penalty,
            scalars.penalty_weight,
            part.labels,
            part.flips,
        )

    parts = zip(_slices.split(batch, count), fake.chunk(count), strict=True)
    losses = (total_loss(*part) for part in _slices.in_turn(parts, discriminator))
    metrics = _slices.set_gradients(discriminator, losses, count, phases.update_d)
    if phases.update_d:
        norm = _update_d(config, state, scalars)
        # At steps at which D only looks there is no gradient to measure.
        if config.d_every == 1:
            metrics["d_grad_norm"] = norm
    if phases.update_d_by_penalty:
        penalty_step(config, state, batch, fake, scalars)
    return metrics


def penalty_step(
    config: TrainConfig, state: TrainState, batch: Batch, fake: Images, scalars: Scalars
) -> None:
    """Update D once by its penalty alone, for all steps of the penalty's interval.

    Args:
        config: the run's configuration.
        state: changed in place.
        batch: as for `discriminator_step`.
        fake: generated images, taken as constants.
        scalars: of this step.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.1 ("lazy regularization").
    """
    discriminator, count = state.discriminator, config.accumulate

    def loss(part: Batch, part_fake: Images) -> tuple[Float[Tensor, ""], Metrics]:
        real, part_fake = _add_noise(part.real, part_fake, part.instance_noise)
        found = _penalty(config, discriminator, part, real, part_fake)
        assert found is not None, "configurations without a penalty have no interval"
        return config.penalty_every * scalars.penalty_weight * found.penalty, {}

    parts = zip(_slices.split(batch, count), fake.chunk(count), strict=True)
    losses = (loss(*part) for part in _slices.in_turn(parts, discriminator))
    _slices.set_gradients(discriminator, losses, count)
    _update_d(config, state, scalars)


def generator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images | None,
    phases: Phases,
    scalars: Scalars,
) -> Metrics:
    """Update G once, through what D says of ``fake``; then by its path lengths.

    Args:
        config: the run's configuration.
        state: changed in place.
        batch: the real images that G's images are compared with, the labels, and
            this update's random numbers.
        fake: images generated in training mode, with their graph; None: each slice
            makes its own.
        phases: whether it is updated by its path lengths.
        scalars: of this step.
    """
    generator, discriminator = state.generator, state.discriminator
    count = config.accumulate

    def total_loss(part: Batch) -> tuple[Float[Tensor, ""], Metrics]:
        images = generator(*part.generator_inputs) if fake is None else fake
        real, images = _add_noise(part.real, images, part.instance_noise)
        seen_fake = _augment(config, images, part.augmentation, 1)
        fake_outputs = discriminate(discriminator, seen_fake, part.labels)
        real_outputs = fake_outputs  # where the loss looks at generated images alone
        if config.g_sees_real:
            with torch.no_grad():
                seen_real = _augment(config, real, part.augmentation, 0)
                real_outputs = discriminate(discriminator, seen_real, part.labels)
        return generator_terms(config, real_outputs, fake_outputs, part.labels)

    parts = _slices.in_turn(_slices.split(batch, count), generator, discriminator)
    # Only G's gradients are asked for: D's weight gradients are never computed.
    metrics = _slices.set_gradients(generator, map(total_loss, parts), count)
    if config.g_orthogonal:
        # Of weights alone: once, however many slices and devices there are.
        overlap = orthogonality.overlap(generator)
        (config.g_orthogonal * overlap).backward()
        metrics["g_overlap"] = overlap.detach()
    metrics["g_grad_norm"] = _update_g(config, state, scalars)
    if phases.update_g_by_paths:
        path_step(config, state, batch, scalars)
    if config.path_length:
        metrics["path_length"] = state.generator.get_buffer("path_length").clone()
    if state.generator_ema is not None:
        _update_ema(state.generator_ema, generator, scalars.ema_share)
    return metrics


def path_step(
    config: TrainConfig, state: TrainState, batch: Batch, scalars: Scalars
) -> None:
    """Update G once by its path lengths alone, for all steps of their interval.

    Args:
        config: the run's configuration.
        state: changed in place; the running mean is a buffer of G.
        batch: has G's latents and the directions.
        scalars: of this step.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.2.
    """
    generator, directions = state.generator, batch.directions
    assert directions is not None, "they are drawn where they are needed"

    def images(offsets: Tensor) -> Images:
        return generator(*batch.generator_inputs, offsets)

    running = generator.get_buffer("path_length")
    styles = batch.z.new_zeros(config.style_layers, *batch.z.shape)
    # Evaluation mode: this pass must not advance the average of styles.
    generator.eval()
    try:
        penalty, mean = paths.path_penalty(images, styles, directions, running)
        loss = config.path_length_every * config.path_length * penalty
        _slices.set_gradients(generator, [(loss, {})], 1)
    finally:
        generator.train()
    _update_g(config, state, scalars)
    running.copy_(mean.detach())


def discriminate(discriminator: nn.Module, images: Images, labels: Labels) -> Outputs:
    """D's outputs, in float32 where the networks compute in bfloat16."""
    outputs = discriminator(images, labels)
    if outputs.logits.shape != images.shape[:1]:
        found, needed = list(outputs.logits.shape), list(images.shape[:1])
        raise UsageError(f"D's logits are of shape {found}, must be {needed}")
    if outputs.features is None:  # by whoever writes a D of their own
        raise UsageError("D's features are None, must be its last feature map")
    classes = outputs.class_logits
    return Outputs(
        widen(outputs.logits),
        widen(outputs.features),
        None if classes is None else widen(classes),
    )


@torch.no_grad()
def _generate(config: TrainConfig, generator: nn.Module, batch: Batch) -> Images:
    """G(z) for D's update, in training mode, without its graph."""
    parts = _slices.in_turn(_slices.split(batch, config.accumulate), generator)
    images = [generator(*part.generator_inputs) for part in parts]
    return images[0] if config.accumulate == 1 else torch.cat(images)


def _preview(config: TrainConfig, state: TrainState, batch: Batch) -> Images:
    """The same for D's update, before G's makes these images for itself."""
    with _slices.unchanged(state.generator):
        return _generate(config, state.generator, batch)


def _add_noise(
    real: Images,
    fake: Images,
    noise: Float[Tensor, "2 batch channels height width"] | None,
) -> tuple[Images, Images]:
    return (real, fake) if noise is None else (real + noise[0], fake + noise[1])


def _adapt(
    config: TrainConfig, state: TrainState, real_sign: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Have ADA's controller look at a step; returns the probability during it."""
    p = ada.probability(config, state.memory, real_sign.dtype)
    for name, value in ada.adapted(config, state.memory, real_sign).items():
        state.memory[name].copy_(value)
    return p


def _maps(
    records: Records | None, p: float | Float[Tensor, ""]
) -> Float[Tensor, "2 batch maps"] | None:
    """What ADA's records amount to at this step."""
    return None if records is None else ada.maps_of(records, p)


def _augment(
    config: TrainConfig, images: Images, records: Records | None, which: int
) -> Images:
    """T(x), in float32 where the networks compute in bfloat16."""
    if records is None:
        return images
    if config.pipe:
        return ada.augment(widen(images), records[which])
    return augmentation.augment(config.policies, widen(images), records[which])


def _penalty(
    config: TrainConfig,
    discriminator: nn.Module,
    batch: Batch,
    real: Images,
    fake: Images,
) -> penalties.PenaltyTerms | None:
    if not traits.PENALTIES[config.penalty].points:
        return None

    def logits(images: Images) -> Float[Tensor, " batch"]:
        if config.conditional or batch.augmentation is not None:
            traits.check_looks(config.penalty, len(images), len(real))
        # As D sees the real images: the slope is that of D(T(x)), at x.
        seen = _augment(config, images, batch.augmentation, 0)
        return discriminate(discriminator, seen, batch.labels).logits

    # In float32, as the real images are: the gradient has the images' own precision.
    # Evaluation mode: this pass must not advance spectral norm's power iteration.
    discriminator.eval()
    try:
        return penalties.apply_penalty(
            config.penalty,
            logits,
            real,
            widen(fake),
            batch.alpha,
            batch.penalty_noise,
        )
    finally:
        discriminator.train()


def _look_once(
    config: TrainConfig,
    discriminator: nn.Module,
    labels: Labels,
    real: Images,
    fake: Images,
) -> tuple[Outputs, Outputs, penalties.PenaltyTerms]:
    """What D says of both, and a penalty of its slopes at these very images."""

    def look(images: Images) -> tuple[Float[Tensor, " batch"], Outputs]:
        outputs = discriminate(discriminator, images, labels)
        return outputs.logits, outputs

    both, gradients = [], []
    # In float32, as in `_penalty`.
    for kind, images in {"real": real, "fake": widen(fake)}.items():
        if kind in traits.PENALTIES[config.penalty].inputs:
            gradient, outputs = penalties.gradient_and_outputs(look, images)
            gradients.append(gradient)
        else:
            _, outputs = look(images)
        both.append(outputs)
    return both[0], both[1], penalties.squared_slopes(*gradients)


def _update_d(
    config: TrainConfig, state: TrainState, scalars: Scalars
) -> Float[Tensor, ""]:
    """Update D; returns as `optim.update`."""
    norm = optim.update(
        config,
        state.discriminator,
        state.d_optimizer,
        scalars.d_lr,
        scalars.beta2,
        config.d_lazy_factor,
    )
    if config.weight_clip:
        with torch.no_grad():
            for parameter in state.discriminator.parameters():
                parameter.clamp_(-config.weight_clip, config.weight_clip)
    return norm


def _update_g(
    config: TrainConfig, state: TrainState, scalars: Scalars
) -> Float[Tensor, ""]:
    """Update G; returns as `optim.update`."""
    return optim.update(
        config,
        state.generator,
        state.g_optimizer,
        scalars.g_lr,
        scalars.beta2,
        config.g_lazy_factor,
    )


@torch.no_grad()
def _update_ema(average: nn.Module, generator: nn.Module, share: Any) -> None:
    for mean, parameter in zip(
        average.parameters(), generator.parameters(), strict=True
    ):
        mean.lerp_(parameter, share)
    for copy, buffer in zip(average.buffers(), generator.buffers(), strict=True):
        copy.copy_(buffer)
