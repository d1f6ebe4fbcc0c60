"""How far a generator's images move with its styles: a pure function, unweighted."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gans_torch.losses import batch_mean
from gans_torch.shapes import Images

Styles = Float[Tensor, "layers batch features"]

# Share of a batch's mean length in the running mean.
_SHARE = 0.01


class PathTerms(NamedTuple):
    """A penalty, and what it went by."""

    penalty: Float[Tensor, ""]
    """Batch mean, without its weight."""
    mean: Float[Tensor, ""]
    """The running mean of lengths, with this batch's."""


def path_penalty(
    images: Callable[[Styles], Images],
    styles: Styles,
    directions: Images,
    mean: Float[Tensor, ""],
) -> PathTerms:
    """Squared deviation of path lengths from their running mean.

    l = sqrt(1/L sum_k ||d<G(w), y> / d w_k||^2),  m' = m + 0.01 (E l - m),
    E (l - m')^2

    Args:
        images: of the styles of L layers, w_1 to w_L; or of what is added to them.
        styles: where; taken as constants.
        directions: y, from N(0, 1) / sqrt(height width).
        mean: m, of the lengths so far.

    Returns:
        The penalty, whose gradient passes through m' too.

    References:
        Karras et al. 2020, arXiv:1912.04958, Eq. 4; L and m' as in the authors' code.
    """
    styles = styles.detach().requires_grad_(True)
    moved = (images(styles) * directions).sum()
    (gradient,) = torch.autograd.grad(moved, styles, create_graph=True)
    squares = gradient.square().sum(dim=2).mean(dim=0)
    # At zero the root has no derivative: there a length is a constant.
    lengths = torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)
    mean = mean + _SHARE * (batch_mean(lengths) - mean)
    return PathTerms(batch_mean((lengths - mean).square()), mean)
