"""Adversarial losses: pure functions of the discriminator's outputs.

``logits`` are D's outputs before any sigmoid, shape [batch]; for critics they are read
as scores. Every loss is a batch mean, to be minimised.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from gans_torch import distribution
from shared.config import traits
from shared.config.arguments import from_python
from shared.config.tables import Members, register
from shared.errors import UsageError


def softplus(x: Float[Tensor, " *shape"]) -> Float[Tensor, " *shape"]:
    """log(1 + exp(x)), exact over the whole range of x, -log sigmoid(-x).

    Args:
        x: any shape, any size: neither overflows nor loses its tail.
    """
    # Not F.softplus: it turns into the identity above 20, 1.9e-9 off.
    return -F.logsigmoid(-x)


def batch_mean(x: Float[Tensor, " batch *rest"]) -> Float[Tensor, " *rest"]:
    """Mean over the batch: losses, penalties and metrics take theirs here.

    Args:
        x: a value for each sample.
    """
    return distribution.average(x.mean(dim=0))


def non_saturating_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
    real_target: Float[Tensor, " #batch"] | float = 1.0,
    fake_target: Float[Tensor, " #batch"] | float = 0.0,
) -> Float[Tensor, ""]:
    """Binary cross-entropy: real images against 1, generated ones against 0.

    L_D = E[softplus(-D(x))] + E[softplus(D(G(z)))]

    Other targets t replace a term by t softplus(-l) + (1 - t) softplus(l): a real
    target of 1 - s is one-sided label smoothing, swapped targets are label flipping.

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].
        real_target: in [0, 1]; one for all or one for each real image.
        fake_target: in [0, 1]; one for all or one for each generated image.

    Returns:
        Sum of the two batch means, in nats; 2 log 2 when every logit is zero.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1 (negated: we minimise).
        Salimans et al. 2016, arXiv:1606.03498, section 3.4 (label smoothing).
    """
    real = _cross_entropy(real_logits, real_target)
    return real + _cross_entropy(fake_logits, fake_target)


def non_saturating_generator_loss(
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The generator maximises log D(G(z)): a strong gradient where D wins.

    L_G = E[softplus(-D(G(z)))]

    Args:
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Batch mean in nats; log 2 when every logit is zero.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    return batch_mean(softplus(-fake_logits))


def minimax_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
    real_target: Float[Tensor, " #batch"] | float = 1.0,
    fake_target: Float[Tensor, " #batch"] | float = 0.0,
) -> Float[Tensor, ""]:
    """The discriminator's side of the minimax game: that of the non-saturating one.

    L_D = E[softplus(-D(x))] + E[softplus(D(G(z)))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].
        real_target: in [0, 1]; one for all or one for each real image.
        fake_target: in [0, 1]; one for all or one for each generated image.

    Returns:
        Sum of the two batch means, in nats; 2 log 2 when every logit is zero.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1 (negated: we minimise).
    """
    return non_saturating_discriminator_loss(
        real_logits, fake_logits, real_target, fake_target
    )


def minimax_generator_loss(
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The saturating loss: the generator minimises log(1 - D(G(z))).

    L_G = -E[softplus(D(G(z)))]

    Args:
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Batch mean in nats; -log 2 when every logit is zero.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1.
    """
    return -batch_mean(softplus(fake_logits))


def wasserstein_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The critic widens the gap between its mean scores.

    L_D = E[D(G(z))] - E[D(x)]

    Args:
        real_logits: critic's scores of real images; shape [batch].
        fake_logits: critic's scores of generated images; shape [batch].

    Returns:
        Minus the Wasserstein estimate, in units of the score.

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2 and Algorithm 1.
    """
    return batch_mean(fake_logits) - batch_mean(real_logits)


def wasserstein_generator_loss(
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The generator raises the critic's mean score of its images.

    L_G = -E[D(G(z))]

    Args:
        fake_logits: critic's scores of generated images; shape [batch].

    Returns:
        Batch mean, in units of the score.

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, Algorithm 1.
    """
    return -batch_mean(fake_logits)


