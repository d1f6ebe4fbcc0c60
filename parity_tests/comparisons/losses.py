"""Every loss: the twins against each other and against `oracle`, both gradients."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gans_jax import losses as jax_losses
from gans_torch import losses as torch_losses
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness import oracle
from parity_tests.harness.gradients import Differentiated, is_floating
from parity_tests.harness.jax_side import jax_gradients
from parity_tests.harness.torch_side import torch_gradients
from shared.config.traits import OBJECTIVES, objective_traits


class Case(NamedTuple):
    """Arguments of a loss."""

    label: str
    arrays: tuple[NDArray[Any], ...]
    options: dict[str, Any]


def _logits(seed: int, size: float, special: tuple[float, ...]) -> NDArray[Any]:
    """Random numbers of mixed sign, then special ones; the same in float32."""
    random = np.random.default_rng(seed).normal(0.3, size, 6)
    return np.array([*random, *special], np.float32).astype(np.float64)


# Hinge has its kinks at 1 and -1; the two orders pair each size with others.
_MIXED = (
    _logits(1, 2.0, (0.0, 50.0, -50.0, 1.0, -1.0)),
    _logits(2, 3.0, (0.0, -1.0, 1.0, 50.0, -50.0)),
)
_HUGE = (
    _logits(3, 1e3, (1e4, -1e4, 0.0, 1e4, -700.0)),
    _logits(4, 1e3, (-1e4, 1e4, 1e4, 0.0, -30.0)),
)
_SINGLE = (_MIXED[0][:1], _MIXED[1][:1])
_PLAIN = [
    Case("logits to 50", _MIXED, {}),
    Case("logits to 1e4", _HUGE, {}),
    Case("batch of 1", _SINGLE, {}),
]
_FLIPS = np.random.default_rng(5).uniform(size=(2, len(_MIXED[0]))) < 0.4
_SOFT = [
    Case("smoothed targets", _MIXED, {"real_target": 0.9}),
    Case("smoothed targets, logits to 1e4", _HUGE, {"real_target": 0.7}),
]
_FLIPPED = [
    Case(
        label, logits, {"real_target": 0.9 * ~_FLIPS[0], "fake_target": 0.9 * _FLIPS[1]}
    )
    for label, logits in (("flips", _MIXED), ("flips, logits to 1e4", _HUGE))
]
_CODED = [Case("-1, 1, 0 coding", _MIXED, {"real_target": 1.0, "fake_target": -1.0})]


def _first_only(cases: list[Case]) -> list[Case]:
    """The same for a loss of a single array, which takes the second one, the fake."""
    return [Case(case.label, case.arrays[1:], case.options) for case in cases]


def _objective_cases() -> Iterator[tuple[str, str, list[Case]]]:
    """Check, name of the loss, its cases."""
    for name, objective in torch_losses.OBJECTIVES.items():
        cases = list(_PLAIN)
        if name == "least-squares":
            cases += _CODED
        if OBJECTIVES[name].has_targets:
            cases += _SOFT + _FLIPPED
        loss = objective.discriminator_loss.__name__
        yield f"loss/{name}/discriminator", loss, cases
        relativistic = OBJECTIVES[name].relativistic
        cases = list(_PLAIN) if relativistic else _first_only(_PLAIN)
        if name == "least-squares":
            cases += [Case("-1, 1, 0 coding", _MIXED[1:], {"target": 0.0})]
        yield f"loss/{name}/generator", objective.generator_loss.__name__, cases


def _other_cases() -> Iterator[tuple[str, str, list[Case]]]:
    random = np.random.default_rng(6)
    real = random.normal(1.0, 2.0, (5, 3, 2, 2))
    fake = random.normal(-0.5, 1.0, (5, 3, 2, 2))
    labels = np.array([3, 0, 3, 1, 2, 0])
    classes = random.normal(0.5, 3.0, (6, 4))
    hostile = classes.copy()
    hostile[0], hostile[1], hostile[2] = 0.0, (1e4, -1e4, 0.0, 50.0), (-50, 0, 50, 50)
    yield "loss/batch-mean", "batch_mean", _first_only(_PLAIN)
    yield "loss/game-value", "game_value", _PLAIN
    yield "loss/wasserstein-estimate", "wasserstein_estimate", _PLAIN
    yield (
        "loss/feature-matching",
        "feature_matching_loss",
        [
            Case("5 x 3 x 2 x 2 features", (_single(real), _single(fake)), {}),
            Case("mean of 10", (_single(real + 10), _single(fake + 10)), {}),
        ],
    )
    yield (
        "loss/class-cross-entropy",
        "class_cross_entropy",
        [
            Case("random", (_single(classes), labels), {}),
            Case("ties, logits to 1e4", (_single(hostile), labels), {}),
            Case("ids of 32 bits", (_single(classes), labels.astype(np.int32)), {}),
        ],
    )


def _single(array: NDArray[Any]) -> NDArray[Any]:
    """What float32 can hold, so that both precisions compute the same problem."""
    return array.astype(np.float32).astype(np.float64)


def _oracle(name: str, case: Case) -> Differentiated:
    function = functools.partial(getattr(oracle, name), **case.options)
    floating = [x for x in case.arrays if is_floating(x)]
    constant = case.arrays[len(floating) :]
    value = function(*case.arrays)
    gradients = oracle.gradient(lambda *x: function(*x, *constant), *floating)
    return Differentiated(np.asarray(value), tuple(gradients))


def _compare(name: str, cases: list[Case]) -> list[Finding]:
    worst = Worst()
    for case in cases:

        def run(differentiate: Any, losses: Any, dtype: str, case: Case = case) -> Any:
            loss = getattr(losses, name)
            return differentiate(loss, *case.arrays, dtype=dtype, **case.options)

        torch64 = run(torch_gradients, torch_losses, "float64")
        torch32 = run(torch_gradients, torch_losses, "float32")
        jax64 = run(jax_gradients, jax_losses, "float64")
        jax32 = run(jax_gradients, jax_losses, "float32")
        oracle = _oracle(name, case)
        for pair, precision, first, second in (
            ("", "float64", torch64, jax64),
            (", PyTorch to reference", "float64", torch64, oracle),
            (", JAX to reference", "float64", jax64, oracle),
            (", PyTorch float32 to float64", "float32", torch32, torch64),
            (", JAX float32 to float64", "float32", jax32, jax64),
        ):
            worst.compare(
                f"value{pair}",
                first.value,
                second.value,
                f"loss, {precision}",
                case.label,
            )
            for one, other in zip(first.gradients, second.gradients, strict=True):
                worst.compare(
                    f"input gradient{pair}",
                    one,
                    other,
                    f"gradient of a loss, {precision}",
                    case.label,
                )
    return worst.findings()


for _check, _loss, _cases in (*_objective_cases(), *_other_cases()):
    check(_check, kind="objective", covers=(f"losses.{_loss}",))(
        functools.partial(_compare, _loss, _cases)
    )


@check("loss/softplus", kind="objective", covers=("losses.softplus",))
def _softplus() -> list[Finding]:
    """Entry by entry: neither tail may be lost beside the largest entry."""
    worst = Worst()
    x = _single(np.array([-80.0, -50, -21, -3, -1e-4, 0, 1e-4, 3, 19, 21, 50, 1e4]))
    value, slope = np.logaddexp(0.0, x), 1 / (1 + np.exp(-x))
    for name, differentiate, losses in (
        ("PyTorch", torch_gradients, torch_losses),
        ("JAX", jax_gradients, jax_losses),
    ):
        for dtype in ("float64", "float32"):
            for i in range(len(x)):
                found = differentiate(losses.softplus, x[i], dtype=dtype)
                for what, got, true in (
                    ("value", found.value, value[i]),
                    ("input gradient", found.gradients[0], slope[i]),
                ):
                    worst.compare(
                        f"{what}, {name} {dtype} to reference",
                        got,
                        true,
                        f"softplus, {dtype}",
                        f"at {x[i]:g}",
                        floor=0.0,
                    )
    return worst.findings()


@check(
    "loss/table",
    kind="objective",
    covers=("losses.Objective", "losses.OBJECTIVES"),
)
def _table() -> list[Finding]:
    """The configuration's names lead to losses of those names, with those traits."""
    worst = Worst()
    for twin, losses in (("PyTorch", torch_losses), ("JAX", jax_losses)):
        assert list(losses.OBJECTIVES) == list(OBJECTIVES), twin
        for name, objective in losses.OBJECTIVES.items():
            family = name.replace("-", "_")
            for side in ("discriminator", "generator"):
                loss = getattr(objective, f"{side}_loss").__name__
                assert loss == f"{family}_{side}_loss", f"{name}: {loss}"
            found, known = objective_traits(name, *objective), OBJECTIVES[name]
            worst.compare(
                f"traits, {twin}",
                (found.has_targets, found.relativistic),
                (known.has_targets, known.relativistic),
                "exact",
                name,
            )
    return worst.findings()
