"""StyleGAN2's networks: noise given and their own, labels or none, published sizes."""

import dataclasses
import functools
import math
from types import ModuleType
from typing import Any

import jax
import numpy as np
import torch
from flax import nnx

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.residual_networks import known_sizes
from parity_tests.harness.modules import compare_twins
from parity_tests.harness.tasks import Shapes, Task, normal, random_arrays
from parity_tests.harness.trajectories import shrink
from shared.config.presets import PRESETS
from shared.config.traits import ARCHITECTURES
from shared.data.image_data import DataInfo
from shared.files.arrays import Arrays
from shared.sizes import ImageSize, height_and_width

_FLOAT64 = "network, float64"
_FLOAT32 = "network, float32"
_CLASSES, _Z_DIM, _LAYERS = 3, 6, 4
_LABELS = np.array([2, 0, 0, 1])
_G_COVERS = (
    "models.Stylegan2Generator",
    "models.stylegan2.MappingNetwork",
    "equalized.EqualConv2d",
    "equalized.EqualLinear",
    "equalized.StyledConv2d",
    "equalized.StyledOutput",
    "equalized.activate",
    "equalized.unit",
)
_D_COVERS = (
    "models.Stylegan2Discriminator",
    "models.stylegan2.DownBlock",
    "models.stylegan2.MappingNetwork",
    "equalized.EqualConv2d",
    "equalized.EqualLinear",
    "layers.MinibatchStd",
    "layers.blur",
)


class _TorchStyles(torch.nn.Module):
    """A generator given a style for each layer and its noise, one after the other."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, x: Any) -> Any:
        styles = x[:, : _LAYERS * _Z_DIM].unflatten(1, (_LAYERS, _Z_DIM))
        return self.held.synthesise(styles.swapaxes(0, 1), x[:, _LAYERS * _Z_DIM :])


class _JaxStyles(nnx.Module):
    """The same."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, x: jax.Array) -> jax.Array:
        styles = x[:, : _LAYERS * _Z_DIM].reshape(-1, _LAYERS, _Z_DIM)
        return self.held.synthesise(styles.swapaxes(0, 1), x[:, _LAYERS * _Z_DIM :])


def _equalised(shapes: Shapes) -> Arrays:
    """Random arrays, the weights as large as where they start."""
    arrays = random_arrays(shapes)
    for name, shape in shapes.items():
        if len(shape) == 4:
            arrays[name] *= np.float32(math.sqrt(math.prod(shape[1:])))
        elif name.endswith("weight"):
            # A mapping network's are multiplied by a hundredth where they are used.
            arrays[name] *= np.float32(300 if "mapping.layers" in name else 3)
    return arrays


def _task(
    network: str,
    size: ImageSize = 8,
    second_order: bool = True,
    training: bool = True,
    **changes: Any,
) -> Task:
    """One network on four samples.

    Args:
        network: ``generator`` or ``discriminator``.
        size: of the images.
        second_order: whether second derivatives are compared.
        training: whether in training mode.
        changes: of the configuration.
    """
    options = {"z_dim": _Z_DIM, "width": 4, "minibatch_std": 4} | changes
    config = shrink(PRESETS["stylegan2"], image_size=size, **options)
    inputs = normal(1, 4, 3, *height_and_width(size))
    if network == "generator":
        inputs = normal(1, 4, config.z_dim)

    def build(twin: ModuleType) -> Any:
        make = getattr(twin.models, f"build_{network}")
        return make(config, DataInfo(3, _CLASSES, 4, ""))

    labels = _LABELS if config.conditional else None
    return Task(build, inputs, labels, training, second_order, _equalised)


@check("network/stylegan2/generator", "network", _G_COVERS)
def _generator() -> list[Finding]:
    """By class; of another base than 4."""
    tasks = {"generator": _task("generator", 14, conditional=True)}
    return compare_twins(tasks, _FLOAT64)


