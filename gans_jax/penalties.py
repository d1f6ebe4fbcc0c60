"""Gradient penalties on the discriminator: pure functions, unweighted.

Each takes ``discriminator`` as a function from images to logits, shape [batch], whose
samples do not depend on each other, and differentiates it twice: the penalty's own
gradient with respect to D's parameters is exact, and finite where a norm is zero.

Where a layer of D does compare samples (minibatch discrimination, minibatch standard
deviation), the slope is that of the batch's summed logits, as where Karras et al. 2018,
arXiv:1710.10196, combine them.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

from gans_jax import distribution
from gans_jax.losses import batch_mean
from gans_jax.shapes import Images
from shared.config import traits
from shared.config.arguments import from_python
from shared.config.tables import Members, register
from shared.errors import UsageError

Discriminator = Callable[[Images], Float[Array, " batch"]]
OutputsT = TypeVar("OutputsT")


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


def gradient_and_outputs(
    discriminator: Callable[[Images], tuple[Float[Array, " batch"], OutputsT]],
    images: Images,
) -> tuple[Float[Array, "batch pixels"], OutputsT]:
    """As `input_gradient`, and what D says: one look serves loss and penalty.

    Args:
        discriminator: images to logits, and to outputs of any kind.
        images: where; taken as constants.

    Returns:
        The gradient, and the outputs.
    """

    def total(images: Images) -> tuple[Float[Array, ""], OutputsT]:
        logits, outputs = discriminator(images)
        return logits.sum(), outputs

    images = jax.lax.stop_gradient(images)
    gradient, outputs = jax.grad(total, has_aux=True)(images)
    return gradient.reshape(len(gradient), -1), outputs


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
    x_hat = _mix(real, fake, alpha)
    norm = gradient_norm(input_gradient(discriminator, x_hat))
    return _terms(jnp.square(norm - 1), norm)


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
    x_hat = _mix(real, fake, alpha)
    norm = gradient_norm(input_gradient(discriminator, x_hat))
    return _terms(jnp.square(jax.nn.relu(norm - 1)), norm)


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
    spread = distribution.deviation(real)
    x_hat = real + 0.5 * spread * penalty_noise
    norm = gradient_norm(input_gradient(discriminator, x_hat))
    return _terms(jnp.square(norm - 1), norm)


def r1_penalty(discriminator: Discriminator, real: Images) -> PenaltyTerms:
    """Squared slope of D at the real images, around zero; its weight is gamma / 2.

    E[||grad D(x)||^2]

    Args:
        discriminator: images to logits.
        real: real images, taken as constants.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Eq. 9.
    """
    return squared_slopes(input_gradient(discriminator, real))


def r2_penalty(discriminator: Discriminator, fake: Images) -> PenaltyTerms:
    """Squared slope of D at the generated images; its weight is gamma / 2.

    E[||grad D(G(z))||^2]

    Args:
        discriminator: images to logits.
        fake: generated images, taken as constants.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Eq. 10.
    """
    return squared_slopes(input_gradient(discriminator, fake))


def r1_r2_penalty(
    discriminator: Discriminator, real: Images, fake: Images
) -> PenaltyTerms:
    """Squared slope of D at real and generated images; their sum has one weight.

    E[||grad D(x)||^2] + E[||grad D(G(z))||^2]

    Args:
        discriminator: images to logits.
        real: real images.
        fake: generated images; both are taken as constants.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Eqs. 9 and 10.
        Huang et al. 2024, arXiv:2501.05441 (R3GAN, which has both).
    """
    return squared_slopes(
        input_gradient(discriminator, real), input_gradient(discriminator, fake)
    )


def squared_slopes(*gradients: Float[Array, "batch pixels"]) -> PenaltyTerms:
    """R1, R2 or both, of gradients that are at hand: the sum of E[||grad D||^2].

    Args:
        gradients: D's, at the images of each kind.
    """
    norms = [batch_mean(gradient_norm(jax.lax.stop_gradient(g))) for g in gradients]
    squares = [batch_mean(jnp.square(g).sum(axis=1)) for g in gradients]
    return PenaltyTerms(jnp.stack(squares).sum(), jnp.stack(norms).mean())


PENALTIES: Members[Callable[..., PenaltyTerms]] = Members(
    "gans_jax",
    traits.PENALTIES,
    {
        "wgan-gp": wgan_gp_penalty,
        "wgan-lp": wgan_lp_penalty,
        "dragan": dragan_penalty,
        "r1": r1_penalty,
        "r2": r2_penalty,
        "r1-r2": r1_r2_penalty,
    },
)


@from_python
def register_penalty(
    name: str,
    penalty: Callable[..., PenaltyTerms],
    *,
    per_sample: bool = True,
    separable: bool = False,
    slope: float | None = None,
) -> None:
    """Make a penalty of the user's own known, as ``--penalty NAME``.

    Its first parameter is the discriminator, a function from images to logits. The
    names of the others say what it looks at: ``real`` and ``fake`` images, ``alpha``
    from U[0, 1] for each pair, ``penalty_noise`` from U[0, 1] for each pixel.

    Args:
        name: of small letters, digits and single hyphens; none of this package's.
        penalty: unweighted, as those of this module.
        per_sample: whether D must judge each image by itself; batch norm in D is then
            refused.
        separable: whether it is a mean over the batch of what each sample's own point
            says, as ``--accumulate`` needs.
        slope: the norm that D's gradient is held at, or below; the diagnosis then tells
            when it stays far above. None: no such norm.

    Raises:
        UsageError: an argument is of another type, the name is ours or not well
            formed, the penalty takes something else, or the other twin has registered
            another one under this name. Later, in training, when it gives anything but
            `PenaltyTerms` of two numbers, or D too few or too many images.
    """
    row = traits.penalty_traits(
        name, penalty, per_sample=per_sample, separable=separable, slope=slope
    )
    checked = traits.checked_penalty(name, penalty, PenaltyTerms, Array)
    register(name, traits.PENALTIES, row, PENALTIES, checked)


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
        name: one of `PENALTIES`.
        discriminator: images to logits.
        real: real images.
        fake: generated images.
        alpha: for penalties that mix real and generated images.
        penalty_noise: for ``dragan``.

    Raises:
        UsageError: there is no penalty of that name, or what it needs is None.
    """
    given = {"real": real, "fake": fake, "alpha": alpha, "penalty_noise": penalty_noise}
    penalty = PENALTIES[name]
    inputs = {key: given[key] for key in traits.PENALTIES[name].inputs}
    if missing := [key for key, value in inputs.items() if value is None]:
        raise UsageError(f"{missing[0]} None: {name} needs it")
    return penalty(discriminator, **inputs)


def _mix(real: Images, fake: Images, alpha: Float[Array, " batch"]) -> Images:
    share = alpha[:, None, None, None]
    return share * real + (1 - share) * fake


def _terms(
    penalty: Float[Array, " batch"], norm: Float[Array, " batch"]
) -> PenaltyTerms:
    return PenaltyTerms(batch_mean(penalty), batch_mean(jax.lax.stop_gradient(norm)))
