"""Hops: train in one twin, go on in the other; and what a checkpoint means to both."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.trajectories import VARIANTS, cancelled, tolerance
from parity_tests.harness.trajectories import (
    compare_runs,
    go_on,
    make_pair,
    run,
    run_singly,
    shrink,
)
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.drawing import images
from shared.files.arrays import Arrays
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.training.session import Session

_COVERS = (
    "arrays.arrays_to_network",
    "arrays.arrays_to_state",
    "arrays.network_statements",
    "arrays.network_to_arrays",
    "arrays.state_to_arrays",
    "backend.Backend",
)
_BEFORE, _AFTER = 4, 4

# Variants with arrays that no other of these has: the short certificate's. R3GAN's step
# takes long to compile; its samples hop in the short one too.
_OF_A_KIND = ("gan", "wgan", "wgan-gp", "cgan", "hinge", "mlp", "sngan")

# Settings that add arrays to a checkpoint, beside those that the variants bring.
_EXTRAS: dict[str, dict[str, Any]] = {
    "ema": {"ema_decay": 0.9},
    "rmsprop": {"optimizer": "rmsprop"},
    "spectral norm": {"g_weight_norm": "spectral", "d_weight_norm": "spectral"},
    "weight norm": {"g_weight_norm": "weight", "d_weight_norm": "weight"},
}


def _hop(config: TrainConfig, channels: int = 1) -> list[Finding]:
    """Both directions, against both twins that never hopped."""
    torch, jax = make_pair(config, channels)
    never = {
        twin: list(run(session, _BEFORE + _AFTER))
        for twin, session in (("torch", torch), ("jax", jax))
    }
    result = []
    for name, first, second in (
        ("torch to jax", torch, jax),
        ("jax to torch", jax, torch),
    ):
        states = list(run(first, _BEFORE))
        left = first.backend.arrays()
        second.restore(_through_file(first, left), _BEFORE)
        arrived = second.backend.arrays()
        result.append(Finding(f"{name}, on arrival", _largest(left, arrived), "exact"))
        states += go_on(second, _AFTER)
        for twin, straight in never.items():
            result += compare_runs(
                states,
                straight,
                tolerance(config),
                f"{name}, against {twin} alone, ",
                cancelled(config),
            )
    return result


def _through_file(session: Session, arrays: Arrays) -> Arrays:
    config, data = session.config, session.data.info
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "000004.safetensors"
        checkpoint.save(path, Checkpoint(_BEFORE, config, data, arrays))
        stored = checkpoint.load(path)
    assert (stored.step, stored.config, stored.data) == (_BEFORE, config, data)
    return stored.arrays


def _largest(first: Arrays, second: Arrays) -> float:
    assert first.keys() == second.keys(), (
        f"only one has {sorted(first.keys() ^ second.keys())}"
    )
    for name in first:
        assert first[name].dtype == second[name].dtype, f"{name}: types differ"
    return max(difference(first[name], second[name]) for name in first)


for _name, _variant in VARIANTS.items():
    check(f"hop/{_name}", "hop", _COVERS, full_only=_name not in _OF_A_KIND)(
        functools.partial(_hop, _variant.short.config, _variant.channels)
    )
for _name, _changes in _EXTRAS.items():
    check(f"hop/{_name}", "hop", _COVERS)(
        functools.partial(_hop, shrink(PRESETS["gan"], **_changes))
    )


# Generators that differ: their norm, their labels, their average, their weights.
_SAMPLED: dict[str, dict[str, Any]] = {
    "dcgan": {},
    "cgan": {},
    "ema": {"ema_decay": 0.9},
    "spectral norm": {"g_weight_norm": "spectral"},
    "instance norm": {"g_norm": "instance"},
    "cgan-pd-cifar10": {"n_critic": 1},
    "biggan": {"image_size": 8},
    "r3gan": {"image_size": 8, "width": 16},
    "r3gan-cifar10": {"image_size": 8, "width": 16},
    "stylegan2": {"image_size": 8},
    "stylegan2-cifar10": {"image_size": 8},
}


def _samples(name: str) -> list[Finding]:
    """Evaluation-mode images from one checkpoint in float32, trained in PyTorch."""
    preset = PRESETS.get(name, PRESETS["gan"])
    config = shrink(preset, precision="float32", **_SAMPLED[name])
    torch, jax = make_pair(config)
    torch.start()
    trained = run_singly(torch, 60)
    jax.restore(_through_file(torch, trained), 60)
    drawn = [_draw(session, 2000) for session in (torch, jax)]
    spread = float(np.ptp(drawn[0]))
    assert spread > 0.05, f"the images span {spread:.3g}: they show nothing"
    grey = [images.to_uint8(x).astype(int) for x in drawn]
    return [
        Finding("images", difference(*drawn, floor=1.0), "samples, float32"),
        Finding(
            "grey levels of 255",
            float(np.abs(grey[0] - grey[1]).max()),
            "samples, grey levels",
            note=f"{(grey[0] != grey[1]).mean():.2%} of the pixels differ",
        ),
    ]


def _draw(session: Session, count: int) -> NDArray[np.float32]:
    config = session.config
    z = noise.normal(5, "drawn samples", 0, count, config.z_dim)
    labels = np.arange(count, dtype=np.int32) % session.data.info.num_classes
    return session.backend.sample(z, labels if config.conditional else None)


for _name in _SAMPLED:
    check(f"samples/{_name}", "hop", _COVERS)(functools.partial(_samples, _name))


def _sampling_is_pure(config: TrainConfig) -> list[Finding]:
    """Drawing samples between the steps changes no state and no later step."""
    result = []
    for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
        session.start()
        undisturbed = run_singly(session, 4)
        session.start()
        for step in range(4):
            before = run_singly(session, 1)
            _draw(session, 20)
            after = session.backend.arrays()
            changed = [k for k in before if before[k].tobytes() != after[k].tobytes()]
            assert not changed, f"{twin}, step {step}: sampling changed {changed}"
        result.append(
            Finding(f"later steps, {twin}", _largest(undisturbed, after), "exact")
        )
    return result


for _name, _config in {
    "gan": VARIANTS["gan"].config,
    "cgan": VARIANTS["cgan"].config,
    "spectral norm, ema": shrink(
        PRESETS["gan"], g_weight_norm="spectral", ema_decay=0.9
    ),
}.items():
    check(f"sampling changes nothing/{_name}", "fact", _COVERS)(
        functools.partial(_sampling_is_pure, _config)
    )
