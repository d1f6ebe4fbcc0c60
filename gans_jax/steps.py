"""One training step: updates of D, then one of G.

Without slices, lazy phases, augmentation and a batch of G's own it is

    fake = G(z)
    D -= rate * grad [L_D(D(x), D(fake)) + weight * penalty]    `discriminator_step`
    G -= rate * grad [L_G(D(fake))]                             `generator_step`
    ema += (1 - decay) * (G - ema)                              `_update_ema`

Formulas are in `losses` and `penalties`, what is minimised in `terms`, the rule of an
update in `optim`; a backend's ``_train_step`` leads here. A `Network`, when
called, returns its output and itself with new running statistics.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax import Array
from jaxtyping import Bool, Float

from gans_jax import (
    _slices,
    ada,
    augmentation,
    optim,
    orthogonality,
    paths,
    penalties,
)
from gans_jax._network import Network
from gans_jax._nn import widen
from gans_jax.models import Outputs
from gans_jax.models.labels import Labels
from gans_jax.shapes import Images
from gans_jax.terms import Metrics, discriminator_terms, generator_terms
from shared.config import traits
from shared.config.schedules import Phases, Scalars
from shared.config.train_config import TrainConfig
from shared.errors import UsageError

Records = Float[Array, "2 batch fields"]


@struct.dataclass
class TrainState:
    """Everything that training changes."""

    generator: Network
    discriminator: Network
    g_optimizer: optax.OptState
    d_optimizer: optax.OptState
    generator_ema: Network | None
    memory: dict[str, Array]
    """Further numbers: those of `shared.config.memory`."""


class Batch(NamedTuple):
    """What an update consumes; None: the configuration has no use for it."""

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
    """Parameters of T, by which D sees T(x): of real images, of generated ones. Inside
    a step they are ADA's maps, where T is ADA's."""
    noise_maps: Float[Array, "batch numbers"] | None = None
    """What G's layers add to their maps."""
    other_z: Float[Array, "batch z_dim"] | None = None
    """Latents of the second styles, where styles are mixed."""
    mixed: Bool[Array, " layers"] | None = None
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
    generator_noise: Float[Array, "2 batch height width channels"] | None,
    generator_augmentation: Records | None,
    *,
    phases: Phases,
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
        generator_augmentation: parameters of T in G's update.
        phases: which updates are made beside G's.
        scalars: learning rates and whatever else may have a schedule.

    Returns:
        The new state, and metrics of the step; those of D are means over its updates.
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
        fake, generator = _generate(config, state.generator, batch)
        state = replace(state, generator=generator)
        state, metrics = discriminator_step(config, state, batch, fake, phases, scalars)
        history.append(metrics)

    def generate(params: Any) -> tuple[Images, Network]:
        return replace(state.generator, params=params)(*last.generator_inputs)

    fake = pull_back = None
    if config.accumulate == 1:
        # The forward pass of G's update; its backward pass comes after D's.
        fake, pull_back, generator = jax.vjp(
            generate, state.generator.params, has_aux=True
        )
        state = replace(state, generator=generator)
    if not config.g_own_batch:
        seen = _preview(config, state, last) if fake is None else fake
        state, metrics = discriminator_step(config, state, last, seen, phases, scalars)
        history.append(metrics)
    batch = last._replace(
        instance_noise=generator_noise, augmentation=generator_augmentation
    )
    state, g_metrics = generator_step(
        config, state, batch, fake, pull_back, phases, scalars
    )
    metrics = _slices.mean(history) | g_metrics
    if config.adapts:
        state, metrics["augment_p"] = _adapt(config, state, metrics["real_sign"])
    return state, metrics


