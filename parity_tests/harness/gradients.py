"""One function of each twin, run on NumPy arrays: its value and its gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray


class Differentiated(NamedTuple):
    """A function's value, and its gradient with respect to each floating argument."""

    value: NDArray[Any]
    gradients: tuple[NDArray[Any], ...]


def torch_gradients(
    function: Callable[..., Any],
    *arrays: NDArray[Any],
    dtype: str = "float64",
    **options: Any,
) -> Differentiated:
    """Differentiate a PyTorch function.

    Args:
        function: of tensors, to a number.
        arrays: its arguments; those of integers are constants.
        dtype: what the others are cast to, ``float64`` or ``float32``.
        options: further arguments, which are constants.
    """
    tensors = [torch.tensor(_cast(x, dtype)) for x in arrays]
    leaves = [x.requires_grad_() for x in tensors if x.is_floating_point()]
    constants = {
        name: torch.tensor(_cast(x, dtype)) if isinstance(x, np.ndarray) else x
        for name, x in options.items()
    }
    value = function(*tensors, **constants)
    gradients = torch.autograd.grad(
        value, leaves, allow_unused=True, materialize_grads=True
    )
    return Differentiated(value.detach().numpy(), tuple(g.numpy() for g in gradients))


def jax_gradients(
    function: Callable[..., Any],
    *arrays: NDArray[Any],
    dtype: str = "float64",
    **options: Any,
) -> Differentiated:
    """Differentiate a JAX function; arguments as in `torch_gradients`."""
    floating = [i for i, x in enumerate(arrays) if is_floating(x)]
    with jax.enable_x64(dtype == "float64"):
        inputs = [jnp.asarray(_cast(x, dtype)) for x in arrays]
        constants = {
            name: jnp.asarray(_cast(x, dtype)) if isinstance(x, np.ndarray) else x
            for name, x in options.items()
        }
        value, gradients = jax.value_and_grad(function, tuple(floating))(
            *inputs, **constants
        )
    return Differentiated(
        np.asarray(value), tuple(np.asarray(gradient) for gradient in gradients)
    )


def is_floating(array: NDArray[Any]) -> bool:
    """Whether an array holds floating numbers."""
    return np.issubdtype(array.dtype, np.floating)


def _cast(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    return array.astype(dtype) if is_floating(array) else array