def least_squares_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
    real_target: Float[Tensor, " #batch"] | float = 1.0,
    fake_target: Float[Tensor, " #batch"] | float = 0.0,
) -> Float[Tensor, ""]:
    """Squared distance of the outputs from their targets, which may be smoothed.

    L_D = 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].
        real_target: b; a number, or one per image.
        fake_target: a; likewise.

    Returns:
        Sum of the two halved batch means.

    References:
        Mao et al. 2017, arXiv:1611.04076, Eqs. 2 and 9.
    """
    real = batch_mean(torch.square(real_logits - real_target))
    return 0.5 * real + 0.5 * batch_mean(torch.square(fake_logits - fake_target))


def least_squares_generator_loss(
    fake_logits: Float[Tensor, " batch"], target: float = 1.0
) -> Float[Tensor, ""]:
    """Squared distance of D(G(z)) from the generator's target.

    L_G = 1/2 E[(D(G(z)) - c)^2]

    Args:
        fake_logits: D(G(z)); shape [batch].
        target: c.

    Returns:
        Halved batch mean.

    References:
        Mao et al. 2017, arXiv:1611.04076, Eqs. 2 and 9.
    """
    return 0.5 * batch_mean(torch.square(fake_logits - target))


def least_squares_pearson_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Least squares in the -1, 1, 0 coding.

    L_D = 1/2 E[(D(x) - 1)^2] + 1/2 E[(D(G(z)) + 1)^2]

    Against the best D, G minimises a Pearson chi-squared divergence.

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Sum of the two halved batch means; 1 when every output is zero.

    References:
        Mao et al. 2017, arXiv:1611.04076, Eq. 8 and section 3.3.
    """
    return least_squares_discriminator_loss(real_logits, fake_logits, 1.0, -1.0)


def least_squares_pearson_generator_loss(
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Least squares in the -1, 1, 0 coding: D's output should be 0.

    L_G = 1/2 E[D(G(z))^2]

    Args:
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Halved batch mean.

    References:
        Mao et al. 2017, arXiv:1611.04076, Eq. 8.
    """
    return least_squares_generator_loss(fake_logits, 0.0)


def hinge_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Outputs beyond the margin [-1, 1], on their own side, no longer count.

    L_D = E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Sum of the two batch means; 2 when every logit is zero.

    References:
        Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, Eq. 16.
    """
    # relu, because the frameworks' clamp and maximum differ in their gradient at 0.
    real = batch_mean(torch.relu(1 - real_logits))
    return real + batch_mean(torch.relu(1 + fake_logits))


def hinge_generator_loss(
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The generator raises D's mean output on its images.

    L_G = -E[D(G(z))]

    Args:
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Batch mean, in units of the output.

    References:
        Miyato et al. 2018, arXiv:1802.05957, Eq. 17.
    """
    return -batch_mean(fake_logits)


def relativistic_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Real images should outscore the generated ones they are paired with.

    L_D = E[softplus(D(G(z)) - D(x))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)), the i-th paired with the i-th real one; shape [batch].

    Returns:
        Batch mean in nats; log 2 when every pair is equal.

    References:
        Jolicoeur-Martineau 2018, arXiv:1807.00734 (RpGAN).
        Huang et al. 2024, arXiv:2501.05441 (R3GAN).
    """
    return batch_mean(softplus(fake_logits - real_logits))


def relativistic_generator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Generated images should outscore the real ones they are paired with.

    L_G = E[softplus(D(x) - D(G(z)))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)), the i-th paired with the i-th real one; shape [batch].

    Returns:
        Batch mean in nats; log 2 when every pair is equal.

    References:
        Jolicoeur-Martineau 2018, arXiv:1807.00734 (RpGAN).
    """
    return batch_mean(softplus(real_logits - fake_logits))


