"""One training step: updates of D, then one of G."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jaxtyping import Bool, Float

from gans_jax import _slices, augmentation, distribution, optim, penalties
from gans_jax._network import Network
from gans_jax.models import Outputs
from gans_jax.terms import Labels, Metrics, discriminator_terms, generator_terms
from shared.config.schedules import Scalars
from shared.config.train_config import TrainConfig
from shared.config.traits import PENALTIES

Images = Float[Array, "batch height width channels"]
Records = Float[Array, "2 batch fields"]


@struct.dataclass
class TrainState:
    """Everything that training changes."""

    generator: Network
    discriminator: Network
    g_optimizer: optax.OptState
    d_optimizer: optax.OptState
    generator_ema: Network | None


class Batch(NamedTuple):
    """What one update of D consumes; None where the configuration has no use for it."""

    real: Images
    """Real images in [-1, 1]."""
    labels: Labels
    """Their classes, which the generated images share."""
    z: Float[Array, "batch z_dim"]
    """Latents of the generated images."""
    alpha: Float[Array, " batch"] | None = None
    """Share of the real image in the penalty's mix."""
    penalty_noise: Images | None = None
    """DRAGAN's uniform noise."""
    flips: Bool[Array, "2 batch"] | None = None
    """Which labels are swapped: of the real images, of the generated ones."""
    instance_noise: Float[Array, "2 batch height width channels"] | None = None
    """Noise on D's input: on real images, on generated ones."""
    augmentation: Records | None = None
    """What D sees instead: of real images, of generated ones."""


def train_step(
    config: TrainConfig,
    state: TrainState,
    batches: list[Batch],
    generator_noise: Float[Array, "2 batch height width channels"] | None,
    generator_augmentation: Records | None,
    *,
    update_d: Bool[Array, ""],
    scalars: Scalars,
) -> tuple[TrainState, Metrics]:
    """Update D on each batch, then G once, on the last batch's latents.

    G's update reuses the images that D has just seen, as DCGAN's authors do: one
    forward pass of G serves both networks. With ``config.g_own_batch`` the last batch
    is G's alone.

    With ``config.accumulate`` above 1, each update takes its batch in so many slices.
    For its own update G then makes the images again, slice by slice, as their graphs
    would fill the memory that slices are to save.

    Args:
        config: the run's configuration.
        state: not changed.
        batches: one for each update of D and, where it has its own, one for G's.
        generator_noise: noise on D's input in G's update.
        generator_augmentation: what D sees instead of images in G's update.
        update_d: whether D is updated, or only looked at.
        scalars: learning rates and whatever else may have a schedule.

    Returns:
        The new state, and metrics of the step; those of D are means over its updates.
    """
    *earlier, last = batches
    history = []
    for batch in earlier:
        fake, generator = _generate(config, state.generator, batch)
        state = replace(state, generator=generator)
        state, metrics = discriminator_step(
            config, state, batch, fake, update_d, scalars
        )
        history.append(metrics)

    def generate(params: Any) -> tuple[Images, Network]:
        return replace(state.generator, params=params)(last.z, last.labels)

    fake = pull_back = None
    if config.accumulate == 1:
        # The forward pass of G's update; its backward pass comes after D's.
        fake, pull_back, generator = jax.vjp(
            generate, state.generator.params, has_aux=True
        )
        state = replace(state, generator=generator)
    if not config.g_own_batch:
        seen = _generate(config, state.generator, last)[0] if fake is None else fake
        state, metrics = discriminator_step(
            config, state, last, seen, update_d, scalars
        )
        history.append(metrics)
    d_metrics = {
        name: jnp.stack([metrics[name] for metrics in history]).mean()
        for name in history[0]
    }
    state, g_metrics = generator_step(
        config,
        state,
        last,
        fake,
        pull_back,
        generator_noise,
        generator_augmentation,
        scalars,
    )
    return state, d_metrics | g_metrics


