"""The comparison of runs, which must say where two of them part."""

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from parity_tests.harness.trajectories import compare_runs

# In the order in which a step makes them; named otherwise in the dictionary.
CAUSAL = (
    ("generator.blocks.0.norm.running_mean", "G's forward pass"),
    ("d_loss", "D's loss"),
    ("d_optimizer.exp_avg.conv.weight", "D's update"),
    ("discriminator.conv.weight", "D's update"),
    ("discriminator.conv._u", "D's statistics"),
    ("d_fake_after", "G's loss"),
    ("g_optimizer.exp_avg.blocks.0.up.weight", "G's update"),
    ("generator.blocks.0.up.weight", "G's update"),
    ("generator_ema.blocks.0.up.weight", "G's average"),
)
TOLERANCE = "trajectory, float64"


def _run(steps: int = 4) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(0)
    names = sorted(name for name, _ in CAUSAL)
    return [{name: rng.normal(size=3) for name in names} for _ in range(steps)]


def test_equal_runs_have_no_difference() -> None:
    first = _run()
    findings = compare_runs(first, copy.deepcopy(first), TOLERANCE, "prefix ")
    assert [finding.aspect for finding in findings] == [
        "prefix metrics",
        "prefix networks",
        "prefix optimizers",
    ]
    for finding in findings:
        assert finding.holds
        assert finding.curve == (0.0,) * 4


@pytest.mark.parametrize("position", range(len(CAUSAL)))
def test_the_first_to_diverge_is_named(position: int) -> None:
    first = _run()
    second = copy.deepcopy(first)
    # Everything that comes later in the step, and the steps after, diverge much more.
    for name, _ in CAUSAL[position:]:
        second[2][name][1] += 10.0
        second[3][name][1] += 100.0
    name, phase = CAUSAL[position]
    second[2][name][1] = first[2][name][1] + 0.001
    findings = compare_runs(first, second, TOLERANCE)
    broken = [finding for finding in findings if not finding.holds]
    assert broken
    for finding in broken:
        start = f"first to diverge: {name} by 0.00"
        assert finding.note.startswith(start), finding.note
        assert finding.note.endswith(f"step 2, {phase}")
        assert finding.curve[:2] == (0.0, 0.0)
        assert finding.difference == max(finding.curve) > 0


def test_within_the_bound_the_worst_is_named() -> None:
    first = _run()
    second = copy.deepcopy(first)
    second[1]["d_loss"][0] += 1e-14
    second[3]["d_fake_after"][0] += 3e-13
    metrics, networks, _ = compare_runs(first, second, TOLERANCE)
    assert metrics.note == "largest: d_fake_after, at step 3"
    assert metrics.difference == pytest.approx(3e-13, rel=0.01)
    assert networks.difference == 0


def test_small_arrays_are_compared_absolutely() -> None:
    first = [{name: 1e-8 * x for name, x in state.items()} for state in _run()]
    second = [{name: x + 1e-12 for name, x in state.items()} for state in first]
    for finding in compare_runs(first, second, TOLERANCE):
        assert finding.difference == pytest.approx(1e-12, rel=1e-6)


def test_what_is_not_finite_is_named() -> None:
    first = _run()
    second = copy.deepcopy(first)
    second[1]["generator.blocks.0.up.weight"][2] = np.nan
    with pytest.raises(AssertionError, match=r"step 1, G's update, generator\.blocks"):
        compare_runs(first, second, TOLERANCE)


def test_what_one_run_lacks_is_named() -> None:
    first = _run()
    second = copy.deepcopy(first)
    del second[0]["d_fake_after"]
    with pytest.raises(AssertionError, match="step 0: only one run has"):
        compare_runs(first, second, TOLERANCE)


def test_runs_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        compare_runs(_run(3), _run(4), TOLERANCE)


def _normed() -> list[dict[str, NDArray[Any]]]:
    """A network whose norm cancels one bias, and not the other."""
    return [
        {
            "d_loss": np.ones(1),
            "generator.conv.bias": np.zeros(2),
            "generator_ema.conv.bias": np.zeros(2),
            "generator.norm.running_mean": np.ones(2),
            "generator.norm.bias": np.ones(2),
            "g_optimizer.exp_avg_sq.conv.bias": np.full(2, 1e-31),
            "g_optimizer.exp_avg_sq.norm.bias": np.full(2, 1.0),
            "discriminator.norm.running_mean": np.ones(2),
            "d_optimizer.exp_avg_sq.conv.bias": np.full(2, 1.0),
        }
        for _ in range(3)
    ]


def _moved(name: str) -> list[str]:
    """What is broken where one run has an array elsewhere."""
    first, second = _normed(), _normed()
    second[2][name] += 1e-9
    findings = compare_runs(first, second, TOLERANCE, cancelled="cancelled by norms")
    assert findings[-1].aspect == "what norms cancel"
    assert findings[-1].holds, "of a loose bound"
    return [finding.aspect for finding in findings if not finding.holds]


@pytest.mark.parametrize(
    "name",
    ["generator.conv.bias", "generator_ema.conv.bias", "generator.norm.running_mean"],
)
def test_what_norms_cancel_has_a_bound_of_its_own(name: str) -> None:
    assert not _moved(name)


@pytest.mark.parametrize(
    "name", ["generator.norm.bias", "discriminator.norm.running_mean"]
)
def test_what_they_do_not_cancel_is_held_to_the_other_bound(name: str) -> None:
    assert _moved(name) == ["networks"]


def test_a_bias_is_not_cancelled_that_one_run_has_a_gradient_for() -> None:
    first, second = _normed(), _normed()
    for state in first:
        state["generator.free.bias"] = np.zeros(2)
        state["g_optimizer.exp_avg_sq.free.bias"] = np.full(2, 1e-31)
    for state in second:
        state["generator.free.bias"] = np.full(2, 1e-9)
        state["g_optimizer.exp_avg_sq.free.bias"] = np.full(2, 1e-14)
    findings = compare_runs(first, second, TOLERANCE, cancelled="cancelled by norms")
    assert [x.aspect for x in findings if not x.holds] == ["networks"]


def test_norms_that_cancel_nothing_are_an_error() -> None:
    with pytest.raises(AssertionError, match="norms cancel nothing"):
        compare_runs(_run(), _run(), TOLERANCE, cancelled="cancelled by norms")
