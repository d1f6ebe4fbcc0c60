"""ADA, without its pipe (see `augmentation`): maps, the controller, whole steps."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import gans_jax.ada
import gans_torch.ada
from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.comparisons.augmentation import ada_records
from parity_tests.comparisons.first_steps import make_config
from parity_tests.harness import oracle
from parity_tests.harness.trajectories import compare_runs, make_pair, run_singly
from shared.config.memory import initial_memory, on_file
from shared.config.train_config import TrainConfig
from shared.files.arrays import Arrays
from shared.training.session import Session

# Of a run that adapts: what matters where the steps augment.
_SETTINGS: dict[str, Any] = {"augment": "ada", "penalty": "r1", "d_norm": "none"}
# Far on its way, a step before it moves again: 0.75 of all steps are made.
_MEMORY = {"ada.adjustments": 23438, "ada.signs": -2, "ada.steps": 3}


def _config(**changes: Any) -> TrainConfig:
    return make_config("averages", feature_matching=0.3, **_SETTINGS | changes)


@check("ada/maps", "augmentation", ("ada.maps_of",))
def _maps() -> list[Finding]:
    """Steps that are made and others that are not, whatever the axes before."""
    worst, records = Worst(), ada_records((3, 8, 12))
    by_two = records.reshape(2, 3, -1)
    for p in (0.0, 0.3, 0.7, 1.0):
        expected = np.stack([oracle.ada_maps(record, p) for record in records])
        of_torch = gans_torch.ada.maps_of(torch.from_numpy(by_two), torch.tensor(p))
        with jax.enable_x64(True):
            of_jax = np.asarray(gans_jax.ada.maps_of(jnp.asarray(by_two), p))
        for twin, found in (("torch", of_torch.numpy()), ("jax", of_jax)):
            worst.compare(
                f"{twin} to formula",
                found.reshape(6, -1),
                expected,
                "augmentation, float64",
                f"p {p}",
                floor=1.0,
            )
    return worst.findings()


def _signs(config: TrainConfig) -> list[float]:
    """Mean signs of steps: above 0.6, below it, and exactly 0.6 of four steps."""
    count = config.batch_size * config.n_critic
    sums = [8, 7, 6, 8, 8, 8, 8, 8, 2, 0, -3, 1, 8, 4, 4, 4, *[-8] * 9, *[5] * 7]
    exact = [count * 3 // 5] * 4
    return [x / count for x in (*sums, *exact, *sums)]


@check("ada/controller", "augmentation", ("ada.adapted", "ada.probability"))
def _controller() -> list[Finding]:
    """Given signs: memory and probability after each step."""
    config, worst = _config(batch_size=5, n_critic=2), Worst()
    memories: dict[str, Any] = {
        "torch": {k: torch.as_tensor(x) for k, x in initial_memory(config).items()},
        "jax": {
            k: jnp.asarray(x, jnp.int32) for k, x in initial_memory(config).items()
        },
    }
    adapt = {
        "torch": lambda memory, sign: gans_torch.ada.adapted(
            config, memory, torch.tensor(sign)
        ),
        "jax": jax.jit(functools.partial(gans_jax.ada.adapted, config)),
    }
    p, history = 0.0, []
    for step, sign in enumerate(_signs(config)):
        history = [*history, sign][-4:]
        if step % 4 == 3:
            # Signs in tenths, of four steps: exact, as the decision must be.
            total = sum(round(10 * x) for x in history)
            p = max(0.0, p + float(np.sign(total - 24)) * 4 * 10 / 500_000)
        for twin in memories:
            memories[twin] = adapt[twin](memories[twin], np.float32(sign))
        with jax.enable_x64(True):
            found = {
                "torch": gans_torch.ada.probability(
                    config, memories["torch"], torch.float64
                ),
                "jax": gans_jax.ada.probability(
                    config, memories["jax"], jnp.dtype("float64")
                ),
            }
        for twin, value in found.items():
            worst.compare(
                f"{twin} to formula",
                np.asarray(value),
                np.float64(p),
                "augmentation, float64",
                f"step {step}",
                floor=1e-4,
            )
    return worst.findings()


def about_to_decide(session: Session) -> Arrays:
    """A run's first arrays, a step before the controller decides."""
    memory = {on_file(k): np.asarray(x, np.int64) for k, x in _MEMORY.items()}
    return session.initial_arrays() | memory


def _run(session: Session) -> list[Arrays]:
    """Metrics and arrays after each of four steps, from that memory."""
    session.restore(about_to_decide(session), 0)
    return [session.run(1) | session.backend.arrays() for _ in range(4)]


@check("ada/steps", "training", ("ada.augment", "ada.maps_of", "ada.adapted"))
def _steps() -> list[Finding]:
    """A run that adapts, from a memory of its own: step by step, and from twin to twin.

    The first step decides; the other three look with what it decided.
    """
    torch, jax = make_pair(_config())
    of_torch, of_jax = _run(torch), _run(jax)
    result = compare_runs(of_torch, of_jax, "first steps, float64")
    for twin, states in (("torch", of_torch), ("jax", of_jax)):
        moved = int(states[0][on_file("ada.adjustments")])
        p = 23437 * 4 * torch.config.images_per_step / 500_000
        told = abs(float(states[1]["augment_p"].item()) - p)
        result += [
            Finding(f"adjustments of {twin}", abs(moved - 23437.0), "exact"),
            Finding(f"p that {twin} tells", told, "first steps, float64"),
        ]
    for name, first, second, end in (
        ("from PyTorch to JAX", of_torch[1], jax, of_torch[3]),
        ("from JAX to PyTorch", of_jax[1], torch, of_jax[3]),
    ):
        second.restore({k: x for k, x in first.items() if "." in k}, 2)
        arrived = run_singly(second, 2)
        largest = max(difference(x, end[k], floor=1.0) for k, x in arrived.items())
        result.append(Finding(f"hop {name}", largest, "first steps, float64"))
    return result
