"""Residual networks: their blocks, every form, both modes, and the published sizes."""

import functools

import numpy as np
from flax import nnx

import gans_jax.arrays
import gans_jax.models
import gans_torch.arrays
import gans_torch.models
from gans_jax._network import Network
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.modules import compare_twins, network_task
from parity_tests.harness.tasks import Task
from parity_tests.harness.trajectories import shrink
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.statements import Stated

_FLOAT64 = "network, float64"
_FLOAT32 = "network, float32"
# Gradients are sums of hundreds there, and so is what rounds in those that batch norm
# cancels.
_OF_MANY_PIXELS = 1000.0
_G_COVERS = (
    "models.ResnetGenerator",
    "models.resnet.UpBlock",
    "layers.Linear",
    "layers.SelfAttention",
    "layers.normalise",
    "layers.upsample",
)
_D_COVERS = (
    "models.ResnetDiscriminator",
    "models.resnet.DownBlock",
    "models.resnet.FirstBlock",
    "layers.SelfAttention",
    "layers.average_pool",
)


def _compare(
    tasks: dict[str, Task], float32: str = "", floor: float = 1.0
) -> list[Finding]:
    # Biases that batch norm cancels have no gradient but rounding.
    return compare_twins(tasks, _FLOAT64, float32, floor=floor)


@check("network/residual/generator", "network", _G_COVERS)
def _generator() -> list[Finding]:
    """Each way in for a label, and none; in both modes; of another base than 4."""
    tasks = {
        "batch norm": network_task(
            "generator", "wgan-gp-resnet-cifar10", image_size=20
        ),
        "one-hot, spectral": network_task(
            "generator",
            "sngan",
            g_norm="none",
            g_weight_norm="spectral",
            conditional=True,
        ),
        "conditional batch norm": network_task("generator", "cgan-pd-cifar10"),
        "attention": network_task("generator", "sagan", width=8),
        "evaluation": network_task("generator", "cgan-pd-cifar10", training=False),
    }
    return _compare(tasks)


@check("network/residual/discriminator", "network", _D_COVERS)
def _discriminator() -> list[Finding]:
    """Sums and means, with spectral norm or another constraint; in both modes."""
    features = {"minibatch_discrimination": 3, "minibatch_std": 2}
    tasks = {
        "projection and classifier": network_task(
            "discriminator", "cgan-pd-cifar10", image_size=16, aux_classifier=1.0
        ),
        "mean, layer norm, features of the batch": network_task(
            "discriminator",
            "wgan-gp-resnet-cifar10",
            d_norm="layer",
            d_weight_norm="weight",
            **features,
        ),
        "attention": network_task(
            "discriminator", "sagan", image_size=16, width=8, second_order=True
        ),
        "evaluation": network_task("discriminator", "cgan-pd-cifar10", training=False),
    }
    return _compare(tasks)


@check("network/residual/sizes", "network", _G_COVERS + _D_COVERS, full_only=True)
def _sizes() -> list[Finding]:
    tasks = {
        f"{network}, {size} pixels": network_task(
            network, "sngan", image_size=size, width=4 if size == 32 else 1
        )
        for network in ("generator", "discriminator")
        for size in (28, 32, 40, 48, 56, 64, 96, 128)
    } | {
        f"{network} with attention, {size} pixels": network_task(
            network, "sagan", image_size=size, width=8 if size == 32 else 1
        )
        for network in ("generator", "discriminator")
        for size in (32, 48, 128)
    }
    return _compare(tasks, floor=_OF_MANY_PIXELS)


@check("network/residual/bases", "network", _D_COVERS)
def _bases() -> list[Finding]:
    """Of another base than 4: attention at 5x5."""
    task = network_task("discriminator", "sagan", image_size=10, width=8)
    return _compare({"discriminator": task})


@check("network/residual/rectangles", "network", _G_COVERS + _D_COVERS)
def _rectangles() -> list[Finding]:
    """On their sides and upright; with pixels that attend to each other, of 5x8."""
    tasks = {
        "generator, 8x14": network_task(
            "generator", "wgan-gp-resnet-cifar10", image_size=(8, 14)
        ),
        "discriminator, 12x8": network_task(
            "discriminator", "wgan-gp-resnet-cifar10", image_size=(12, 8)
        ),
        "generator with attention, 16x10": network_task(
            "generator", "sagan", image_size=(16, 10), width=8
        ),
        "discriminator with attention, 10x16": network_task(
            "discriminator", "sagan", image_size=(10, 16), width=8
        ),
    }
    return _compare(tasks)