def relativistic_average_discriminator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Real images should outscore the average generated one, and conversely.

    L_D = E[softplus(-(D(x) - E D(G(z))))] + E[softplus(D(G(z)) - E D(x))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Sum of the two batch means (some public code halves it), in nats.

    References:
        Jolicoeur-Martineau 2018, arXiv:1807.00734 (RaSGAN).
    """
    real = real_logits - batch_mean(fake_logits)
    fake = fake_logits - batch_mean(real_logits)
    return batch_mean(softplus(-real)) + batch_mean(softplus(fake))


def relativistic_average_generator_loss(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The discriminator's loss with the roles of real and generated exchanged.

    L_G = E[softplus(-(D(G(z)) - E D(x)))] + E[softplus(D(x) - E D(G(z)))]

    Args:
        real_logits: D(x); shape [batch].
        fake_logits: D(G(z)); shape [batch].

    Returns:
        Sum of the two batch means (some public code halves it), in nats.

    References:
        Jolicoeur-Martineau 2018, arXiv:1807.00734 (RaSGAN).
    """
    return relativistic_average_discriminator_loss(fake_logits, real_logits)


def game_value(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The value of the game, V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))].

    Args:
        real_logits: D(x) before the sigmoid; shape [batch].
        fake_logits: D(G(z)) before the sigmoid; shape [batch].

    Returns:
        In nats, at most 0; -2 log 2 at the game's optimum, where D is 1/2.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1 and Theorem 1.
    """
    return -non_saturating_discriminator_loss(real_logits, fake_logits)


def wasserstein_estimate(
    real_logits: Float[Tensor, " batch"],
    fake_logits: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The Wasserstein distance as a critic sees it, E[D(x)] - E[D(G(z))].

    Args:
        real_logits: critic's scores of real images; shape [batch].
        fake_logits: critic's scores of generated images; shape [batch].

    Returns:
        In units of the score: the distance times the slope that the critic may have.

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2.
    """
    return batch_mean(real_logits) - batch_mean(fake_logits)


def feature_matching_loss(
    real_features: Float[Tensor, " batch *feature"],
    fake_features: Float[Tensor, " batch *feature"],
) -> Float[Tensor, ""]:
    """Squared distance between the mean features of real and generated images.

    L = || E f(x) - E f(G(z)) ||^2

    Args:
        real_features: D's last features of real images.
        fake_features: D's last features of generated images.

    Returns:
        Sum over all features; batch means inside.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 3.1.
    """
    gap = batch_mean(real_features) - batch_mean(fake_features)
    return torch.square(gap).sum()


