"""The first steps of a few mixed configurations, with samples: quick, for mutants.

`trajectories` goes on for longer and takes one setting at a time; these are small
enough to be run for every mutant of the training step.
"""

import contextlib
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from gans_jax import losses as jax_losses
from gans_jax import penalties as jax_penalties
from gans_torch import losses as torch_losses
from gans_torch import penalties as torch_penalties
from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.modules import compare_twins
from parity_tests.harness.tasks import Task
from parity_tests.harness.trajectories import (
    compare_trajectories,
    make_pair,
    run_singly,
    shrink,
)
from shared.backend import Backend
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import OBJECTIVES, PENALTIES, ObjectiveTraits
from shared.files.arrays import Arrays
from shared.randomness import noise

_TINY = {"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 4, "steps": 8}

# Several settings each, because JAX takes seconds to compile a step.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "averages": (
        "dcgan",
        {"ema_decay": 0.9, "d_lr": 3e-4, "lr_schedule": "linear", "warmup_steps": 2},
    ),
    # Twice the size, because D's first block has no norm.
    "batch norm": ("dcgan", {"image_size": 16}),
    "remedies": (
        "cgan",
        {
            "label_smoothing": 0.1,
            "label_flip": 0.4,
            "instance_noise": 0.2,
            "instance_noise_steps": 4,
            "feature_matching": 0.3,
            "aux_classifier": 0.5,
            "clip_grad_norm": 0.1,
            "minibatch_discrimination": 2,
            "minibatch_std": 2,
            "d_every": 2,
        },
    ),
    "critic": ("wgan-gp", {"conditional": True, "n_critic": 2}),
    "clipped critic": ("wgan", {"n_critic": 2}),
    "augmentation": (
        "dcgan",
        {
            "augment": "diffaugment:translation,color,cutout",
            "flip": True,
            "d_norm": "none",
            "penalty": "r1",
            # Real images in G's update too; and noise, which comes before T.
            "feature_matching": 0.3,
            "instance_noise": 0.1,
        },
    ),
    # Loss and penalty by the same looks, with all that a look says.
    "one look": (
        "dcgan",
        {
            "conditional": True,
            "aux_classifier": 0.5,
            "minibatch_std": 2,
            "instance_noise": 0.1,
            "d_norm": "none",
            "penalty": "r1-r2",
        },
    ),
    # Nothing in it says of which images G's update is, but for the relativistic loss.
    "burn-in": (
        "relativistic",
        {
            "g_own_batch": True,
            "conditional": True,
            "flip": True,
            "n_critic": 2,
            "penalty": "r1-r2",
            "burn_in_images": 20,
            "final_g_lr": 5e-4,
            "final_d_lr": 2e-4,
            "final_penalty_weight": 1.0,
            "final_beta2": 0.9,
            "final_ema_half_life": 30.0,
            "augment": "ada:r3gan",
            "augment_p": 0.1,
            "final_augment_p": 0.9,
        },
    ),
    "spectral norm": (
        "relativistic",
        {
            "g_norm": "instance",
            "g_weight_norm": "spectral",
            "penalty": "r1",
            "g_orthogonal": 0.1,
        },
    ),
}


def make_config(name: str, **changes: Any) -> TrainConfig:
    """One of `CONFIGS`, tiny, in float64; and what else to change."""
    preset, settings = CONFIGS[name]
    return shrink(PRESETS[preset], **(_TINY | settings | changes))


def _compare(name: str) -> list[Finding]:
    config = make_config(name)
    findings = compare_trajectories(config, 3, "first steps, float64")
    torch, jax = make_pair(config, 1)
    return [*findings, *_compare_samples(config, torch.backend, jax.backend)]