@check("network/residual/rectangles, large", "network", _D_COVERS, full_only=True)
def _large_rectangles() -> list[Finding]:
    """Where a square of the shorter side halves once more than this does: to 6x7."""
    tasks = {
        network: network_task(network, "sngan", image_size=(48, 56), width=1)
        for network in ("generator", "discriminator")
    }
    return _compare(tasks, floor=_OF_MANY_PIXELS)


@check("network/residual/bases, slope", "network", _D_COVERS, full_only=True)
def _slopes() -> list[Finding]:
    """Second derivatives of D, as a gradient penalty has them."""
    tasks = {
        f"{preset}, {size} pixels": network_task(
            "discriminator", preset, image_size=size, width=8, second_order=True
        )
        for preset, size in (("wgan-gp-resnet-cifar10", 14), ("sagan", 10))
    }
    return _compare(tasks)


@check("network/residual/float32", "network", _G_COVERS + _D_COVERS)
def _float32() -> list[Finding]:
    """Without batch norm, which leaves only rounding of the biases that it cancels."""
    tasks = {
        network: network_task(network, "cgan-pd-cifar10", g_norm="layer")
        for network in ("generator", "discriminator")
    }
    return _compare(tasks, _FLOAT32)


@check(
    "network/residual/as published", "network", _G_COVERS + _D_COVERS, full_only=True
)
def _as_published() -> list[Finding]:
    """Values and gradients at the published widths."""
    tasks = {
        f"{network}, {preset}, {size} pixels": network_task(
            network, preset, image_size=size, width=width, z_dim=128
        )
        for network in ("generator", "discriminator")
        for preset, size, width in (
            ("cgan-pd-cifar10", 32, 128),
            ("wgan-gp-resnet-cifar10", 32, 128),
            ("sngan-cifar10", 64, 64),
            ("sagan-cifar10", 32, 128),
        )
    }
    return _compare(tasks, floor=_OF_MANY_PIXELS)


def _stated(
    config: TrainConfig, name: str, classes: int
) -> dict[str, dict[str, Stated]]:
    """What each twin states of the arrays of one network."""
    build, data = f"build_{name}", DataInfo(3, classes, 60, "")
    network = getattr(gans_torch.models, build)(config, data)
    make = getattr(gans_jax.models, build)
    module = nnx.eval_shape(functools.partial(make, config, data))
    return {
        "gans_torch": gans_torch.arrays.network_statements(network, name),
        "gans_jax": gans_jax.arrays.network_statements(Network.of(module), name),
    }


def known_sizes(
    sizes: dict[TrainConfig, tuple[int, int]], classes: int = 10
) -> list[Finding]:
    """Trainable parameters, against those that are published.

    Args:
        sizes: of G and D, by configuration; for images of three channels.
        classes: of the images.
    """
    worst = Worst()
    for config, expected in sizes.items():
        case = f"{config.preset}, {config.image_size} pixels, width {config.width}"
        for name, known in zip(("generator", "discriminator"), expected, strict=True):
            for twin, stated in _stated(config, name, classes).items():
                trained = [x.shape for x in stated.values() if x.kind.trained]
                count = sum(int(np.prod(shape)) for shape in trained)
                worst.compare(f"count, {twin}", count, known, "exact", case)
    return worst.findings()


# Of mimicry's tests; the last, and those of 48 pixels, from the sizes in the codes.
_PUBLISHED = (
    ("sngan-cifar10", 32, 128, (4_276_739, 1_053_825)),
    ("cgan-pd-cifar10", 32, 128, (4_304_387, 1_055_105)),
    ("sngan-cifar10", 64, 64, (12_220_675, 10_141_441)),
    ("cgan-pd-cifar10", 64, 64, (12_272_515, 10_151_681)),
    ("sngan-cifar10", 48, 64, (4_878_083, 10_141_441)),
    ("wgan-gp-resnet-cifar10", 32, 128, (1_204_483, 1_053_825)),
    ("sagan-cifar10", 32, 128, (4_386_308, 1_075_586)),
)
# Without labels its norm is batch norm, and D has no embedding.
_UNCONDITIONAL = {
    shrink(
        PRESETS["sagan-cifar10"],
        image_size=32,
        width=128,
        z_dim=128,
        conditional=False,
        g_norm="batch",
    ): (4_358_660, 1_074_306)
}
check("network/residual/known sizes", "network", _G_COVERS + _D_COVERS)(
    functools.partial(
        known_sizes,
        {
            shrink(PRESETS[preset], image_size=size, width=width, z_dim=128): counts
            for preset, size, width, counts in _PUBLISHED
        }
        | _UNCONDITIONAL,
    )
)
