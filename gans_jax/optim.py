"""Optimisers from the configuration, every constant explicit."""

import math

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from shared.config.train_config import TrainConfig

FIELDS = {"exp_avg": "mu", "exp_avg_sq": "nu", "square_avg": "nu"}
"""What optax calls the slots of an optimiser."""


def build_optimizer(
    config: TrainConfig,
    beta2: float | Float[Array, ""] | None = None,
    lazy_factor: float = 1.0,
) -> optax.GradientTransformation:
    """The optimiser of one network; `steps` sets its rate and beta2 at each step.

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
