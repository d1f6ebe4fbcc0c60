"""An update from slices of its batch is the batch's update.

All are compared with PyTorch, which takes the whole batch at once. `devices` has slices
on several devices.
"""

import dataclasses
import functools
from typing import Any

from parity_tests.certificate.registry import Finding, check
from parity_tests.harness.trajectories import (
    compare_runs,
    make_session,
    run,
    shrink,
)
from shared.config.meetings import MEETINGS, meetings
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES

_BOUND = "slices, float64"
_STEPS, _FULL_STEPS = 3, 20
_TINY = {"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 8, "d_norm": "none"}
_SPECTRAL = {"g_norm": "instance", "g_weight_norm": "spectral"}

# Everything that a slice has a part of; and what must not happen once a slice.
CONFIGS: dict[str, TrainConfig] = {
    "pairs": shrink(
        PRESETS["relativistic"],
        **_TINY | _SPECTRAL,
        d_weight_norm="spectral",
        conditional=True,
        penalty="wgan-gp",
        instance_noise=0.2,
        augment="diffaugment:translation,color",
        flip=True,
        n_critic=2,
        ema_decay=0.9,
        accumulate=2,
    ),
    "labels": shrink(
        PRESETS["dcgan"],
        **_TINY | _SPECTRAL,
        conditional=True,
        aux_classifier=0.5,
        label_flip=0.4,
        label_smoothing=0.1,
        penalty="r1",
        g_own_batch=True,
        clip_grad_norm=0.1,
        g_orthogonal=0.1,
        augment="ada",
        d_every=2,
        accumulate=4,
    ),
    "clipped critic": shrink(
        PRESETS["wgan"], **_TINY | {"g_norm": "none"}, n_critic=2, accumulate=8
    ),
    "points": shrink(
        PRESETS["ring"],
        dataset="ring",
        image_size=1,
        batch_size=12,
        g_orthogonal=0.1,
        accumulate=3,
    ),
}
# Those that JAX tries in the short certificate; it takes seconds to compile one.
_JAX = ("points",)


def in_slices(config: TrainConfig, count: int) -> TrainConfig:
    """The configuration with so many slices, even where that is refused."""
    changed = dataclasses.replace(config, accumulate=1)
    object.__setattr__(changed, "accumulate", count)
    return changed


def _compare(twin: str, config: TrainConfig, steps: int) -> list[Finding]:
    channels = 2 if config.image_size == 1 else 1
    whole = make_session(in_slices(config, 1), channels, "torch")
    sliced = make_session(config, channels, twin)
    return compare_runs(run(whole, steps), run(sliced, steps), _BOUND)


def _cases() -> dict[str, TrainConfig]:
    """Every objective, penalty and architecture, and all that `MEETINGS` names."""
    # With a norm, which D's first block has not, no D is linear between two images:
    # DRAGAN's penalty depends on where it looks.
    curved = {"image_size": 16, "d_norm": "layer"}
    base = shrink(PRESETS["hinge"], **_TINY | curved, g_norm="none")

    def change(**changes: Any) -> TrainConfig:
        return dataclasses.replace(base, **changes)

    cases = {f"--objective {name}": change(objective=name) for name in OBJECTIVES}
    cases |= {f"--penalty {name}": change(penalty=name) for name in PENALTIES}
    for name, traits in ARCHITECTURES.items():
        width = 16 if name == "r3gan" else 2
        settings = {"architecture": name, "width": width, **traits.lacks}
        cases[f"--architecture {name}"] = change(**settings)
    return cases | {
        "--g-norm batch": change(g_norm="batch"),
        "--g-norm conditional-batch": change(
            g_norm="conditional-batch", conditional=True
        ),
        "--d-norm batch": change(d_norm="batch"),
        "--g-norm instance": change(g_norm="instance", d_norm="group"),
        "--minibatch-discrimination 2": change(minibatch_discrimination=2),
        "--minibatch-std 4": change(minibatch_std=4),
        "--feature-matching 1": change(feature_matching=1.0),
    }


@check("accumulation/where samples meet", kind="training")
def _meetings() -> list[Finding]:
    """Slices differ from the batch where that is said, and nowhere else."""
    wrong, named = [], set()
    for name, config in _cases().items():
        found = meetings(config)
        named |= {meeting.field for meeting in found}
        agrees = all(x.holds for x in _compare("torch", in_slices(config, 2), 1))
        if agrees == bool(found):
            wrong.append(name)
    # Own architectures have none of the norms that are asked for.
    unknown = {x.field for x in MEETINGS} - named - {"architecture"}
    return [
        Finding("wrongly said", float(len(wrong)), "exact", note=", ".join(wrong)),
        Finding("never tried", float(len(unknown)), "exact", note=", ".join(unknown)),
    ]


for _twin in ("torch", "jax"):
    for _name, _config in CONFIGS.items():
        check(
            f"accumulation/{_twin}/{_name}",
            kind="training",
            full_only=_twin == "jax" and _name not in _JAX,
        )(functools.partial(_compare, _twin, _config, _STEPS))
        check(f"accumulation/{_twin}/{_name}, for longer", "training", (), True)(
            functools.partial(_compare, _twin, _config, _FULL_STEPS)
        )
