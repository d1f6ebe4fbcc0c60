"""Optimisers from the configuration, every constant explicit, and their update."""

import inspect
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gans_torch import distribution
from shared.config.train_config import TrainConfig


def build_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of one network; `update` sets its rate and beta2 at each step.

    Adam: eps 1e-8, outside the root, after bias correction. Where beta2 changes, v is
    divided by 1 - beta2 ** t with the beta2 of now, as in PyTorch and so in R3GAN's
    code. RMSprop: alpha 0.99, eps 1e-8 outside the root, no momentum, not centred.

    Args:
        config: says which, and Adam's beta1 and beta2.
        network: whose parameters it changes.

    References:
        Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1.
        Tieleman and Hinton 2012, lecture 6.5 (RMSprop).
    """
    parameters = list(network.parameters())
    # Whether a CUDA graph may record it; without one it does the same.
    capturable = parameters[0].is_cuda
    if config.optimizer == "rmsprop":
        return _RMSprop(parameters, lr=0.0, alpha=0.99, eps=1e-8, capturable=capturable)
    return _Adam(
        parameters,
        lr=0.0,
        betas=config.adam_betas,
        eps=1e-8,
        fused=True,
        capturable=capturable,
    )


def update(
    config: TrainConfig,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    lr: float | Float[Tensor, ""],
    beta2: float | Float[Tensor, ""],
    lazy_factor: float,
) -> Float[Tensor, ""]:
    """Update a network by its gradients.

    Args:
        config: says which rule, and whether gradients are clipped.
        network: changed in place; its gradients have been computed.
        optimizer: that of the network.
        lr: learning rate at this step.
        beta2: Adam's at this step.
        lazy_factor: what rate and exponents are multiplied by, `lazy_factor`.

    Returns:
        The gradient's global norm, before clipping.
    """
    parameters = list(network.parameters())
    for parameter in parameters:
        if parameter.grad is None:  # untouched by the loss; JAX has zeros there
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    gradients = distribution.average_gradients(gradients)
    norm = _global_norm(gradients)
    if config.clip_grad_norm:
        nn.utils.clip_grads_with_norm_(parameters, config.clip_grad_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = lr * lazy_factor
        if config.optimizer == "adam":
            beta1 = config.adam_betas[0]
            group["betas"] = (beta1**lazy_factor, beta2**lazy_factor)
    optimizer.step()
    return norm


@torch.no_grad()
def _global_norm(gradients: list[Tensor]) -> Float[Tensor, ""]:
    """The norm of all gradients as one vector, right wherever float32 can hold it.

    Squares are taken in units of the largest element, in which none is too large. The
    unit is a power of two, so that norms whose squares do no harm keep every bit.
    """
    largest = nn.utils.get_total_norm(gradients, math.inf)
    unit = largest / (2 * torch.frexp(largest).mantissa)
    unit = torch.where(unit.isfinite(), unit, 1.0)  # of zeros, and of what has no norm
    return nn.utils.get_total_norm([g / unit for g in gradients]) * unit


# As PyTorch wrote them: what it wraps them in imports its compiler, which takes seconds
# and is not used here.
_add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
_adam_step = inspect.unwrap(torch.optim.Adam.step)
_rmsprop_step = inspect.unwrap(torch.optim.RMSprop.step)


class _RMSprop(torch.optim.RMSprop):
    """PyTorch's."""

    add_param_group = _add_param_group
    step = torch.no_grad()(_rmsprop_step)


class _Adam(torch.optim.Adam):
    """PyTorch's, which can also be recorded while beta2 changes.

    A fused Adam reads a rate from memory, but takes beta2 for a constant.
    """

    add_param_group = _add_param_group

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the parameters by their gradients."""
        (group,) = self.param_groups
        beta1, beta2 = group["betas"]
        if not isinstance(beta2, Tensor):
            return _adam_step(self, closure)
        for parameter in group["params"]:
            state = self.state[parameter]
            average, squares, count = (
                state[name] for name in ("exp_avg", "exp_avg_sq", "step")
            )
            count += 1
            average.lerp_(parameter.grad, 1 - beta1)
            squares.lerp_(parameter.grad.square(), 1 - beta2)
            t = count.to(beta2.dtype)
            m = average / _correction(math.log(beta1) if beta1 else -math.inf, t)
            v = squares / _correction(beta2.log(), t)
            parameter.sub_(group["lr"] * m / (v.sqrt() + group["eps"]))
        return None


def _correction(log_decay: float | Tensor, t: Tensor) -> Tensor:
    """1 - decay ** t, to the last digit."""
    return -torch.expm1(t * log_decay)
