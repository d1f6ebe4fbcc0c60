"""Networks, built from a configuration."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from gans_torch.models.biggan import BigganDiscriminator, BigganGenerator
from gans_torch.models.dcgan import DcganDiscriminator, DcganGenerator
from gans_torch.models.head import Head, Outputs
from gans_torch.models.mlp import MlpDiscriminator, MlpGenerator
from gans_torch.models.r3gan import R3ganDiscriminator, R3ganGenerator
from gans_torch.models.resnet import ResnetDiscriminator, ResnetGenerator
from gans_torch.models.stylegan2 import Stylegan2Discriminator, Stylegan2Generator
from shared.config import traits
from shared.config.arguments import from_python
from shared.config.tables import Members, register
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "BigganDiscriminator",
    "BigganGenerator",
    "DcganDiscriminator",
    "DcganGenerator",
    "Head",
    "MlpDiscriminator",
    "MlpGenerator",
    "Outputs",
    "R3ganDiscriminator",
    "R3ganGenerator",
    "ResnetDiscriminator",
    "ResnetGenerator",
    "Stylegan2Discriminator",
    "Stylegan2Generator",
    "build_discriminator",
    "build_generator",
    "register_architecture",
]

Build = Callable[[TrainConfig, DataInfo], nn.Module]


class Architecture(NamedTuple):
    """Who makes the networks of an architecture.

    What else is known of one is in ``shared.config.traits``, for both twins.
    """

    generator: Build
    """Of (z, labels): latents [batch, z_dim], and class ids [batch] or None. Its images
    are as the data are: in [-1, 1], by what means is its own choice; or points."""
    discriminator: Build
    """Of (images, labels): returns `Outputs`."""


def _sizes(config: TrainConfig, data: DataInfo) -> dict[str, Any]:
    """What networks of every architecture are told."""
    return {
        "width": config.width,
        "image_size": config.image_size,
        "channels": data.channels,
        "num_classes": data.num_classes if config.conditional else 0,
    }


def _judgement(config: TrainConfig, data: DataInfo) -> dict[str, Any]:
    """What discriminators are told of their weights and of what they say."""
    return {
        "weight_norm": config.d_weight_norm,
        "aux_classes": data.num_classes if config.aux_classifier else 0,
        "minibatch_discrimination": config.minibatch_discrimination,
        "minibatch_std": config.minibatch_std,
    }


def _generator(
    network: type[DcganGenerator | MlpGenerator | ResnetGenerator], **options: Any
) -> Build:
    return lambda config, data: network(
        **_sizes(config, data),
        z_dim=config.z_dim,
        norm=config.g_norm,
        weight_norm=config.g_weight_norm,
        **options,
    )


def _discriminator(
    network: type[DcganDiscriminator | MlpDiscriminator | ResnetDiscriminator],
    **options: Any,
) -> Build:
    return lambda config, data: network(
        **_sizes(config, data),
        **_judgement(config, data),
        norm=config.d_norm,
        **options,
    )


def _biggan_generator(config: TrainConfig, data: DataInfo) -> nn.Module:
    return BigganGenerator(
        **_sizes(config, data), z_dim=config.z_dim, weight_norm=config.g_weight_norm
    )


def _biggan_discriminator(config: TrainConfig, data: DataInfo) -> nn.Module:
    return BigganDiscriminator(**_sizes(config, data), **_judgement(config, data))


def _r3gan_generator(config: TrainConfig, data: DataInfo) -> nn.Module:
    return R3ganGenerator(**_sizes(config, data), z_dim=config.z_dim)


def _r3gan_discriminator(config: TrainConfig, data: DataInfo) -> nn.Module:
    return R3ganDiscriminator(**_sizes(config, data))


def _stylegan2_generator(**options: Any) -> Build:
    return lambda config, data: Stylegan2Generator(
        **_sizes(config, data), z_dim=config.z_dim, **options
    )


def _stylegan2_discriminator(**options: Any) -> Build:
    return lambda config, data: Stylegan2Discriminator(
        **_sizes(config, data),
        widest=config.z_dim,
        minibatch_std=config.minibatch_std,
        **options,
    )


ARCHITECTURES = Members(
    "gans_torch",
    traits.ARCHITECTURES,
    {
        "dcgan": Architecture(
            _generator(DcganGenerator), _discriminator(DcganDiscriminator)
        ),
        "mlp": Architecture(_generator(MlpGenerator), _discriminator(MlpDiscriminator)),
        "sngan-resnet": Architecture(
            _generator(ResnetGenerator, factor=2), _discriminator(ResnetDiscriminator)
        ),
        "sagan": Architecture(
            _generator(ResnetGenerator, factor=2, attention=True),
            _discriminator(ResnetDiscriminator, attention=True),
        ),
        "wgan-gp-resnet": Architecture(
            _generator(ResnetGenerator),
            _discriminator(ResnetDiscriminator, pool="mean"),
        ),
        "biggan": Architecture(_biggan_generator, _biggan_discriminator),
        "r3gan": Architecture(_r3gan_generator, _r3gan_discriminator),
        "stylegan2": Architecture(_stylegan2_generator(), _stylegan2_discriminator()),
        "stylegan2-cifar": Architecture(
            _stylegan2_generator(mapping_layers=2),
            _stylegan2_discriminator(residual=False),
        ),
    },
)


@from_python
def register_architecture(
    name: str,
    generator: Build,
    discriminator: Build,
    *,
    makes_points: bool = False,
    makes_rectangles: bool = False,
    has_feature_maps: bool = True,
    separable: bool = False,
) -> None:
    """Make an architecture of the user's own known, as ``--architecture NAME``.

    Each layer with arrays of its own states what they are, in its method
    ``statements``: see ``shared.statements``.

    Args:
        name: of small letters, digits and single hyphens; none of this package's.
        generator: makes the generator, as `Architecture` describes it.
        discriminator: makes the discriminator.
        makes_points: whether the networks can be of points in the plane.
        makes_rectangles: whether they can be of images that are no squares, of which
            ``config.image_size`` is a pair: height and width.
        has_feature_maps: whether the layers that are normalised have more than one
            pixel, without which instance norm has nothing to do.
        separable: whether the networks treat each sample by itself, where their norms
            do, as ``--accumulate`` needs.

    Raises:
        UsageError: an argument is of another type, the name is ours or not well
            formed, or the other twin has registered another architecture under it.
    """
    row = traits.ArchitectureTraits(
        makes_points=makes_points,
        makes_rectangles=makes_rectangles,
        has_feature_maps=has_feature_maps,
        separable=separable,
    )
    member = Architecture(generator, discriminator)
    register(name, traits.ARCHITECTURES, row, ARCHITECTURES, member)


def build_generator(config: TrainConfig, data: DataInfo) -> nn.Module:
    """The generator that a configuration asks for; weights are to be loaded."""
    with torch.random.fork_rng(devices=[]):  # the numbers are the user's
        return ARCHITECTURES[config.architecture].generator(config, data)


def build_discriminator(config: TrainConfig, data: DataInfo) -> nn.Module:
    """The discriminator that a configuration asks for; weights are to be loaded."""
    with torch.random.fork_rng(devices=[]):
        return ARCHITECTURES[config.architecture].discriminator(config, data)
