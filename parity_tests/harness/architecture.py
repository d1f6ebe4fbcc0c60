"""An architecture of a user's own, in both twins.

Its generator has arrays of the kinds that no preset has: a constant input, a linear map
and a kernel in groups. Sizes differ on every axis, so that no layout fits by accident.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import torch
from flax import nnx
from torch import nn

import gans_jax.layers
import gans_jax.models
import gans_torch.layers
import gans_torch.models
from shared.config import traits
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.randomness.starts import HE, FanIn, Normal
from shared.statements import CONSTANT_INPUT, KERNEL, LINEAR, Statement

NAME = "of-a-user"

_WIDTH, _GROUPS, _EDGE = 6, 2, 4
_STATEMENTS = {
    "constant": Statement(CONSTANT_INPUT, Normal(1.0)),
    "linear": Statement(LINEAR, FanIn(1.0)),
    "grouped": Statement(KERNEL, HE),
}
_UP = {"kernel_size": 4, "stride": 2, "padding": 1}


class _TorchGenerator(nn.Module):
    def __init__(self, z_dim: int, channels: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.empty(_WIDTH, _EDGE, _EDGE))
        self.linear = nn.Parameter(torch.empty(_WIDTH, z_dim))
        self.grouped = nn.Parameter(torch.empty(_WIDTH, _WIDTH // _GROUPS, 3, 3))
        self.up = gans_torch.layers.ConvTranspose2d(_WIDTH, channels, **_UP)

    def statements(self) -> dict[str, Statement]:
        return _STATEMENTS

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        x = self.constant * (z @ self.linear.T)[:, :, None, None]
        x = nn.functional.conv2d(x, self.grouped, padding=1, groups=_GROUPS)
        return self.up(torch.relu(x))  # not bounded: its own choice


class _JaxGenerator(nnx.Module):
    def __init__(self, z_dim: int, channels: int) -> None:
        self.constant = nnx.Param(jnp.zeros((_EDGE, _EDGE, _WIDTH)))
        self.linear = nnx.Param(jnp.zeros((z_dim, _WIDTH)))
        self.grouped = nnx.Param(jnp.zeros((3, 3, _WIDTH // _GROUPS, _WIDTH)))
        self.up = gans_jax.layers.ConvTranspose2d(_WIDTH, channels, **_UP)

    def statements(self) -> dict[str, Statement]:
        return _STATEMENTS

    def __call__(self, z: jax.Array, labels: jax.Array | None) -> jax.Array:
        x = self.constant[...] * (z @ self.linear[...])[:, None, None, :]
        x = jax.lax.conv_general_dilated(
            x,
            self.grouped[...],
            (1, 1),
            [(1, 1), (1, 1)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=_GROUPS,
        )
        return self.up(jax.nn.relu(x))


@contextlib.contextmanager
def registered() -> Iterator[None]:
    """With the architecture in the tables of both twins, for images of 8x8."""
    options: dict[str, Any] = {"image_size": 8, "norm": "none"}
    try:
        for twin, generator in (
            (gans_torch, _TorchGenerator),
            (gans_jax, _JaxGenerator),
        ):

            def make_generator(
                config: TrainConfig, data: DataInfo, generator: Any = generator
            ) -> Any:
                return generator(config.z_dim, data.channels)

            def make_discriminator(
                config: TrainConfig, data: DataInfo, twin: Any = twin
            ) -> Any:
                return twin.models.DcganDiscriminator(
                    width=config.width, channels=data.channels, **options
                )

            twin.models.register_architecture(NAME, make_generator, make_discriminator)
        yield
    finally:
        for table in (
            traits.ARCHITECTURES,
            gans_torch.models.ARCHITECTURES,
            gans_jax.models.ARCHITECTURES,
        ):
            table.pop(NAME, None)
