"""What the networks of each twin refuse."""

import dataclasses
import importlib
from types import ModuleType
from typing import Any

import pytest

from shared.config.choices import Architecture
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from support import Twin

_DATA = DataInfo(1, 3, 4, "")


@pytest.fixture
def models(twin: Twin) -> ModuleType:
    return importlib.import_module(f"gans_{twin.name}.models")


@pytest.fixture(params=["dcgan", "mlp"])
def config(request: pytest.FixtureRequest) -> TrainConfig:
    architecture: Architecture = request.param
    return dataclasses.replace(
        PRESETS["cgan"],
        architecture=architecture,
        image_size=8,
        width=4,
        z_dim=5,
        g_norm="batch",
        d_norm="none",
    )


def _zeros(twin: Twin, *shape: int) -> Any:
    array_module = {"torch": "torch", "jax": "jax.numpy"}[twin.name]
    return importlib.import_module(array_module).zeros(shape)


def test_a_conditional_generator_needs_labels(
    twin: Twin, models: ModuleType, config: TrainConfig
) -> None:
    generator = models.build_generator(config, _DATA)
    with pytest.raises(ValueError, match="labels None: a conditional generator"):
        generator(_zeros(twin, 2, 5))


def test_a_conditional_discriminator_needs_labels(
    twin: Twin, models: ModuleType, config: TrainConfig
) -> None:
    discriminator = models.build_discriminator(config, _DATA)
    shape = (2, 1, 8, 8) if twin.name == "torch" else (2, 8, 8, 1)
    with pytest.raises(ValueError, match="labels None: a conditional discriminator"):
        discriminator(_zeros(twin, *shape))
