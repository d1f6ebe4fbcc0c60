"""Both networks of a run, as they are when it starts."""

from typing import NamedTuple

from torch import nn

from gans_torch import arrays as state_arrays
from gans_torch import models
from gans_torch._modes import usual_modes
from shared.config.arguments import from_python
from shared.config.limits import check_labels
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, check_info
from shared.randomness.initial_weights import initial_arrays


class Networks(NamedTuple):
    """What a GAN is made of.

    ``generator(z, labels)`` gives images, ``discriminator(images, labels)`` what
    `models.Outputs` holds; labels are class ids, or None where there are no classes.
    """

    generator: nn.Module
    discriminator: nn.Module


@from_python
def build(config: TrainConfig, data: DataInfo, seed: int) -> Networks:
    """The networks that a configuration asks for, in float32 and training mode.

    Args:
        config: the run's configuration; its own seed is not looked at.
        data: channels and classes of the images.
        seed: of the initial weights, from 0 up; the same in both twins.

    Raises:
        UsageError: an argument is of another type, the seed is out of range, the data
            make no sense, or the networks are of classes, which the data have not.
    """
    check_info(data)
    check_labels(config, data.num_classes, f"data of {data.num_classes} classes")
    with usual_modes():
        networks = Networks(
            models.build_generator(config, data),
            models.build_discriminator(config, data),
        )
    for name, network in networks._asdict().items():
        stated = state_arrays.network_statements(network.float(), name)
        arrays = initial_arrays(stated, seed)
        state_arrays.arrays_to_network(network, name, arrays)
    return networks
