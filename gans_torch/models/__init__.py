"""Networks, built from a configuration."""

from gans_torch.models.dcgan import Discriminator, Generator
from gans_torch.models.head import Head, Scores
from gans_torch.models.mlp import MlpDiscriminator, MlpGenerator
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo

__all__ = [
    "Discriminator",
    "Generator",
    "Head",
    "MlpDiscriminator",
    "MlpGenerator",
    "Scores",
    "build_discriminator",
    "build_generator",
]


def build_generator(config: TrainConfig, data: DataInfo) -> Generator | MlpGenerator:
    """The generator that a configuration asks for; weights are to be loaded."""
    network = MlpGenerator if config.architecture == "mlp" else Generator
    return network(
        z_dim=config.z_dim,
        width=config.width,
        image_size=config.image_size,
        channels=data.channels,
        norm=config.g_norm,
        weight_norm=config.g_weight_norm,
        num_classes=data.num_classes if config.conditional else 0,
    )


def build_discriminator(config: TrainConfig, data: DataInfo) -> Head:
    """The discriminator that a configuration asks for; weights are to be loaded."""
    network = MlpDiscriminator if config.architecture == "mlp" else Discriminator
    return network(
        width=config.width,
        image_size=config.image_size,
        channels=data.channels,
        norm=config.d_norm,
        weight_norm=config.d_weight_norm,
        num_classes=data.num_classes if config.conditional else 0,
        aux_classes=data.num_classes if config.aux_classifier else 0,
        minibatch_discrimination=config.minibatch_discrimination,
        minibatch_std=config.minibatch_std,
    )
