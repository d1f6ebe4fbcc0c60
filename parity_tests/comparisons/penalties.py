"""Every penalty on critics whose input gradient is known: value and second order."""

import functools
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gans_jax import penalties as jax_penalties
from gans_torch import penalties as torch_penalties
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness import oracle
from parity_tests.harness.jax_side import jax_gradients
from parity_tests.harness.torch_side import torch_gradients
from shared.config.traits import PENALTIES, penalty_traits

Array = NDArray[Any]

# What each penalty looks at, of a `Problem`; also the arguments after the critic.
ARGUMENTS = {
    "wgan-gp": ("real", "fake", "alpha"),
    "wgan-lp": ("real", "fake", "alpha"),
    "dragan": ("real", "penalty_noise"),
    "r1": ("real",),
    "r2": ("fake",),
    "r1-r2": ("real", "fake"),
}


class Problem(NamedTuple):
    """What a penalty is computed on; images are NCHW here."""

    real: Array
    fake: Array
    alpha: Array
    penalty_noise: Array


def make_problem(seed: int, batch: int, shape: tuple[int, int, int]) -> Problem:
    """Random images [batch, *shape], the same in float32 as in float64."""
    random = np.random.default_rng(seed)
    drawn = Problem(
        real=random.uniform(-1, 1, (batch, *shape)),
        fake=np.tanh(random.normal(0.4, 1.0, (batch, *shape))),
        alpha=random.uniform(size=batch),
        penalty_noise=random.uniform(size=(batch, *shape)),
    )
    return Problem(*(x.astype(np.float32).astype(np.float64) for x in drawn))


def to_nhwc(array: Array) -> Array:
    """Images, or what is none as it is."""
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def _function(name: str) -> str:
    return f"{name.replace('-', '_')}_penalty"


class Quadratic(NamedTuple):
    """D(x) = (v.x)^2 / 2 + sum a x^2 / 2 + w.x, of gradient (v.x) v + a x + w."""

    w: Array
    a: Array
    v: Array


def _quadratic(seed: int, shape: tuple[int, int, int], size: float) -> Quadratic:
    random = np.random.default_rng(seed)
    drawn = (random.normal(0, size, shape) for _ in range(3))
    return Quadratic(*(x.astype(np.float32).astype(np.float64) for x in drawn))


def _score(images: Any, w: Any, a: Any, v: Any) -> Any:
    """The quadratic critic, in either framework."""
    axes = (1, 2, 3)
    across = (images * v[None]).sum(axes)
    return (
        across * across / 2
        + (images * images * a[None]).sum(axes) / 2
        + (images * w[None]).sum(axes)
    )


def _penalty_of_quadratic(module: Any, name: str, *arguments: Any) -> Any:
    w, a, v, *rest = arguments
    terms = getattr(module, _function(name))(
        lambda images: _score(images, w, a, v), *rest
    )
    return terms.penalty


def _run_quadratic(
    name: str, critic: Quadratic, problem: Problem, twin: str, dtype: str
) -> list[Array]:
    """Penalty, and its gradient with respect to w, a and v."""
    rest = [getattr(problem, field) for field in ARGUMENTS[name]]
    if twin == "torch":
        found = torch_gradients(
            functools.partial(_penalty_of_quadratic, torch_penalties, name),
            *critic,
            *rest,
            dtype=dtype,
        )
        return [found.value, *found.gradients[:3]]
    found = jax_gradients(
        functools.partial(_penalty_of_quadratic, jax_penalties, name),
        *(x.transpose(1, 2, 0) for x in critic),
        *map(to_nhwc, rest),
        dtype=dtype,
    )
    return [found.value, *(x.transpose(2, 0, 1) for x in found.gradients[:3])]


def _oracle_quadratic(name: str, critic: Quadratic, problem: Problem) -> list[Array]:
    rest = [getattr(problem, field) for field in ARGUMENTS[name]]

    def penalty(w: Array, a: Array, v: Array) -> Array:
        def input_gradient(images: Array) -> Array:
            across = np.sum(images * v, axis=(1, 2, 3))[:, None, None, None]
            return (across * v + a * images + w).reshape(len(images), -1)

        return getattr(oracle, _function(name))(input_gradient, *rest)

    return [penalty(*critic), *oracle.gradient(penalty, *critic)]


_SHAPE = (3, 3, 5)  # odd, and different in height and width


def _closed_form_cases() -> list[tuple[str, Quadratic, Problem]]:
    problem = make_problem(20, 5, _SHAPE)
    zero = np.zeros(_SHAPE)
    flat = Problem(*(np.concatenate([x, 0 * x[:1]]) for x in problem))
    curved = _quadratic(21, _SHAPE, 0.15)
    steep = _quadratic(22, _SHAPE, 1.0)
    linear = steep._replace(a=zero, v=zero)
    return [
        ("quadratic, slopes about 1", curved, problem),
        ("quadratic, batch of 2", steep, make_problem(23, 2, _SHAPE)),
        ("linear", linear, problem),
        ("linear, slope below 1", linear._replace(w=0.01 * linear.w), problem),
        # Subgradient 0, and finite, where the norm is exactly 0.
        ("slope 0 everywhere", Quadratic(zero, zero, zero), problem),
        ("slope 0 at one sample", steep._replace(w=zero), flat),
    ]