def discriminator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images,
    update_d: Bool[Array, ""],
    scalars: Scalars,
) -> tuple[TrainState, Metrics]:
    """Update D once, on ``batch.real`` against ``fake``.

    Args:
        config: the run's configuration.
        state: not changed.
        batch: the real images and this update's random numbers.
        fake: generated images, taken as constants.
        update_d: whether to update, or only to look (running statistics are kept up
            either way).
        scalars: of this step.
    """

    def total_loss(
        params: Any, batch: Batch, fake: Images
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        real, fake = _add_noise(batch.real, fake, batch.instance_noise)
        seen_real = _augment(config, real, batch.augmentation, 0)
        seen_fake = _augment(config, fake, batch.augmentation, 1)
        discriminator = replace(state.discriminator, params=params)
        real_scores, discriminator = judge(discriminator, seen_real, batch.labels)
        fake_scores, discriminator = judge(discriminator, seen_fake, batch.labels)
        penalty = _penalty(config, discriminator, batch, real, fake)
        total, metrics = discriminator_terms(
            config,
            real_scores,
            fake_scores,
            penalty,
            scalars.penalty_weight,
            batch.labels,
            batch.flips,
        )
        return total, (discriminator.buffers, metrics)

    def update(
        params: Any, optimizer: optax.OptState
    ) -> tuple[Any, optax.OptState, Float[Array, ""]]:
        params, optimizer, norm = _update(
            config, params, gradient(), optimizer, scalars.d_lr, scalars.beta2
        )
        if config.weight_clip:
            limit = config.weight_clip
            params = jax.tree.map(lambda p: jnp.clip(p, -limit, limit), params)
        return params, optimizer, norm

    params = state.discriminator.params
    gradient, (buffers, metrics) = _slices.gradient(
        total_loss, params, config.accumulate, batch, fake
    )
    if config.d_every == 1:
        params, optimizer, metrics["d_grad_norm"] = update(params, state.d_optimizer)
    else:
        # The steps that only look have no gradient to measure.
        params, optimizer = jax.lax.cond(
            update_d,
            lambda *old: update(*old)[:2],
            lambda *old: old,
            params,
            state.d_optimizer,
        )
    state = replace(
        state,
        discriminator=replace(state.discriminator, params=params, buffers=buffers),
        d_optimizer=optimizer,
    )
    return state, metrics


def generator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images | None,
    pull_back: Any,
    noise: Float[Array, "2 batch height width channels"] | None,
    records: Records | None,
    scalars: Scalars,
) -> tuple[TrainState, Metrics]:
    """Update G once, through what D says of ``fake``.

    Args:
        config: the run's configuration.
        state: not changed.
        batch: the real images that G's images are compared with, and the labels.
        fake: images generated in training mode; None: each slice makes its own.
        pull_back: from a gradient of ``fake`` to that of G's parameters; PyTorch's
            ``fake`` carries it as its graph.
        noise: noise on D's input.
        records: what D sees instead of images.
        scalars: of this step.
    """

    def total_loss(
        fake: Images, batch: Batch
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        real, fake = _add_noise(batch.real, fake, batch.instance_noise)
        seen_fake = _augment(config, fake, batch.augmentation, 1)
        fake_scores, discriminator = judge(state.discriminator, seen_fake, batch.labels)
        real_scores = fake_scores  # where the loss looks at generated images alone
        if config.g_sees_real:
            seen_real = _augment(config, real, batch.augmentation, 0)
            real_scores, discriminator = judge(discriminator, seen_real, batch.labels)
        total, metrics = generator_terms(config, real_scores, fake_scores, batch.labels)
        return total, (discriminator.buffers, metrics)

    def total_loss_of_slice(
        params: Any, batch: Batch
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        network = replace(state.generator, params=params)
        fake, network = network(batch.z, batch.labels)
        total, (buffers, metrics) = total_loss(fake, batch)
        return total, ((network.buffers, buffers), metrics)

    batch = batch._replace(instance_noise=noise, augmentation=records)
    generator = state.generator
    # With respect to the images alone: D's weight gradients are never computed.
    if fake is None:
        make_gradient, ((of_g, buffers), metrics) = _slices.gradient(
            total_loss_of_slice, generator.params, config.accumulate, batch
        )
        generator, gradient = replace(generator, buffers=of_g), make_gradient()
    else:
        fake_gradient, (buffers, metrics) = jax.grad(total_loss, has_aux=True)(
            fake, batch
        )
        (gradient,) = pull_back(fake_gradient)
    params, optimizer, metrics["g_grad_norm"] = _update(
        config,
        generator.params,
        gradient,
        state.g_optimizer,
        scalars.g_lr,
        scalars.beta2,
    )
    generator = replace(generator, params=params)
    average = state.generator_ema
    if average is not None:
        average = _average(average, generator, scalars.ema_share)
    state = replace(
        state,
        generator=generator,
        discriminator=replace(state.discriminator, buffers=buffers),
        g_optimizer=optimizer,
        generator_ema=average,
    )
    return state, metrics


def judge(
    discriminator: Network, images: Images, labels: Labels
) -> tuple[Outputs, Network]:
    """D's scores, in float32 where the networks compute in bfloat16."""
    scores, discriminator = discriminator(images, labels)
    classes = scores.class_logits
    widened = Outputs(
        _widen(scores.logits),
        _widen(scores.features),
        None if classes is None else _widen(classes),
    )
    return widened, discriminator


def _generate(
    config: TrainConfig, generator: Network, batch: Batch
) -> tuple[Images, Network]:
    """G(z), as constants."""
    if config.accumulate == 1:
        return generator(batch.z, batch.labels)

    def generate(batch: Batch) -> tuple[Images, Any]:
        images, network = generator(batch.z, batch.labels)
        return images, network.buffers

    images, buffers = _slices.in_turn(generate, config.accumulate, batch)
    return images, replace(generator, buffers=buffers)


def _widen(x: Array) -> Array:
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


def _add_noise(
    real: Images,
    fake: Images,
    noise: Float[Array, "2 batch height width channels"] | None,
) -> tuple[Images, Images]:
    return (real, fake) if noise is None else (real + noise[0], fake + noise[1])


def _augment(
    config: TrainConfig, images: Images, records: Records | None, which: int
) -> Images:
    """T(x), in float32 where the networks compute in bfloat16."""
    if records is None:
        return images
    return augmentation.augment(config.policies, _widen(images), records[which])


def _penalty(
    config: TrainConfig,
    discriminator: Network,
    batch: Batch,
    real: Images,
    fake: Images,
) -> penalties.PenaltyTerms | None:
    if not PENALTIES[config.penalty].points:
        return None

    def logits(images: Images) -> Float[Array, " batch"]:
        # As D sees the real images: the slope is that of D(T(x)), at x.
        seen = _augment(config, images, batch.augmentation, 0)
        return _widen(discriminator.evaluate(seen, batch.labels).logits)

    # In float32, as the real images are: the gradient has the images' own precision.
    # Evaluation mode: this pass must not advance spectral norm's power iteration.
    return penalties.apply_penalty(
        config.penalty,
        logits,
        real,
        _widen(fake),
        batch.alpha,
        batch.penalty_noise,
    )


def _update(
    config: TrainConfig,
    params: Any,
    gradient: Any,
    optimizer: optax.OptState,
    lr: Float[Array, ""],
    beta2: float | Float[Array, ""],
) -> tuple[Any, optax.OptState, Float[Array, ""]]:
    """Update parameters; returns also the gradient's global norm, before clipping."""
    gradient = distribution.average_gradients(gradient)
    norm = _global_norm(gradient)
    if config.clip_grad_norm:
        gradient = _clip(gradient, config.clip_grad_norm, norm)
    rule = optim.build_optimizer(config, beta2)
    updates, optimizer = rule.update(gradient, optimizer)
    return jax.tree.map(lambda p, u: p - lr * u, params, updates), optimizer, norm


def _global_norm(gradient: Any) -> Float[Array, ""]:
    """The norm of all gradients as one vector, right wherever float32 can hold it.

    Where squares are too large or too small, they are taken in units in which they are
    not: powers of two, so that norms whose squares do no harm keep every bit. The units
    are fixed, as one pass over the gradient then has all sums: to find a unit first, as
    the twin does, takes two, for which XLA would make the gradient itself otherwise.
    """
    norm = optax.tree.norm(gradient)
    largest = 2.0 ** (jnp.finfo(norm.dtype).maxexp // 2 + 1)

    def in_units(unit: float) -> Float[Array, ""]:
        return optax.tree.norm(jax.tree.map(lambda g: g / unit, gradient)) * unit

    norm = jnp.where(jnp.isinf(norm), in_units(largest), norm)
    # A unit whose own square is finite, too: XLA may take it out of a square, and of a
    # gradient of zeros would make 0 times infinity.
    return jnp.where(norm < 2.0**15 / largest, in_units(4.0 / largest), norm)


def _clip(gradient: Any, limit: float, norm: Float[Array, ""]) -> Any:
    """PyTorch's clip_grad_norm_, which optax's differs from by 1e-6 in the divisor."""
    factor = jnp.minimum(limit / (norm + 1e-6), 1.0)
    return jax.tree.map(lambda g: g * factor, gradient)


def _average(average: Network, generator: Network, share: Any) -> Network:
    params = jax.tree.map(
        lambda mean, parameter: mean + share * (parameter - mean),
        average.params,
        generator.params,
    )
    return replace(average, params=params, buffers=generator.buffers)
