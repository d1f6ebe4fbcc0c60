"""What D and G minimise, and what a step logs: pure functions of D's outputs.

Both twins have these lines, but for the frameworks' words; `steps` has what the
frameworks do each in its way.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from gans_jax import losses
from gans_jax.models import Outputs
from gans_jax.models.labels import Labels
from gans_jax.penalties import PenaltyTerms
from shared.config import traits
from shared.config.train_config import TrainConfig

Metrics = dict[str, Float[Array, ""]]


def discriminator_terms(
    config: TrainConfig,
    real: Outputs,
    fake: Outputs,
    penalty: PenaltyTerms | None,
    penalty_weight: float | Float[Array, ""],
    labels: Labels,
    flips: Bool[Array, "2 batch"] | None,
) -> tuple[Float[Array, ""], Metrics]:
    """What D minimises.

    Args:
        config: the run's configuration.
        real: what D says of real images.
        fake: what D says of generated images.
        penalty: the configuration's gradient penalty, where it has one.
        penalty_weight: its multiplier at this step.
        labels: classes of both, for the auxiliary classifier.
        flips: which labels are swapped: of the real images, of the generated ones.

    Returns:
        The sum of the loss and the weighted terms beside it; and the metrics, by
        name.

    Raises:
        ValueError: the auxiliary classifier lacks its logits, or the labels.
    """
    facts = traits.OBJECTIVES[config.objective]
    d_loss = losses.OBJECTIVES[config.objective].discriminator_loss(
        real.logits, fake.logits, **_targets(config, flips, real.logits.dtype)
    )
    total = d_loss
    metrics = {
        "d_loss": d_loss,
        "d_real": mean_output(config, real.logits),
        "d_fake_before": mean_output(config, fake.logits),
    }
    if config.adapts:
        metrics["real_sign"] = losses.batch_mean(jnp.sign(real.logits))
    if facts.probabilistic:
        metrics["value"] = losses.game_value(real.logits, fake.logits)
    if facts.wasserstein:
        estimate = losses.wasserstein_estimate(real.logits, fake.logits)
        metrics["wasserstein_estimate"] = estimate
    if penalty is not None:
        total = total + penalty_weight * penalty.penalty
        metrics |= penalty._asdict()
    if config.aux_classifier:
        class_loss = _class_loss(real, labels) + _class_loss(fake, labels)
        total = total + config.aux_classifier * class_loss
        metrics["d_class_loss"] = class_loss
    return total, metrics


def generator_terms(
    config: TrainConfig, real: Outputs, fake: Outputs, labels: Labels
) -> tuple[Float[Array, ""], Metrics]:
    """What G minimises.

    Args:
        config: the run's configuration.
        real: what D says of real images; not looked at unless ``config.g_sees_real``.
        fake: what D says of generated images.
        labels: classes of both, for the auxiliary classifier.

    Returns:
        As `discriminator_terms`.

    Raises:
        ValueError: as `discriminator_terms`.
    """
    generator_loss = losses.OBJECTIVES[config.objective].generator_loss
    if traits.OBJECTIVES[config.objective].relativistic:
        g_loss = generator_loss(real.logits, fake.logits)
    else:
        g_loss = generator_loss(fake.logits)
    total = g_loss
    metrics = {"g_loss": g_loss, "d_fake_after": mean_output(config, fake.logits)}
    if config.feature_matching:
        gap = losses.feature_matching_loss(real.features, fake.features)
        total = total + config.feature_matching * gap
        metrics["feature_gap"] = gap
    if config.aux_classifier:
        class_loss = _class_loss(fake, labels)
        total = total + config.aux_classifier * class_loss
        metrics["g_class_loss"] = class_loss
    return total, metrics


def mean_output(
    config: TrainConfig, logits: Float[Array, " batch"]
) -> Float[Array, ""]:
    """D's mean output: a probability, or a score where the objective has none."""
    if traits.OBJECTIVES[config.objective].probabilistic:
        return losses.batch_mean(jax.nn.sigmoid(logits))
    return losses.batch_mean(logits)


def _class_loss(outputs: Outputs, labels: Labels) -> Float[Array, ""]:
    if outputs.class_logits is None or labels is None:
        raise ValueError(
            "the auxiliary classifier's loss needs a classifier and labels"
        )
    return losses.class_cross_entropy(outputs.class_logits, labels)


def _targets(
    config: TrainConfig, flips: Bool[Array, "2 batch"] | None, dtype: jnp.dtype
) -> dict[str, float | Array]:
    """Targets of the real and the generated images, after smoothing and flipping."""
    real_target = 1.0 - config.label_smoothing
    if flips is not None:
        real, fake = flips
        return {
            "real_target": real_target * (~real).astype(dtype),
            "fake_target": real_target * fake.astype(dtype),
        }
    return {"real_target": real_target} if config.label_smoothing else {}
