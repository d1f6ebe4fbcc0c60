"""Optimisers from the configuration, every constant explicit, and their update."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from gans_jax import distribution
from shared.config.train_config import TrainConfig

FIELDS = {"exp_avg": "mu", "exp_avg_sq": "nu", "square_avg": "nu"}
"""What optax calls the slots of an optimiser."""


def build_optimizer(
    config: TrainConfig,
    beta2: float | Float[Array, ""] | None = None,
    lazy_factor: float = 1.0,
) -> optax.GradientTransformation:
    """The optimiser of one network; `update` sets its rate and beta2 at each step.

    Adam: eps 1e-8, outside the root, after bias correction. Where beta2 changes, v is
    divided by 1 - beta2 ** t with the beta2 of now, as in PyTorch and so in R3GAN's
    code. RMSprop: alpha 0.99, eps 1e-8 outside the root, no momentum, not centred.

    Args:
        config: says which, and Adam's beta1 and beta2.
        beta2: Adam's at this step; None: as configured.
        lazy_factor: what the betas are raised to, `lazy_factor`.

    References:
        Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1.
        Tieleman and Hinton 2012, lecture 6.5 (RMSprop).
    """
    if config.optimizer == "rmsprop":
        return optax.scale_by_rms(
            decay=0.99, eps=1e-8, initial_scale=0.0, eps_in_sqrt=False
        )
    b1, b2 = config.adam_betas
    b2 = b2 if beta2 is None else beta2
    if lazy_factor < 1:  # or else not touched: XLA rounds a power with an exponent of 1
        b1, b2 = b1**lazy_factor, b2**lazy_factor
    return _scale_by_adam(b1, b2)


def update(
    config: TrainConfig,
    params: Any,
    gradient: Any,
    optimizer: optax.OptState,
    lr: Float[Array, ""],
    beta2: float | Float[Array, ""],
    lazy_factor: float,
) -> tuple[Any, optax.OptState, Float[Array, ""]]:
    """Update a network by its gradients.

    Args:
        config: says which rule, and whether gradients are clipped.
        params: of the network; not changed.
        gradient: by each of them.
        optimizer: that of the network; not changed.
        lr: learning rate at this step.
        beta2: Adam's at this step.
        lazy_factor: what rate and exponents are multiplied by, `lazy_factor`.

    Returns:
        Parameters and optimiser, and the gradient's global norm, before clipping.
    """
    gradient = distribution.average_gradients(gradient)
    norm = _global_norm(gradient)
    if config.clip_grad_norm:
        gradient = _clip(gradient, config.clip_grad_norm, norm)
    rule = build_optimizer(config, beta2, lazy_factor)
    updates, optimizer = rule.update(gradient, optimizer)
    return (
        jax.tree.map(lambda p, u: p - lr * lazy_factor * u, params, updates),
        optimizer,
        norm,
    )


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


def _scale_by_adam(
    b1: float, b2: float | Float[Array, ""]
) -> optax.GradientTransformation:
    """`optax.scale_by_adam`, whose first steps are as exact in float32 as PyTorch's.

    optax corrects the averages' bias by 1 - b ** t in float32, where 1 - 0.999 has lost
    four digits: its first steps are 6.5e-6 too large.
    """

    def update(
        updates: optax.Updates,
        state: optax.OptState,
        params: optax.Params | None = None,
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, optax.ScaleByAdamState)
        count = jnp.asarray(optax.safe_increment(state.count))
        mu = optax.tree.update_moment(updates, state.mu, b1, 1)
        nu = optax.tree.update_moment(updates, state.nu, b2, 2)

        def direction(m: Float[Array, "..."], v: Float[Array, "..."]) -> Array:
            m = m / _correction(b1, count, m.dtype)
            v = v / _correction(b2, count, v.dtype)
            return m / (jnp.sqrt(v) + 1e-8)

        return jax.tree.map(direction, mu, nu), state._replace(
            count=count, mu=mu, nu=nu
        )

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def _correction(
    decay: float | Float[Array, ""], count: Integer[Array, ""], dtype: jnp.dtype
) -> Float[Array, ""]:
    """1 - decay ** count, to the last digit."""
    if isinstance(decay, jax.Array):
        log = jnp.log(decay)
    else:
        log = math.log(decay) if decay else -math.inf
    return -jnp.expm1(count.astype(dtype) * log)
