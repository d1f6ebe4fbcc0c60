"""Orthogonal regularisation: a network's weights, held near orthogonal ones."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gans_torch._stated import stated_by_path
from shared.statements import MAPS


def overlap(network: nn.Module) -> Float[Tensor, ""]:
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
    for path, weight in network.named_parameters():
        kind = statements[path].kind
        if kind in MAPS:
            matrix = weight.movedim(kind.axes.index("out"), 0).flatten(1)
            terms.append(_overlap(matrix))
    return torch.stack(terms).sum()


def _overlap(matrix: Float[Tensor, "outputs rest"]) -> Float[Tensor, ""]:
    outputs, rest = matrix.shape
    # Not in bfloat16, which the networks may compute in.
    with torch.autocast(matrix.device.type, enabled=False):
        if outputs <= rest:
            others = 1 - torch.eye(outputs, dtype=matrix.dtype, device=matrix.device)
            return torch.square((matrix @ matrix.T) * others).sum()
        # || W W^T || = || W^T W ||, which takes less memory. So many outputs cannot all
        # be orthogonal: the difference is not one of near numbers.
        lengths = torch.square(matrix).sum(dim=1)
        return torch.square(matrix.T @ matrix).sum() - torch.square(lengths).sum()
