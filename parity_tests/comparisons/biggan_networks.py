"""BigGAN's networks: with labels and without, both modes, and the published sizes."""

import dataclasses
import functools

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.residual_networks import known_sizes
from parity_tests.harness.modules import compare_twins, network_task
from parity_tests.harness.tasks import Task
from shared.config.presets import PRESETS

_FLOAT64 = "network, float64"
_FLOAT32 = "network, float32"
_G_COVERS = (
    "models.BigganGenerator",
    "models.biggan.UpBlock",
    "layers.ModulatedBatchNorm2d",
    "layers.SelfAttention",
)
_D_COVERS = (
    "models.BigganDiscriminator",
    "models.biggan.DownBlock",
    "layers.SelfAttention",
)


def _compare(tasks: dict[str, Task], float32: str = "") -> list[Finding]:
    # Biases that batch norm cancels have no gradient but rounding.
    return compare_twins(tasks, _FLOAT64, float32, floor=1.0)


@check("network/biggan/generator", "network", _G_COVERS)
def _generator() -> list[Finding]:
    """Of latents that the parts do not divide; with classes, and without; of base 5."""
    tasks = {
        "by class": network_task("generator", "biggan", image_size=20, z_dim=8),
        "without classes": network_task(
            "generator", "biggan", conditional=False, g_weight_norm="none"
        ),
    }
    return _compare(tasks)


@check("network/biggan/discriminator", "network", _D_COVERS)
def _discriminator() -> list[Finding]:
    tasks = {
        "projection, classifier": network_task(
            "discriminator",
            "biggan",
            image_size=16,
            aux_classifier=1.0,
            second_order=True,
        ),
    }
    return _compare(tasks)


@check("network/biggan/rectangles", "network", _G_COVERS + _D_COVERS)
def _rectangles() -> list[Finding]:
    """Upright and on its side; pixels attend to each other at 16x10 and at 5x8."""
    tasks = {
        "generator": network_task("generator", "biggan", image_size=(16, 10)),
        "discriminator": network_task("discriminator", "biggan", image_size=(10, 16)),
    }
    return _compare(tasks)


@check("network/biggan/float32", "network", _D_COVERS, full_only=True)
def _float32() -> list[Finding]:
    """D alone: G's batch norms leave only rounding of the biases that they cancel."""
    return _compare(
        {"discriminator": network_task("discriminator", "biggan")}, _FLOAT32
    )


@check("network/biggan/sizes", "network", _G_COVERS + _D_COVERS, full_only=True)
def _sizes() -> list[Finding]:
    tasks = {
        f"{network}, {size} pixels": network_task(
            network, "biggan", image_size=size, width=1, z_dim=8
        )
        for network in ("generator", "discriminator")
        for size in (32, 48, 64, 80, 128)
    }
    return _compare(tasks)


@check("network/biggan/bases, slope", "network", _D_COVERS, full_only=True)
def _slope() -> list[Finding]:
    """Second derivatives of D, which attends at 5x5."""
    task = network_task("discriminator", "biggan", image_size=10, second_order=True)
    return _compare({"discriminator": task})


@check("network/biggan/as published", "network", _G_COVERS + _D_COVERS, full_only=True)
def _as_published() -> list[Finding]:
    """Values and gradients at the width of the authors' networks for CIFAR-10."""
    tasks = {
        network: network_task(
            network, "biggan-cifar10", image_size=32, width=64, z_dim=128
        )
        for network in ("generator", "discriminator")
    }
    return _compare(tasks)


# By classes, image size, width and length of the latents. That of ImageNet is of
# compare_gan's test, the others follow from the authors' PyTorch code, with attention.
_SIZES = (
    (10, 32, 64, 80, (4_369_156, 4_289_282)),
    (10, 64, 64, 100, (31_739_396, 19_558_082)),
    (1000, 128, 96, 120, (70_433_988, 87_982_370)),
)
for _classes, _size, _width, _z_dim, _counts in _SIZES:
    _config = dataclasses.replace(
        PRESETS["biggan-cifar10"], image_size=_size, width=_width, z_dim=_z_dim
    )
    check(
        f"network/biggan/known sizes/{_size}",
        "network",
        _G_COVERS + _D_COVERS,
        full_only=_size == 128,  # of 160 million numbers
    )(functools.partial(known_sizes, {_config: _counts}, _classes))
