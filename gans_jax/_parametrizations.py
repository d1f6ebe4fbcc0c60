"""Constraints of a layer's weight: those of `torch.nn.utils.parametrizations`.

By PyTorch's formulas: Flax's spectral norm overwrites its weight.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from shared.statements import Kind


class SpectralNorm(nnx.Module):
    """W / sigma(W), as `torch.nn.utils.parametrizations.spectral_norm` computes it.

    One power iteration in training mode: u = W v, then v = W^T u, both normalised, and
    constants for the gradient. The stored weight is never overwritten.

    Args:
        weight: as this project stores it in JAX.
        kind: what it is: a kernel, a table, ...
    """

    def __init__(self, weight: Float[Array, "..."], kind: Kind) -> None:
        out_channels = weight.shape[kind.jax_axes.index("out")]
        self._u = nnx.BatchStat(jnp.zeros(out_channels))
        self._v = nnx.BatchStat(jnp.zeros(weight.size // out_channels))
        self.kind = kind
        self.use_running_average = False

    def __call__(self, weight: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The weight over its largest singular value, as estimated."""
        # [out, in, k, k] flattened is PyTorch's matrix, which u and v belong to.
        matrix = weight.transpose(self.kind.jax_to_matrix)
        matrix = matrix.reshape(len(matrix), -1)
        u, v = self._u[...], self._v[...]
        if not self.use_running_average:
            constant = jax.lax.stop_gradient(matrix)
            u = _unit(constant @ v)
            v = _unit(constant.T @ u)
            self._u[...], self._v[...] = u, v
        return weight / jnp.dot(u, matrix @ v)


class WeightNorm(nnx.Module):
    """g v / ||v||, as `torch.nn.utils.parametrizations.weight_norm` computes it.

    Args:
        weight: as this project stores it in JAX; it is v.
        kind: what it is: a kernel, a table, ...
    """

    def __init__(self, weight: Float[Array, "..."], kind: Kind) -> None:
        out_axis = kind.jax_axes.index("out")
        self._axes = tuple(axis for axis in range(weight.ndim) if axis != out_axis)
        shape = [1] * weight.ndim
        shape[out_axis] = weight.shape[out_axis]
        self.length = nnx.Param(jnp.ones(shape))

    def __call__(self, weight: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The direction v at the length g of its output channel."""
        squares = jnp.square(weight).sum(axis=self._axes, keepdims=True)
        return weight * (self.length[...] / jnp.sqrt(squares))


def _unit(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.sqrt(jnp.square(vector).sum()), 1e-12)
