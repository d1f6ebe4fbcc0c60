"""R3GAN's networks: their blocks, with labels and without, and the published sizes."""

import dataclasses
import functools
from types import ModuleType
from typing import Any

import numpy as np

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.residual_networks import known_sizes
from parity_tests.comparisons.trajectories import VARIANTS
from parity_tests.harness.modules import compare_twins, softened
from parity_tests.harness.tasks import Task, normal
from shared.sizes import ImageSize, height_and_width, text

_FLOAT64 = "network, float64"
_FLOAT32 = "network, float32"
_CLASSES = 3
_LABELS = np.array([2, 0, 0, 1])
_G_COVERS = (
    "models.R3ganGenerator",
    "models.r3gan.ResidualBlock",
    "models.r3gan.UpStage",
)
_D_COVERS = (
    "models.R3ganDiscriminator",
    "models.r3gan.DownStage",
    "models.r3gan.ResidualBlock",
)


def _task(network: str, size: ImageSize = 8, width: int = 8, classes: int = 0) -> Task:
    """One network on four samples.

    Args:
        network: ``Generator`` or ``Discriminator``.
        size: of the images.
        width: as in the configuration.
        classes: to condition on.
    """
    options: dict[str, Any] = {"image_size": size, "width": width, "channels": 3}
    options["num_classes"] = classes
    if is_generator := network == "Generator":
        options["z_dim"] = 5
    shape = (5,) if is_generator else (3, *height_and_width(size))

    def build(twin: ModuleType) -> Any:
        return getattr(twin.models, f"R3gan{network}")(**options)

    labels = _LABELS if classes else None
    # D is differentiated twice, as R1 and R2 do.
    twice = not is_generator
    return Task(build, normal(1, 4, *shape), labels, True, twice, softened)


@check("network/r3gan", "network", _G_COVERS + _D_COVERS)
def _networks() -> list[Finding]:
    tasks = {
        "generator": _task("Generator", 16, 16),
        "generator, conditional": _task("Generator", classes=_CLASSES),
        "discriminator": _task("Discriminator", 16, 16),
        "discriminator, conditional": _task("Discriminator", classes=_CLASSES),
    }
    return compare_twins(tasks, _FLOAT64, floor=0.1)


@check("network/r3gan/float32", "network", _G_COVERS + _D_COVERS)
def _float32() -> list[Finding]:
    tasks = {network: _task(network) for network in ("Generator", "Discriminator")}
    tasks = {name: task._replace(second_order=False) for name, task in tasks.items()}
    return compare_twins(tasks, _FLOAT64, _FLOAT32, floor=0.1)


@check("network/r3gan/sizes", "network", _G_COVERS + _D_COVERS)
def _sizes() -> list[Finding]:
    """Of another base than 4; and with a fourth doubling, where the width is halved.

    And of a rectangle.
    """
    tasks = {
        f"{network}, {text(size)} pixels": _task(network, size, width)
        for network in ("Generator", "Discriminator")
        for size, width in ((14, 8), (64, 16), ((8, 14), 8))
    }
    tasks = {name: task._replace(second_order=False) for name, task in tasks.items()}
    return compare_twins(tasks, _FLOAT64, floor=0.1)


@check("network/r3gan/as published", "network", _G_COVERS + _D_COVERS, full_only=True)
def _as_published() -> list[Finding]:
    """Values and gradients at the width of the paper's networks for CIFAR-10."""
    tasks = {
        network: _task(network, 32, 768, 10)._replace(second_order=False)
        for network in ("Generator", "Discriminator")
    }
    return compare_twins(tasks, _FLOAT64, floor=0.1)


# Of the paper, section 4 and appendix B; those of other widths by the same structure.
_SIZES = (
    (32, 96, False, (527_136, 521_088)),
    (32, 128, False, (833_920, 825_856)),
    (32, 192, False, (1_644_096, 1_632_000)),
    (32, 256, False, (2_716_416, 2_700_288)),
    (32, 384, False, (5_647_488, 5_623_296)),
    (32, 768, False, (20_732_160, 20_683_776)),
    (32, 768, True, (20_781_952, 21_280_512)),
    (64, 768, False, (22_429_824, 22_381_440)),
    (256, 768, False, (23_057_952, 23_009_568)),
)
check("network/r3gan/known sizes", "network", _G_COVERS + _D_COVERS)(
    functools.partial(
        known_sizes,
        {
            dataclasses.replace(
                VARIANTS["r3gan"].config,
                image_size=size,
                width=width,
                z_dim=64,
                conditional=conditional,
            ): counts
            for size, width, conditional, counts in _SIZES
        },
    )
)