@check("network/stylegan2/discriminator", "network", _D_COVERS)
def _discriminator() -> list[Finding]:
    tasks = {
        "residual": _task("discriminator"),
        "by class, without shortcuts, of another base than 4": _task(
            "discriminator", 10, architecture="stylegan2-cifar", conditional=True
        ),
    }
    # Biases change D's slope by next to nothing, in sums of what is large.
    return compare_twins(tasks, _FLOAT64, floor=1.0)


@check("network/stylegan2/styles", "network", _G_COVERS)
def _styles() -> list[Finding]:
    """A style for each layer of 8x8, and noise of all convolutions."""
    return compare_twins({"styles and noise": _styled(8)}, _FLOAT64)


@check("network/stylegan2/sizes", "network", _G_COVERS)
def _sizes() -> list[Finding]:
    """Maps of noise of another base than 4."""
    return compare_twins({"styles and noise": _styled(10)}, _FLOAT64)


@check("network/stylegan2/rectangles", "network", _G_COVERS + _D_COVERS)
def _rectangles() -> list[Finding]:
    """Maps of noise on their sides; all pixels at once, of 7x4."""
    tasks = {
        "styles and noise": _styled((8, 10)),
        "discriminator": _task("discriminator", (14, 8), second_order=False),
    }
    return compare_twins(tasks, _FLOAT64)


def _styled(size: ImageSize) -> Task:
    """A generator of styles and noise, for images that double once."""
    wrappers = {"gans_torch": _TorchStyles, "gans_jax": _JaxStyles}
    whole = _task("generator", size, second_order=False)
    numbers = ARCHITECTURES["stylegan2"].noise_numbers(size)

    def build(twin: ModuleType) -> Any:
        return wrappers[twin.__name__](whole.build(twin))

    inputs = normal(1, 4, _LAYERS * _Z_DIM + numbers)
    return whole._replace(build=build, inputs=inputs)


@check("network/stylegan2/forms", "network", _G_COVERS + _D_COVERS, full_only=True)
def _forms() -> list[Finding]:
    """Evaluation mode; a mapping of two layers; no minibatch standard deviation."""
    tasks = {
        "evaluation": _task("generator", training=False, conditional=True),
        "two layers": _task("generator", architecture="stylegan2-cifar"),
        "no deviation": _task("discriminator", 14, minibatch_std=0),
    }
    return compare_twins(tasks, _FLOAT64)


@check("network/stylegan2/float32", "network", _G_COVERS + _D_COVERS, full_only=True)
def _float32() -> list[Finding]:
    tasks = {
        network: _task(network, second_order=False)
        for network in ("generator", "discriminator")
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check(
    "network/stylegan2/as published", "network", _G_COVERS + _D_COVERS, full_only=True
)
def _as_published() -> list[Finding]:
    """Values and gradients at the width of the authors' networks for CIFAR-10."""
    tasks = {
        network: _task(
            network,
            32,
            second_order=False,
            architecture="stylegan2-cifar",
            width=512,
            z_dim=512,
        )
        for network in ("generator", "discriminator")
    }
    return compare_twins(tasks, _FLOAT64)


# By architecture, size, width, length of the latents, and whether by class of ten. The
# counts of 256 pixels are in table 2 of R3GAN's paper, the others follow from the code.
_SIZES = (
    ("stylegan2", 256, 64, 512, False, (24_767_458, 24_001_089)),
    ("stylegan2-cifar", 32, 512, 512, False, (19_947_539, 20_720_641)),
    ("stylegan2-cifar", 32, 512, 512, True, (20_215_315, 23_089_664)),
    ("stylegan2", 1024, 32, 512, False, (30_370_060, 29_012_513)),
)
for _size in (32, 256, 1024):
    check(
        f"network/stylegan2/known sizes/{_size}",
        "network",
        _G_COVERS + _D_COVERS,
        full_only=_size == 1024,
    )(
        functools.partial(
            known_sizes,
            {
                dataclasses.replace(
                    PRESETS["stylegan2"],
                    architecture=name,
                    image_size=size,
                    width=width,
                    z_dim=z_dim,
                    conditional=conditional,
                ): counts
                for name, size, width, z_dim, conditional, counts in _SIZES
                if size == _size
            },
        )
    )
