"""Class ids, as conditional networks take them."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from shared.errors import UsageError

Labels = Integer[Tensor, " batch"] | None
"""None: the network is not conditional."""


def class_ids(labels: Labels, network: str) -> Integer[Tensor, " batch"]:
    """The labels, which a conditional network must have.

    Args:
        labels: class ids.
        network: what the error calls the network.

    Raises:
        UsageError: there are none.
    """
    if labels is None:
        raise UsageError(f"labels None: a conditional {network} needs class ids")
    return labels.long()  # of no other kind are tables asked


def with_one_hot(
    z: Float[Tensor, "batch z_dim"], labels: Labels, num_classes: int
) -> Float[Tensor, "batch z_dim_and_classes"]:
    """Latents, and the class beside them as a one-hot vector, for a generator.

    Args:
        z: latents.
        labels: class ids.
        num_classes: length of the vector.

    Raises:
        UsageError: there are no labels.
    """
    ids = class_ids(labels, "generator")
    one_hot = nn.functional.one_hot(ids, num_classes)
    return torch.cat([z, one_hot.to(z.dtype)], dim=1)
