"""Optimisers from the configuration, every constant explicit."""

import optax

from gans_jax._adam import scale_by_adam
from shared.config import TrainConfig

# What the optimisers keep for each parameter: PyTorch's names -> optax's.
SLOTS = {
    "adam": {"exp_avg": "mu", "exp_avg_sq": "nu"},
    "rmsprop": {"square_avg": "nu"},
}


def build_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """The optimiser of one network; `steps` sets its learning rate at each step.

    Adam: eps 1e-8, outside the root, after bias correction. RMSprop: alpha 0.99, eps
    1e-8 outside the root, no momentum, not centred.

    References:
        Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1.
        Tieleman and Hinton 2012, lecture 6.5 (RMSprop).
    """
    if config.optimizer == "rmsprop":
        return optax.scale_by_rms(
            decay=0.99, eps=1e-8, initial_scale=0.0, eps_in_sqrt=False
        )
    b1, b2 = config.adam_betas
    return scale_by_adam(b1, b2)