def discriminator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images,
    phases: Phases,
    scalars: Scalars,
) -> tuple[TrainState, Metrics]:
    """Update D once, on ``batch.real`` against ``fake``; then by a lazy penalty.

    Args:
        config: the run's configuration.
        state: not changed.
        batch: the real images and this update's random numbers.
        fake: generated images, taken as constants.
        phases: whether to update, or only to look (running statistics are kept up
            either way), and whether by the penalty too.
        scalars: of this step.
    """

    def total_loss(
        params: Any, part: Batch, part_fake: Images
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        real, part_fake = _add_noise(part.real, part_fake, part.instance_noise)
        discriminator = replace(state.discriminator, params=params)
        if config.looks_once:
            real_outputs, fake_outputs, penalty = _look_once(
                config, discriminator, part.labels, real, part_fake
            )
        else:
            seen_real = _augment(config, real, part.augmentation, 0)
            seen_fake = _augment(config, part_fake, part.augmentation, 1)
            real_outputs, discriminator = discriminate(
                discriminator, seen_real, part.labels
            )
            fake_outputs, discriminator = discriminate(
                discriminator, seen_fake, part.labels
            )
            penalty = None
            if config.penalty_every == 1:
                penalty = _penalty(config, discriminator, part, real, part_fake)
        total, metrics = discriminator_terms(
            config,
            real_outputs,
            fake_outputs,
            penalty,
            scalars.penalty_weight,
            part.labels,
            part.flips,
        )
        return total, (discriminator.buffers, metrics)

    def update(
        params: Any, optimizer: optax.OptState
    ) -> tuple[Any, optax.OptState, Float[Array, ""]]:
        return _update_d(config, params, make_gradient(), optimizer, scalars)

    params = state.discriminator.params
    make_gradient, (buffers, metrics) = _slices.gradient(
        total_loss, params, config.accumulate, batch, fake
    )
    if config.d_every == 1:
        params, optimizer, metrics["d_grad_norm"] = update(params, state.d_optimizer)
    else:
        # At steps at which D only looks there is no gradient to measure.
        params, optimizer = jax.lax.cond(
            phases.update_d,
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
    if config.penalty_every > 1:
        state = jax.lax.cond(
            phases.update_d_by_penalty,
            lambda state: penalty_step(config, state, batch, fake, scalars),
            lambda state: state,
            state,
        )
    return state, metrics


def penalty_step(
    config: TrainConfig, state: TrainState, batch: Batch, fake: Images, scalars: Scalars
) -> TrainState:
    """Update D once by its penalty alone, for all steps of the penalty's interval.

    Args:
        config: the run's configuration.
        state: not changed.
        batch: as for `discriminator_step`.
        fake: generated images, taken as constants.
        scalars: of this step.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.1 ("lazy regularization").
    """

    def loss(
        params: Any, part: Batch, part_fake: Images
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        real, part_fake = _add_noise(part.real, part_fake, part.instance_noise)
        discriminator = replace(state.discriminator, params=params)
        found = _penalty(config, discriminator, part, real, part_fake)
        assert found is not None, "configurations without a penalty have no interval"
        value = config.penalty_every * scalars.penalty_weight * found.penalty
        return value, (discriminator.buffers, {})

    params = state.discriminator.params
    make_gradient, _ = _slices.gradient(loss, params, config.accumulate, batch, fake)
    params, optimizer, _ = _update_d(
        config, params, make_gradient(), state.d_optimizer, scalars
    )
    discriminator = replace(state.discriminator, params=params)
    return replace(state, discriminator=discriminator, d_optimizer=optimizer)


def generator_step(
    config: TrainConfig,
    state: TrainState,
    batch: Batch,
    fake: Images | None,
    pull_back: Any,
    phases: Phases,
    scalars: Scalars,
) -> tuple[TrainState, Metrics]:
    """Update G once, through what D says of ``fake``; then by its path lengths.

    Args:
        config: the run's configuration.
        state: not changed.
        batch: the real images that G's images are compared with, the labels, and
            this update's random numbers.
        fake: images generated in training mode; None: each slice makes its own.
        pull_back: from a gradient of ``fake`` to that of G's parameters; PyTorch's
            ``fake`` carries it as its graph.
        phases: whether it is updated by its path lengths.
        scalars: of this step.
    """

    def total_loss(
        images: Images, part: Batch
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        real, images = _add_noise(part.real, images, part.instance_noise)
        seen_fake = _augment(config, images, part.augmentation, 1)
        fake_outputs, discriminator = discriminate(
            state.discriminator, seen_fake, part.labels
        )
        real_outputs = fake_outputs  # where the loss looks at generated images alone
        if config.g_sees_real:
            seen_real = _augment(config, real, part.augmentation, 0)
            real_outputs, discriminator = discriminate(
                discriminator, seen_real, part.labels
            )
        total, metrics = generator_terms(
            config, real_outputs, fake_outputs, part.labels
        )
        return total, (discriminator.buffers, metrics)

    def loss_of_slice(
        params: Any, part: Batch
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        network = replace(state.generator, params=params)
        images, network = network(*part.generator_inputs)
        total, (buffers, metrics) = total_loss(images, part)
        return total, ((network.buffers, buffers), metrics)

    def overlap(params: Any) -> Float[Array, ""]:
        return orthogonality.overlap(replace(state.generator, params=params))

    generator = state.generator
    # With respect to the images alone: D's weight gradients are never computed.
    if fake is None:
        make_gradient, ((of_g, buffers), metrics) = _slices.gradient(
            loss_of_slice, generator.params, config.accumulate, batch
        )
        generator, gradient = replace(generator, buffers=of_g), make_gradient()
    else:
        fake_gradient, (buffers, metrics) = jax.grad(total_loss, has_aux=True)(
            fake, batch
        )
        (gradient,) = pull_back(fake_gradient)
    if config.g_orthogonal:
        # Of weights alone: once, however many slices and devices there are.
        metrics["g_overlap"], of_overlap = jax.value_and_grad(overlap)(generator.params)
        gradient = jax.tree.map(
            lambda g, own: g + config.g_orthogonal * own, gradient, of_overlap
        )
    params, optimizer, metrics["g_grad_norm"] = _update_g(
        config, generator.params, gradient, state.g_optimizer, scalars
    )
    state = replace(
        state,
        generator=replace(generator, params=params),
        discriminator=replace(state.discriminator, buffers=buffers),
        g_optimizer=optimizer,
    )
    if config.path_length:
        state = jax.lax.cond(
            phases.update_g_by_paths,
            lambda state: path_step(config, state, batch, scalars),
            lambda state: state,
            state,
        )
        metrics["path_length"] = state.generator.buffers["path_length"][...]
    average = state.generator_ema
    if average is not None:
        average = _update_ema(average, state.generator, scalars.ema_share)
    return replace(state, generator_ema=average), metrics


def path_step(
    config: TrainConfig, state: TrainState, batch: Batch, scalars: Scalars
) -> TrainState:
    """Update G once by its path lengths alone, for all steps of their interval.

    Args:
        config: the run's configuration.
        state: not changed; the running mean is a buffer of G.
        batch: has G's latents and the directions.
        scalars: of this step.

    References:
        Karras et al. 2020, arXiv:1912.04958, section 3.2.
    """
    generator, directions = state.generator, batch.directions
    assert directions is not None, "they are drawn where they are needed"
    styles = jnp.zeros((config.style_layers, *batch.z.shape), batch.z.dtype)
    # Fresh variables, of which one is set below.
    buffers = jax.tree.map(lambda x: x, generator.buffers)

    def loss(params: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
        # Evaluation mode: this pass must not advance the average of styles.
        def images(offsets: Array) -> Images:
            network = replace(generator, params=params)
            return network.evaluate(*batch.generator_inputs, offsets)

        penalty, mean = paths.path_penalty(
            images, styles, directions, buffers["path_length"][...]
        )
        return config.path_length_every * config.path_length * penalty, mean

    gradient, mean = jax.grad(loss, has_aux=True)(generator.params)
    params, optimizer, _ = _update_g(
        config, generator.params, gradient, state.g_optimizer, scalars
    )
    buffers["path_length"][...] = mean
    generator = replace(generator, params=params, buffers=buffers)
    return replace(state, generator=generator, g_optimizer=optimizer)


def discriminate(
    discriminator: Network, images: Images, labels: Labels
) -> tuple[Outputs, Network]:
    """D's outputs, in float32 where the networks compute in bfloat16."""
    outputs, discriminator = discriminator(images, labels)
    if outputs.logits.shape != images.shape[:1]:
        found, needed = list(outputs.logits.shape), list(images.shape[:1])
        raise UsageError(f"D's logits are of shape {found}, must be {needed}")
    if outputs.features is None:  # by whoever writes a D of their own
        raise UsageError("D's features are None, must be its last feature map")
    classes = outputs.class_logits
    widened = Outputs(
        widen(outputs.logits),
        widen(outputs.features),
        None if classes is None else widen(classes),
    )
    return widened, discriminator


def _generate(
    config: TrainConfig, generator: Network, batch: Batch
) -> tuple[Images, Network]:
    """G(z) for D's update, in training mode; and G with its statistics."""
    if config.accumulate == 1:
        return generator(*batch.generator_inputs)

    def generate(part: Batch) -> tuple[Images, Any]:
        images, network = generator(*part.generator_inputs)
        return images, network.buffers

    images, buffers = _slices.in_turn(generate, config.accumulate, batch)
    return images, replace(generator, buffers=buffers)


def _preview(config: TrainConfig, state: TrainState, batch: Batch) -> Images:
    """The same for D's update, before G's makes these images for itself."""
    images, _ = _generate(config, state.generator, batch)
    return images


def _add_noise(
    real: Images,
    fake: Images,
    noise: Float[Array, "2 batch height width channels"] | None,
) -> tuple[Images, Images]:
    return (real, fake) if noise is None else (real + noise[0], fake + noise[1])


def _adapt(
    config: TrainConfig, state: TrainState, real_sign: Float[Array, ""]
) -> tuple[TrainState, Float[Array, ""]]:
    """Have ADA's controller look at a step; returns also the probability during it."""
    p = ada.probability(config, state.memory, real_sign.dtype)
    memory = state.memory | ada.adapted(config, state.memory, real_sign)
    return replace(state, memory=memory), p


def _maps(
    records: Records | None, p: float | Float[Array, ""]
) -> Float[Array, "2 batch maps"] | None:
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
    discriminator: Network,
    batch: Batch,
    real: Images,
    fake: Images,
) -> penalties.PenaltyTerms | None:
    if not traits.PENALTIES[config.penalty].points:
        return None

    def logits(images: Images) -> Float[Array, " batch"]:
        if config.conditional or batch.augmentation is not None:
            traits.check_looks(config.penalty, len(images), len(real))
        # As D sees the real images: the slope is that of D(T(x)), at x.
        seen = _augment(config, images, batch.augmentation, 0)
        return widen(discriminator.evaluate(seen, batch.labels).logits)

    # In float32, as the real images are: the gradient has the images' own precision.
    # Evaluation mode: this pass must not advance spectral norm's power iteration.
    return penalties.apply_penalty(
        config.penalty,
        logits,
        real,
        widen(fake),
        batch.alpha,
        batch.penalty_noise,
    )


def _look_once(
    config: TrainConfig,
    discriminator: Network,
    labels: Labels,
    real: Images,
    fake: Images,
) -> tuple[Outputs, Outputs, penalties.PenaltyTerms]:
    """What D says of both, and a penalty of its slopes at these very images."""

    def look(images: Images) -> tuple[Float[Array, " batch"], Outputs]:
        outputs, _ = discriminate(discriminator, images, labels)
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
    config: TrainConfig,
    params: Any,
    gradient: Any,
    optimizer: optax.OptState,
    scalars: Scalars,
) -> tuple[Any, optax.OptState, Float[Array, ""]]:
    """Update D's parameters; returns as `optim.update`."""
    params, optimizer, norm = optim.update(
        config,
        params,
        gradient,
        optimizer,
        scalars.d_lr,
        scalars.beta2,
        config.d_lazy_factor,
    )
    if config.weight_clip:
        limit = config.weight_clip
        params = jax.tree.map(lambda p: jnp.clip(p, -limit, limit), params)
    return params, optimizer, norm


def _update_g(
    config: TrainConfig,
    params: Any,
    gradient: Any,
    optimizer: optax.OptState,
    scalars: Scalars,
) -> tuple[Any, optax.OptState, Float[Array, ""]]:
    """Update G's parameters; returns as `optim.update`."""
    return optim.update(
        config,
        params,
        gradient,
        optimizer,
        scalars.g_lr,
        scalars.beta2,
        config.g_lazy_factor,
    )


def _update_ema(average: Network, generator: Network, share: Any) -> Network:
    def lerp(mean: Array, parameter: Array) -> Array:
        # As PyTorch's: of a share of 1 it is the parameter, to the last bit.
        change = parameter - mean
        near = parameter - (1 - share) * change
        return jnp.where(share < 0.5, mean + share * change, near)

    params = jax.tree.map(lerp, average.params, generator.params)
    return replace(average, params=params, buffers=generator.buffers)
