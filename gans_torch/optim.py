"""Optimisers from the configuration, every constant explicit."""

import torch
from torch import nn

from shared.config.train_config import TrainConfig

# What the optimisers keep for each parameter, by PyTorch's names.
SLOTS = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("square_avg",)}


def build_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of one network; `steps` sets its learning rate at each step.

    Adam: eps 1e-8, outside the root, after bias correction. RMSprop: alpha 0.99, eps
    1e-8 outside the root, no momentum, not centred.

    References:
        Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1.
        Tieleman and Hinton 2012, lecture 6.5 (RMSprop).
    """
    parameters = list(network.parameters())
    # Whether a CUDA graph may record it; without one it does the same.
    capturable = parameters[0].is_cuda
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            parameters, lr=0.0, alpha=0.99, eps=1e-8, capturable=capturable
        )
    return torch.optim.Adam(
        parameters,
        lr=0.0,
        betas=config.adam_betas,
        eps=1e-8,
        fused=True,
        capturable=capturable,
    )
