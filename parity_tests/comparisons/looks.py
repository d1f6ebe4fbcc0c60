"""A penalty by the looks that the loss has is the penalty by looks of its own.

PyTorch is compared with itself here; `first steps/one look` and the variants compare
JAX with it.
"""

import functools
from unittest import mock

from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.trajectories import cancelled, tolerance
from parity_tests.harness.trajectories import (
    State,
    compare_runs,
    make_session,
    run,
    shrink,
)
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, PENALTIES

_COVERS = ("penalties.gradient_and_outputs", "penalties.squared_slopes")
_STEPS = 3


def _run(config: TrainConfig, *, once: bool) -> list[State]:
    session = make_session(config, 1, "torch")
    if once:
        assert config.looks_once, "nothing is compared"
        return list(run(session, _STEPS))
    with mock.patch.object(TrainConfig, "looks_once", False):
        return list(run(session, _STEPS))


def _compare(architecture: str, penalty: str) -> list[Finding]:
    # No batch norm, where that may be: it leaves biases free.
    norms = {"g_norm": "layer", "d_norm": "none"}
    config = shrink(
        PRESETS["cgan"],
        architecture=architecture,
        penalty=penalty,
        **norms | dict(ARCHITECTURES[architecture].lacks),
    )
    alone = _run(config, once=False)
    return compare_runs(
        _run(config, once=True), alone, tolerance(config), cancelled=cancelled(config)
    )


for _architecture, _traits in ARCHITECTURES.items():
    if _traits.d_is_plain:
        check(f"penalty/one look/{_architecture}", "penalty", _COVERS)(
            functools.partial(_compare, _architecture, "r1-r2")
        )
for _penalty, _row in PENALTIES.items():
    if _row.squares_slopes:
        check(f"penalty/one look/{_penalty}", "penalty", _COVERS)(
            functools.partial(_compare, "dcgan", _penalty)
        )