def class_cross_entropy(
    class_logits: Float[Tensor, "batch classes"],
    labels: Integer[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Cross-entropy of the auxiliary classifier: -E[log p(c | x)].

    Args:
        class_logits: before any softmax; shape [batch, classes].
        labels: class ids in [0, classes); shape [batch].

    Returns:
        Batch mean in nats; log(classes) when all logits are equal.

    References:
        Odena et al. 2017, arXiv:1610.09585, Eq. 3 (AC-GAN).
    """
    # With its own mean, from which `batch_mean` would differ in the last bit.
    return distribution.average(F.cross_entropy(class_logits, labels.long()))


class Objective(NamedTuple):
    """What the discriminator and the generator minimise.

    What else is known of an objective is in ``shared.config.traits``, for both twins.
    """

    discriminator_loss: Callable[..., Float[Tensor, ""]]
    """Of (real_logits, fake_logits); with targets, also of real_target and fake_target,
    which are 1 and 0 unless given."""
    generator_loss: Callable[..., Float[Tensor, ""]]
    """Of (fake_logits) or, where it is relativistic, (real_logits, fake_logits)."""


OBJECTIVES = Members(
    "gans_torch",
    traits.OBJECTIVES,
    {
        "minimax": Objective(minimax_discriminator_loss, minimax_generator_loss),
        "non-saturating": Objective(
            non_saturating_discriminator_loss, non_saturating_generator_loss
        ),
        "wasserstein": Objective(
            wasserstein_discriminator_loss, wasserstein_generator_loss
        ),
        "least-squares": Objective(
            least_squares_discriminator_loss, least_squares_generator_loss
        ),
        "least-squares-pearson": Objective(
            least_squares_pearson_discriminator_loss,
            least_squares_pearson_generator_loss,
        ),
        "hinge": Objective(hinge_discriminator_loss, hinge_generator_loss),
        "relativistic": Objective(
            relativistic_discriminator_loss, relativistic_generator_loss
        ),
        "relativistic-average": Objective(
            relativistic_average_discriminator_loss, relativistic_average_generator_loss
        ),
    },
)


@from_python
def register_objective(
    name: str,
    discriminator_loss: Callable[..., Float[Tensor, ""]],
    generator_loss: Callable[..., Float[Tensor, ""]],
    *,
    probabilistic: bool = False,
    wasserstein: bool = False,
    separable: bool = False,
    chance_loss: float | None = None,
) -> None:
    """Make an objective of the user's own known, as ``--objective NAME``.

    The names of the parameters say what a loss is made of. The discriminator's takes
    ``real_logits, fake_logits``, D's outputs of shape [batch]; where labels may be
    smoothed and swapped, also ``real_target=1.0, fake_target=0.0``. The generator's
    takes ``fake_logits`` or, where it looks at real images too, ``real_logits,
    fake_logits``. Each returns a batch mean, to be minimised. D's output is to be above
    0 for real images and below it for others, by which ``--augment ada`` goes, unless
    the objective is relativistic, ``wasserstein``, or has targets and is not
    ``probabilistic``: there ``--augment-p`` has to be given.

    Args:
        name: of small letters, digits and single hyphens; none of this package's.
        discriminator_loss: of D's outputs.
        generator_loss: of D's outputs.
        probabilistic: whether sigmoid(D(x)) is the probability that x is real; the
            metrics then have probabilities, and the value of the game.
        wasserstein: whether the gap between D's mean outputs estimates the Wasserstein
            distance; the metrics then have it.
        separable: whether both losses are means over the batch of what one sample, or
            one pair, says by itself, as ``--accumulate`` needs.
        chance_loss: D's loss when it says the same of every image, from which the
            diagnosis tells that D has won; None: it has no scale.

    Raises:
        UsageError: an argument is of another type, the name is ours or not well
            formed, a loss takes something else, or the other twin has registered
            another objective under this name. Later, in training, when a loss returns
            anything but one number.
    """
    row = traits.objective_traits(
        name,
        discriminator_loss,
        generator_loss,
        probabilistic=probabilistic,
        wasserstein=wasserstein,
        separable=separable,
        chance_loss=chance_loss,
    )
    objective = Objective(
        _checked(f"objective {name}: discriminator_loss", discriminator_loss),
        _checked(f"objective {name}: generator_loss", generator_loss),
    )
    register(name, traits.OBJECTIVES, row, OBJECTIVES, objective)


def _checked(
    what: str, loss: Callable[..., Float[Tensor, ""]]
) -> Callable[..., Float[Tensor, ""]]:
    """A user's loss, which is told when it is no batch mean, or has no gradient."""
    checked = traits.checked_loss(what, loss, Tensor)

    @functools.wraps(loss)
    def differentiable(*logits: object, **others: object) -> Float[Tensor, ""]:
        value = checked(*logits, **others)
        given = any(isinstance(x, Tensor) and x.requires_grad for x in logits)
        if given and torch.is_grad_enabled() and not value.requires_grad:
            raise UsageError(f"{what} has no gradient")
        return value

    return differentiable


def _cross_entropy(
    logits: Float[Tensor, " batch"], target: Float[Tensor, " #batch"] | float
) -> Float[Tensor, ""]:
    return batch_mean(target * softplus(-logits) + (1 - target) * softplus(logits))
