"""Gradient penalties on the discriminator: pure functions, unweighted.

Each takes ``discriminator`` as a function from images to logits, shape [batch], whose
samples do not depend on each other, and differentiates it twice: the penalty's own
gradient with respect to D's parameters is exact, and finite where a norm is zero.

Where a layer of D does compare samples (minibatch discrimination, minibatch standard
deviation), the slope is that of the batch's summed logits, as where Karras et al. 2018,
arXiv:1710.10196, combine them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

Images = Float[Array, "batch height width channels"]
Discriminator = Callable[[Images], Float[Array, " batch"]]


class PenaltyTerms(NamedTuple):
    """A penalty and what it looked at."""

    penalty: Float[Array, ""]
    """Batch mean, without its weight."""
    gradient_norm: Float[Array, ""]
    """Mean norm of D's gradient at the points where the penalty looks; for the log."""


def input_gradient(
    discriminator: Discriminator, images: Images
) -> Float[Array, "batch pixels"]:
    """Gradient of each logit with respect to its own image, flattened.

    Args:
        discriminator: images to logits.
        images: where; taken as constants.
    """
    images = jax.lax.stop_gradient(images)
    # Summing the logits gives per-image gradients because images do not interact.
    gradient = jax.grad(lambda x: discriminator(x).sum())(images)
    return gradient.reshape(len(gradient), -1)


def gradient_norm(gradient: Float[Array, "batch pixels"]) -> Float[Array, " batch"]:
    """Euclidean norm of each row, with subgradient 0 where it is 0."""
    # A bare root has NaN gradients where it is zero; PyTorch's norm takes 0 there.
    return optax.safe_norm(gradient, min_norm=0.0, axis=1)


def wgan_gp_penalty(
    discriminator: Discriminator,
    real: Images,
    fake: Images,
    alpha: Float[Array, " batch"],
) -> PenaltyTerms:
    """Two-sided penalty between real and generated images.

    E[(||grad D(x_hat)|| - 1)^2],  x_hat = alpha x + (1 - alpha) G(z)

    Args:
        discriminator: images to logits.
        real: real images.
        fake: generated images; both are taken as constants.
        alpha: share of the real image, one for each pair; from U[0, 1].

    References:
        Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3.
    """
    norm = gradient_norm(input_gradient(discriminator, _mix(real, fake, alpha)))
    return PenaltyTerms(jnp.square(norm - 1).mean(), jax.lax.stop_gradient(norm).mean())


def wgan_lp_penalty(
    discriminator: Discriminator,
    real: Images,
    fake: Images,
    alpha: Float[Array, " batch"],
) -> PenaltyTerms:
    """One-sided penalty between real and generated images: only slopes above 1 count.

    E[max(0, ||grad D(x_hat)|| - 1)^2],  x_hat = alpha x + (1 - alpha) G(z)

    Args:
        discriminator: images to logits.
        real: real images.
        fake: generated images; both are taken as constants.
        alpha: share of the real image, one for each pair; from U[0, 1].

    References:
        Petzka et al. 2018, arXiv:1709.08894.
    """
    norm = gradient_norm(input_gradient(discriminator, _mix(real, fake, alpha)))
    return PenaltyTerms(
        jnp.square(jax.nn.relu(norm - 1)).mean(), jax.lax.stop_gradient(norm).mean()
    )


def dragan_penalty(
    discriminator: Discriminator, real: Images, penalty_noise: Images
) -> PenaltyTerms:
    """Two-sided penalty around the real images.

    E[(||grad D(x_hat)|| - 1)^2],  x_hat = x + 0.5 std(x) u,  u ~ U[0, 1] per pixel

    The noise is that of the authors' code, with one standard deviation (biased) over
    the whole batch; the paper itself adds Gaussian noise, and the code then mixes x and
    x_hat with a share from U[0, 1], which is left out.

    Args:
        discriminator: images to logits.
        real: real images, taken as constants.
        penalty_noise: u, of the same shape.

    References:
        Kodali et al. 2017, arXiv:1705.07215.
    """
    spread = real.std()
    x_hat = real + 0.5 * spread * penalty_noise
    norm = gradient_norm(input_gradient(discriminator, x_hat))
    return PenaltyTerms(jnp.square(norm - 1).mean(), jax.lax.stop_gradient(norm).mean())


def r1_penalty(discriminator: Discriminator, real: Images) -> PenaltyTerms:
    """Squared slope of D at the real images, around zero; its weight is gamma / 2.

    E[||grad D(x)||^2]

    Args:
        discriminator: images to logits.
        real: real images, taken as constants.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Eq. 9.
    """
    return _zero_centred(discriminator, real)


def r2_penalty(discriminator: Discriminator, fake: Images) -> PenaltyTerms:
    """Squared slope of D at the generated images; its weight is gamma / 2.

    E[||grad D(G(z))||^2]

    Args:
        discriminator: images to logits.
        fake: generated images, taken as constants.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Eq. 10.
    """
    return _zero_centred(discriminator, fake)


def apply_penalty(
    name: str,
    discriminator: Discriminator,
    real: Images,
    fake: Images,
    alpha: Float[Array, " batch"] | None = None,
    penalty_noise: Images | None = None,
) -> PenaltyTerms:
    """The penalty called ``name`` in the configuration, other than ``none``.

    Args:
        name: one of ``shared.config.choices.Penalty``.
        discriminator: images to logits.
        real: real images.
        fake: generated images.
        alpha: for ``wgan-gp`` and ``wgan-lp``.
        penalty_noise: for ``dragan``.

    Raises:
        ValueError: there is no penalty of that name, or what it needs is None.
    """
    match name:
        case "wgan-gp" if alpha is not None:
            return wgan_gp_penalty(discriminator, real, fake, alpha)
        case "wgan-lp" if alpha is not None:
            return wgan_lp_penalty(discriminator, real, fake, alpha)
        case "dragan" if penalty_noise is not None:
            return dragan_penalty(discriminator, real, penalty_noise)
        case "r1":
            return r1_penalty(discriminator, real)
        case "r2":
            return r2_penalty(discriminator, fake)
        case "r1-r2":
            r1 = r1_penalty(discriminator, real)
            r2 = r2_penalty(discriminator, fake)
            return PenaltyTerms(
                r1.penalty + r2.penalty, 0.5 * (r1.gradient_norm + r2.gradient_norm)
            )
        case _:
            raise ValueError(f"name {name!r}: no such penalty, or without its noise")


def _mix(real: Images, fake: Images, alpha: Float[Array, " batch"]) -> Images:
    share = alpha[:, None, None, None]
    return share * real + (1 - share) * fake


def _zero_centred(discriminator: Discriminator, images: Images) -> PenaltyTerms:
    gradient = input_gradient(discriminator, images)
    return PenaltyTerms(
        jnp.square(gradient).sum(axis=1).mean(),
        gradient_norm(jax.lax.stop_gradient(gradient)).mean(),
    )
