"""Orthogonal regularisation: a network's weights, held near orthogonal ones."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gans_jax._network import Network
from gans_jax._stated import path, stated_by_path
from shared.statements import MAPS


def overlap(network: Network) -> Float[Array, ""]:
    """How much the outputs of each weight have in common.

    R = sum_W || W W^T o (1 - I) ||_F^2,  W as a matrix [outputs, all else]

    The sum runs over all convolutions and linear maps, as they are trained: before any
    constraint. Lengths are left free, and so are tables of classes. In the paper's W
    outputs are columns, and it has W^T W for this. The authors' PyTorch code adds half
    of the derivative.

    Args:
        network: whose weights; they stay in their own precision.

    References:
        Brock et al. 2019, arXiv:1809.11096, Eq. 3.
    """
    statements = stated_by_path(network, "")
    terms = []
    for keys, weight in jax.tree_util.tree_leaves_with_path(network.params):
        kind = statements[path(keys)].kind
        if kind in MAPS:
            outputs = weight.shape[kind.jax_axes.index("out")]
            matrix = weight.transpose(kind.jax_to_matrix).reshape(outputs, -1)
            terms.append(_overlap(matrix))
    return jnp.stack(terms).sum()


def _overlap(matrix: Float[Array, "outputs rest"]) -> Float[Array, ""]:
    outputs, rest = matrix.shape
    if outputs <= rest:
        others = 1 - jnp.eye(outputs, dtype=matrix.dtype)
        return jnp.square((matrix @ matrix.T) * others).sum()
    # || W W^T || = || W^T W ||, which takes less memory. So many outputs cannot all be
    # orthogonal: the difference is not one of near numbers.
    lengths = jnp.square(matrix).sum(axis=1)
    return jnp.square(matrix.T @ matrix).sum() - jnp.square(lengths).sum()