def _closed_form(name: str) -> list[Finding]:
    worst = Worst()
    for case, critic, problem in _closed_form_cases():
        oracle = _oracle_quadratic(name, critic, problem)
        run = functools.partial(_run_quadratic, name, critic, problem)
        torch64, jax64 = run("torch", "float64"), run("jax", "float64")
        pairs = {
            "": (torch64, jax64, "float64"),
            ", PyTorch to closed form": (torch64, oracle, "float64"),
            ", JAX to closed form": (jax64, oracle, "float64"),
            ", PyTorch float32 to float64": (
                run("torch", "float32"),
                torch64,
                "float32",
            ),
            ", JAX float32 to float64": (run("jax", "float32"), jax64, "float32"),
        }
        for what, (first, second, precision) in pairs.items():
            worst.compare(
                f"value{what}", first[0], second[0], f"penalty, {precision}", case
            )
            for one, other in zip(first[1:], second[1:], strict=True):
                worst.compare(
                    f"second order{what}",
                    one,
                    other,
                    f"gradient of a penalty, {precision}",
                    case,
                )
    return worst.findings()


def _linear_by_hand(name: str) -> list[Finding]:
    """For D(x) = w.x the gradient of the penalty can be written down at once."""
    worst = Worst()
    problem = make_problem(24, 4, _SHAPE)
    for size in (0.02, 1.0):
        w = _quadratic(25, _SHAPE, size).w
        critic = Quadratic(w, np.zeros(_SHAPE), np.zeros(_SHAPE))
        slope = np.sqrt(np.sum(w * w))
        excess = slope - 1 if name != "wgan-lp" else max(0.0, slope - 1)
        if name in ("r1", "r2"):
            value, by_hand = slope**2, 2 * w
        elif name == "r1-r2":
            value, by_hand = 2 * slope**2, 4 * w
        else:
            value, by_hand = excess**2, 2 * excess * w / slope
        for twin in ("torch", "jax"):
            found = _run_quadratic(name, critic, problem, twin, "float64")
            case = f"slope {slope:.2g}"
            worst.compare(f"value, {twin}", found[0], value, "penalty, float64", case)
            worst.compare(
                f"second order, {twin}",
                found[1],
                by_hand,
                "gradient of a penalty, float64",
                case,
            )
    return worst.findings()


def _per_sample(name: str) -> list[Finding]:
    """A batch's penalty is the mean of its samples' penalties, each on its own."""
    worst = Worst()
    problem, critic = make_problem(26, 4, _SHAPE), _quadratic(27, _SHAPE, 0.6)
    for twin in ("torch", "jax"):
        whole = _run_quadratic(name, critic, problem, twin, "float64")
        single = [
            _run_quadratic(
                name, critic, Problem(*(x[i : i + 1] for x in problem)), twin, "float64"
            )
            for i in range(4)
        ]
        for what, tolerance, one, each in zip(
            ("value", "second order"),
            ("penalty, float64", "gradient of a penalty, float64"),
            whole,
            zip(*single, strict=True),
            strict=False,
        ):
            worst.compare(
                f"{what}, {twin}", one, np.mean(each, axis=0), tolerance, "batch of 4"
            )
    return worst.findings()


@check("penalty/table", kind="penalty", covers=("penalties.PENALTIES",))
def _table() -> list[Finding]:
    """The configuration's names lead to penalties of those names, with those inputs."""
    worst = Worst()
    none, *names = PENALTIES
    assert not PENALTIES[none].points
    for twin, penalties in (("PyTorch", torch_penalties), ("JAX", jax_penalties)):
        assert list(penalties.PENALTIES) == names, twin
        for name, penalty in penalties.PENALTIES.items():
            assert penalty.__name__ == _function(name), f"{name}: {penalty.__name__}"
            inputs = penalty_traits(name, penalty).inputs
            assert inputs == PENALTIES[name].inputs == ARGUMENTS[name], name
            calls = _differentiations(penalties, name)
            worst.compare(
                f"points, {twin}", calls, PENALTIES[name].points, "exact", name
            )
    return worst.findings()


def _differentiations(penalties: ModuleType, name: str) -> int:
    """How often a penalty has the discriminator judge a batch."""
    twin = "torch" if penalties is torch_penalties else "jax"
    calls = []

    def score(images: Any) -> Any:
        calls.append(len(images))
        return (images * images).sum((1, 2, 3))

    def penalty(*inputs: Any) -> Any:
        return getattr(penalties, _function(name))(score, *inputs).penalty

    problem = make_problem(28, 2, _SHAPE)
    arrays = [getattr(problem, field) for field in ARGUMENTS[name]]
    differentiate = torch_gradients if twin == "torch" else jax_gradients
    differentiate(penalty, *arrays)
    return len(calls)


for _name in ARGUMENTS:
    _covers = (
        f"penalties.{_function(_name)}",
        "penalties.input_gradient",
        "penalties.gradient_norm",
        "penalties.PenaltyTerms",
    )
    check(f"penalty/{_name}/closed form", kind="penalty", covers=_covers)(
        functools.partial(_closed_form, _name)
    )
    check(f"penalty/{_name}/linear critic by hand", kind="penalty", covers=_covers)(
        functools.partial(_linear_by_hand, _name)
    )
    if _name != "dragan":  # whose noise is as large as the whole batch's spread
        check(f"penalty/{_name}/per sample", kind="penalty", covers=_covers)(
            functools.partial(_per_sample, _name)
        )