def _compare_samples(
    config: TrainConfig, torch: Backend, jax: Backend
) -> list[Finding]:
    """Samples agree, and drawing them changes nothing."""
    z = noise.normal(1, "fixed latents", 0, 3, config.z_dim)
    labels = np.array([2, 0, 7], np.int32) if config.conditional else None
    images, changes = [], []
    for backend in (torch, jax):
        before = backend.arrays()
        images.append(backend.sample(z, labels))
        after = backend.arrays()
        changes.append(max(difference(before[k], after[k]) for k in before))
    return [
        Finding("samples", difference(*images, floor=1.0), "exact"),
        Finding("state after sampling", max(changes), "exact"),
    ]


for _name in CONFIGS:
    check(f"first steps/{_name}", kind="training")(functools.partial(_compare, _name))


_OWN = "registered-in-parity-tests"


@check(
    "first steps/registered",
    kind="training",
    covers=("losses.register_objective", "penalties.register_penalty"),
)
def _registered() -> list[Finding]:
    """An objective and a penalty that are registered train both twins alike."""
    with contextlib.ExitStack() as undo:
        for losses, penalties in (
            (torch_losses, torch_penalties),
            (jax_losses, jax_penalties),
        ):
            losses.register_objective(_OWN, *_relativistic_squares(losses))
            undo.callback(losses.OBJECTIVES.pop, _OWN)
            penalties.register_penalty(_OWN, _mixed_slope(penalties))
            undo.callback(penalties.PENALTIES.pop, _OWN)
        undo.callback(OBJECTIVES.pop, _OWN)
        undo.callback(PENALTIES.pop, _OWN)
        assert OBJECTIVES[_OWN] == ObjectiveTraits(relativistic=True)
        config = make_config("critic", objective=_OWN, penalty=_OWN)
        return compare_trajectories(config, 3, "first steps, float64")


def _relativistic_squares(losses: ModuleType) -> tuple[Callable[..., Any], ...]:
    """Each real output should be 1 above the one that it is paired with, for G below.

    Jolicoeur-Martineau 2018, arXiv:1807.00734, whose table of these has RpLSGAN too.
    """

    def discriminator_loss(real_logits: Any, fake_logits: Any) -> Any:
        return losses.batch_mean((real_logits - fake_logits - 1) ** 2)

    def generator_loss(real_logits: Any, fake_logits: Any) -> Any:
        return discriminator_loss(fake_logits, real_logits)

    return discriminator_loss, generator_loss


def _mixed_slope(penalties: ModuleType) -> Callable[..., Any]:
    """Squared slope between real and generated images; in parameters of any order."""

    def penalty(critic: Any, alpha: Any, fake: Any, real: Any) -> Any:
        share = alpha[:, None, None, None]
        return penalties.r1_penalty(critic, share * real + (1 - share) * fake)

    return penalty


@check("first steps/float32", kind="training")
def _float32() -> list[Finding]:
    """Each twin in float32 against itself in float64: nothing coarser leaks in."""
    ends: dict[str, dict[str, Arrays]] = {}
    for precision in ("float64", "float32"):
        config = make_config("averages", precision=precision)
        for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
            session.start()
            ends.setdefault(twin, {})[precision] = run_singly(session, 2)
    worst = Worst()
    for twin, end in ends.items():
        for name, exact in end["float64"].items():
            worst.compare(
                f"{twin}, float32 against float64",
                end["float32"][name],
                exact,
                "first steps, float32",
                name,
                floor=1.0,
            )
    return worst.findings()


@check("layer/square convolutions", kind="layer", covers=("layers.Conv2d",))
def _square() -> list[Finding]:
    """As many channels out as in: no shape tells a kernel from its transpose."""
    tasks = {
        layer: Task(
            lambda twin, layer=layer: getattr(twin.layers, layer)(
                3, 3, kernel_size=4, stride=2, padding=1
            ),
            np.random.default_rng(0).standard_normal((1, 2, 3, 5, 4), np.float32),
            second_order=False,
        )
        for layer in ("Conv2d", "ConvTranspose2d")
    }
    return compare_twins(tasks, "layer, float64")
