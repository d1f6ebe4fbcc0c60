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


@pytest.mark.parametrize(
    ("every", "total", "expected"),
    [
        ((50, 400, 0), 1200, 10),
        ((175, 875, 0), 3500, 7),
        ((500, 2000, 0), 390_625, 5),
        # No number divides all: the end alone is of another length.
        ((50, 400, 100), 1201, 10),
        ((35, 70, 0), 1201, 7),
        ((33, 66, 0), 1000, 10),  # half of it and more would be lost
        # What comes after the end does not come.
        ((175, 875, 0), 40, 10),
        ((50, 400, 0), 8, 8),
    ],
)
def test_a_call_has_so_many_steps_that_there_are_few_lengths(
    every: tuple[int, int, int], total: int, expected: int
) -> None:
    sample, save, evaluate = every
    config = dataclasses.replace(
        CONFIG, sample_every=sample, save_every=save, evaluate_every=evaluate
    )
    assert schedules.steps_of_call(config, total, 10) == expected
    assert schedules.steps_of_call(config, total, 1) == 1


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


MOVING = dataclasses.replace(
    CONFIG,
    batch_size=10,
    penalty="r1",
    d_norm="none",
    burn_in_images=400,
    g_lr=2e-4,
    final_g_lr=5e-5,
    d_lr=1e-4,
    final_d_lr=3e-4,
    penalty_weight=0.5,
    final_penalty_weight=0.05,
    adam_betas=(0.0, 0.9),
    final_beta2=0.99,
    final_ema_half_life=500.0,
    augment="ada",
    augment_p=0.1,
    final_augment_p=0.6,
)


def _moved(step: int, **changes: Any) -> schedules.Scalars:
    return schedules.scheduled(dataclasses.replace(MOVING, **changes), TOTAL, step)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.0),
        (10, (1 - math.sqrt(0.5)) / 2),
        (20, 0.5),
        (30, (1 + math.sqrt(0.5)) / 2),
        (39, (1 - math.cos(math.pi * 0.975)) / 2),
        *((step, 1.0) for step in (40, 41, 10**9)),
    ],
)
def test_a_burn_in_is_half_a_cosine_of_the_images_seen(step: int, share: float) -> None:
    found = _moved(step)
    half_life = 500.0 * share
    expected = {
        "g_lr": 2e-4 - 1.5e-4 * share,
        "d_lr": 1e-4 + 2e-4 * share,
        "penalty_weight": 0.5 - 0.45 * share,
        "beta2": 0.9 + 0.09 * share,
        "ema_share": 1 - 0.5 ** (10 / half_life) if share else 1.0,
        "augment_p": 0.1 + 0.5 * share,
    }
    assert found._asdict() == pytest.approx(expected, rel=1e-12)


def test_a_burn_in_ends_where_it_is_said_to() -> None:
    end = _moved(40)
    assert end[:4] == (5e-5, 3e-4, 0.05, 0.99)


@pytest.mark.parametrize(
    ("changes", "step"), [({"n_critic": 4}, 5), ({"d_every": 2}, 40)]
)
def test_images_are_those_that_d_has_seen(changes: dict[str, Any], step: int) -> None:
    assert _moved(step, **changes)[:4] == pytest.approx(_moved(20)[:4], rel=1e-12)


def test_a_half_life_is_of_images() -> None:
    """After so many images, half of the average is what it was before."""
    base = dataclasses.replace(CONFIG, batch_size=10, ema_half_life=80.0)
    for config, steps in (
        (base, 8),
        (dataclasses.replace(base, n_critic=4), 2),
        (dataclasses.replace(base, d_every=2), 16),
    ):
        share = schedules.scheduled(config, TOTAL, 3).ema_share
        assert (1 - share) ** steps == pytest.approx(0.5, rel=1e-12)


def test_a_long_half_life_loses_no_digits() -> None:
    config = dataclasses.replace(CONFIG, batch_size=10, ema_half_life=1e15)
    share = schedules.scheduled(config, TOTAL, 0).ema_share
    assert share == pytest.approx(math.log(2) * 1e-14, rel=1e-12)


def test_what_has_no_schedule_stays_as_it_is_configured() -> None:
    assert schedules.scheduled(CONFIG, TOTAL, 7)[2:] == (None,) * 4
    assert schedules.constants(CONFIG).augment_p is None
    config = dataclasses.replace(CONFIG, ema_decay=0.9)
    assert schedules.scheduled(config, TOTAL, 7).ema_share is None
    assert schedules.constants(config).ema_share == 1 - 0.9


def test_a_rollback_halves_rates_and_nothing_else() -> None:
    before = _moved(20)
    after = schedules.scheduled(MOVING, TOTAL, 20, rollbacks=2)
    assert after[:2] == (before.g_lr / 4, before.d_lr / 4)
    assert after[2:] == before[2:]


@pytest.mark.parametrize("save_every", [1, 3, 4, 6])
@pytest.mark.parametrize("evaluate_every", [0, 1, 2, 9])
def test_checkpoints_are_counted_without_a_look_at_each_step(
    save_every: int, evaluate_every: int
) -> None:
    config = TrainConfig(save_every=save_every, evaluate_every=evaluate_every)
    for steps in (range(1, 40), range(6, 7), range(7, 7), range(9, 30)):
        counted = sum(schedules.is_saved(config, step) for step in steps)
        assert schedules.count_saved(config, steps) == counted
    assert schedules.count_saved(config, range(1, 10**12)) >= 10**12 // save_every - 1
