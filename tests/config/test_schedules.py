"""Lengths of runs, learning rates and noise levels over the steps."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest

from shared.config import schedules
from shared.config.choices import Schedule
from shared.config.train_config import TrainConfig

CONFIG = TrainConfig()
TOTAL = 40


def _factors(schedule: Schedule, warmup: int = 0) -> list[float]:
    config = dataclasses.replace(CONFIG, lr_schedule=schedule, warmup_steps=warmup)
    return [schedules.learning_rate_factor(config, TOTAL, t) for t in range(TOTAL)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 7}, 7),
        # 1,000 images in batches of 64: 15 full ones an epoch.
        ({"steps": None, "epochs": 1.0}, 15),
        ({"steps": None, "epochs": 2.5}, 38),  # 37.5, rounded
        ({"steps": None, "epochs": 4.0, "n_critic": 5}, 12),
        ({"steps": None, "epochs": 1.0, "d_every": 3}, 45),
        ({"steps": None, "epochs": 1e-6}, 1),
    ],
)
def test_total_steps(changes: dict[str, Any], expected: int) -> None:
    config = dataclasses.replace(CONFIG, batch_size=64, **changes)
    assert schedules.total_steps(config, 1000) == expected


def test_constant() -> None:
    assert _factors("constant") == [1.0] * TOTAL


def test_linear_decay_falls_by_equal_amounts_and_ends_one_step_from_zero() -> None:
    factors = _factors("linear")
    assert factors[0] == 1.0
    np.testing.assert_allclose(np.diff(factors), -1 / TOTAL, rtol=1e-9)
    assert factors[-1] == pytest.approx(1 / TOTAL)


def test_cosine_decay() -> None:
    factors = _factors("cosine")
    assert factors[0] == 1.0
    assert factors[TOTAL // 2] == pytest.approx(0.5)
    assert factors[TOTAL // 4] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert all(later < earlier for earlier, later in itertools.pairwise(factors))
    assert 0 < factors[-1] < 0.002


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_decay_stays_at_zero_after_the_end(schedule: Schedule) -> None:
    config = dataclasses.replace(CONFIG, lr_schedule=schedule)
    for step in (TOTAL, TOTAL + 1, 3 * TOTAL):
        factor = schedules.learning_rate_factor(config, TOTAL, step)
        assert factor == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_multiplies_the_schedule_and_never_starts_at_zero(
    schedule: Schedule,
) -> None:
    plain, warmed = np.array(_factors(schedule)), np.array(_factors(schedule, warmup=4))
    expected = np.minimum(np.arange(1, TOTAL + 1) / 5, 1.0)
    np.testing.assert_allclose(warmed / plain, expected, rtol=1e-12)


def test_instance_noise_scale() -> None:
    config = dataclasses.replace(CONFIG, instance_noise=0.2, instance_noise_steps=10)
    found = [schedules.instance_noise_scale(config, t) for t in (0, 5, 9, 10, 99)]
    np.testing.assert_allclose(found, [0.2, 0.1, 0.02, 0.0, 0.0], rtol=1e-6)
    # Multiplied into float32 noise, it must not widen it.
    assert all(scale.dtype == np.float32 for scale in found)
