"""What batch norm sees of a batch, for statistics that are taken anew."""

import copy

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from gans_torch.arrays import network_statements, network_to_arrays
from gans_torch.layers import BatchNorm2d
from shared.files.arrays import Arrays
from shared.statements import RUNNING_MEAN, RUNNING_VARIANCE


def batch_statistics(
    generator: nn.Module,
    z: Float[Tensor, "batch z_dim"],
    labels: Integer[Tensor, " batch"] | None,
) -> Arrays:
    """What each batch norm of a generator sees of these samples.

    All else is as in evaluation mode. The generator stays what it is.

    Args:
        generator: of any weights.
        z: latents.
        labels: class ids, for a conditional generator.

    Returns:
        Means and unbiased variances, by the names of the running ones on file.
    """
    seeing = copy.deepcopy(generator).eval()
    for layer in seeing.modules():
        if isinstance(layer, BatchNorm2d):
            layer.train()
            layer.momentum = 1.0  # running statistics that forget all but this batch
    with torch.no_grad():
        seeing(z, labels)
    arrays = network_to_arrays(seeing, "generator")
    return {
        name: arrays[name]
        for name, array in network_statements(seeing, "generator").items()
        if array.kind in (RUNNING_MEAN, RUNNING_VARIANCE)
    }
