"""Facts with closed forms, which each twin must show by its own losses and steps."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

from gans_jax import losses as jax_losses
from gans_jax import penalties as jax_penalties
from gans_torch import losses as torch_losses
from gans_torch import penalties as torch_penalties
from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons.trajectories import REMEDIES, VARIANTS
from parity_tests.harness.torch_side import torch_gradients
from parity_tests.harness.trajectories import State, make_pair, run, shrink
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import OBJECTIVES

Vector = NDArray[np.float64]
# A function of a vector of parameters, written for either framework; and what computes
# its value and its gradient.
Function = Callable[[Any], Any]
Differentiate = Callable[[Vector], tuple[float, Vector]]


def _in_torch(function: Function) -> Differentiate:
    def differentiate(parameters: Vector) -> tuple[float, Vector]:
        found = torch_gradients(function, parameters)
        return float(found.value), found.gradients[0]

    return differentiate


def _in_jax(function: Function) -> Differentiate:
    compiled = jax.jit(jax.value_and_grad(function))

    def differentiate(parameters: Vector) -> tuple[float, Vector]:
        with jax.enable_x64(True):
            value, gradient = compiled(jnp.asarray(parameters))
        return float(value), np.asarray(gradient)

    return differentiate


class Twin(NamedTuple):
    """One twin's formulas, and its differentiation."""

    name: str
    losses: ModuleType
    penalties: ModuleType
    differentiate: Callable[[Function], Differentiate]
    constant: Callable[[Vector], Any]
    """An array for use inside such a function."""


TWINS = (
    Twin("torch", torch_losses, torch_penalties, _in_torch, torch.tensor),
    Twin("jax", jax_losses, jax_penalties, _in_jax, jnp.asarray),
)


def _descend(
    differentiate: Differentiate, start: Vector, rate: float, steps: int
) -> Vector:
    parameters = start
    for _ in range(steps):
        parameters = parameters - rate * differentiate(parameters)[1]
    return parameters


# The Dirac-GAN: all data at 0, all of G's images at theta, D(x) = psi x. With f' the
# objective's slope at 0, gamma the penalty's and h the step size, simultaneous steps
# multiply (theta, psi) by [[1, h f'], [-h f', 1 - h gamma]], whose eigenvalues, a
# conjugate pair, have the modulus sqrt(1 - h gamma + (h f')^2).
_STEP, _GAMMA, _DIRAC_STEPS = 0.1, 0.5, 100
_SLOPES = {
    "wasserstein": 1.0,
    "hinge": 1.0,
    "minimax": 0.5,
    "non-saturating": 0.5,
    "relativistic": 0.5,
    "relativistic-average": 1.0,
}
_PENALTIES = {"none": 0.0, "r1": _GAMMA, "r2": _GAMMA, "r1-r2": 2 * _GAMMA}


def _dirac(objective: str, penalty: str) -> list[Finding]:
    """Spirals outwards without a penalty, inwards with one, at the closed-form rate.

    References:
        Mescheder et al. 2018, arXiv:1801.04406, Lemmas 2.3 and 4.1 (of the flow).
    """
    turn = _STEP * _SLOPES[objective]
    damping = _STEP * _PENALTIES[penalty]
    step = np.array([[1, turn], [-turn, 1 - damping]])
    rate = math.sqrt(1 - damping + turn**2)
    # Close to the equilibrium, so that only the slope there counts.
    starts = 1e-7 * np.array([[1.0, 0.0], [0.0, 1.0]])
    expected = np.linalg.matrix_power(step, _DIRAC_STEPS) @ starts
    result = []
    for twin in TWINS:
        ends = np.stack([_play_dirac(twin, objective, penalty, x) for x in starts.T], 1)
        found = (np.linalg.det(ends) / np.linalg.det(starts)) ** (0.5 / _DIRAC_STEPS)
        assert (found > 1) == (penalty == "none"), f"{twin.name}: radius times {found}"
        result += [
            Finding(
                f"end, {twin.name}", difference(ends, expected, 1e-9), "fact, Dirac"
            ),
            Finding(
                f"rate, {twin.name}",
                abs(found - rate),
                "fact, Dirac",
                note=f"the radius is multiplied by {found:.6f} a step",
            ),
        ]
    return result


def _play_dirac(twin: Twin, objective: str, penalty: str, start: Vector) -> Vector:
    game = twin.losses.OBJECTIVES[objective]

    def d_loss(state: Any) -> Any:
        theta, psi = state[:1], state[1:]
        loss = game.discriminator_loss(0 * psi, theta * psi)
        if penalty == "none":
            return loss
        terms = twin.penalties.apply_penalty(
            penalty,
            lambda images: psi * images.sum((1, 2, 3)),
            0 * theta.reshape(1, 1, 1, 1),
            theta.reshape(1, 1, 1, 1),
        )
        return loss + _GAMMA / 2 * terms.penalty

    def g_loss(state: Any) -> Any:
        theta, psi = state[:1], state[1:]
        if OBJECTIVES[objective].relativistic:
            return game.generator_loss(0 * psi, theta * psi)
        return game.generator_loss(theta * psi)

    of_d, of_g = twin.differentiate(d_loss), twin.differentiate(g_loss)
    state = start
    for _ in range(_DIRAC_STEPS):
        state = state - _STEP * np.array([of_g(state)[1][0], of_d(state)[1][1]])
    return state


for _objective in _SLOPES:
    for _penalty in _PENALTIES:
        if _penalty in ("none", "r1") or _objective == "wasserstein":
            check(
                f"fact/Dirac-GAN/{_objective}, penalty {_penalty}",
                "fact",
                ("losses.OBJECTIVES", "penalties.apply_penalty"),
            )(functools.partial(_dirac, _objective, _penalty))


# Two distributions over four values, and samples that realise them exactly.
_COUNTS = np.array([[6, 1, 2, 3], [2, 4, 1, 5]])
_REAL, _FAKE = (np.repeat(np.arange(4), counts) for counts in _COUNTS)
_P, _Q = _COUNTS / _COUNTS.sum(axis=1, keepdims=True)
_START = np.array([1.0, -2.0, 0.5, 3.0])


def _jensen_shannon(p: Vector, q: Vector, cell: float = 1.0) -> float:
    middle = (p + q) / 2
    terms = p * np.log(p / middle) + q * np.log(q / middle)
    return float(terms.sum() * cell / 2)


@check("fact/optimal D of equal distributions", "fact", ("losses.game_value",))
def _equal() -> list[Finding]:
    """Where G's images are the data, descent ends at D = 1/2 and V = -2 log 2.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Theorem 1.
    """
    result = []
    for twin in TWINS:
        for name in ("minimax", "non-saturating"):
            game = twin.losses.OBJECTIVES[name]
            loss = twin.differentiate(
                lambda d, game=game: game.discriminator_loss(d[_REAL], d[_REAL])
            )
            d = _descend(loss, _START, rate=4.0, steps=300)
            value = twin.differentiate(
                lambda d, twin=twin: twin.losses.game_value(d[_REAL], d[_REAL])
            )(d)[0]
            probability = 1 / (1 + np.exp(-d))
            gap = float(np.abs(probability - 0.5).max())
            result += [
                Finding(f"D, {name}, {twin.name}", gap, "fact, optimum"),
                Finding(
                    f"V, {name}, {twin.name}",
                    abs(value + 2 * math.log(2)),
                    "fact, optimum",
                ),
            ]
    return result


@check("fact/optimal D of two distributions", "fact", ("losses.OBJECTIVES",))
def _discrete() -> list[Finding]:
    """D free at each of four values; its optimum and the optimal loss are known.

    Logistic: D = p / (p + q), V = -2 log 2 + 2 JSD(p, q). Least squares: the same D,
    L = sum p q / (p + q) / 2; coded -1, 1, 0: D = (p - q) / (p + q), four times the
    loss. Hinge: D = sign(p - q), L = 2 sum min(p, q).

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Proposition 1 and Theorem 1.
        Mao et al. 2017, arXiv:1611.04076, Eq. 5.
    """
    share = _P / (_P + _Q)
    logistic = 2 * math.log(2) - 2 * _jensen_shannon(_P, _Q)
    cases: dict[str, tuple[Vector, float]] = {
        "minimax": (np.log(_P / _Q), logistic),
        "non-saturating": (np.log(_P / _Q), logistic),
        "least-squares": (share, float((_P * _Q / (_P + _Q)).sum() / 2)),
        "least-squares-pearson": (
            2 * share - 1,
            float((_P * _Q / (_P + _Q)).sum() * 2),
        ),
        "hinge": (np.sign(_P - _Q), float(2 * np.minimum(_P, _Q).sum())),
    }
    result = []
    for twin in TWINS:
        for name, (optimum, least) in cases.items():
            game = twin.losses.OBJECTIVES[name]
            loss = twin.differentiate(
                lambda d, game=game: game.discriminator_loss(d[_REAL], d[_FAKE])
            )
            # Hinge's optimum is a kink, around which descent would go on jumping.
            start = optimum if name == "hinge" else _START
            d = _descend(loss, start, 2.0, 0 if name == "hinge" else 1000)
            result.append(
                Finding(
                    f"loss, {name}, {twin.name}",
                    abs(loss(d)[0] - least),
                    "fact, optimum",
                )
            )
            result.append(
                Finding(
                    f"D, {name}, {twin.name}", difference(d, optimum), "fact, optimum"
                )
            )
            for nudge in 1e-3 * np.concatenate([np.eye(4), -np.eye(4)]):
                assert loss(optimum + nudge)[0] > least, f"{twin.name}, {name}: lower"
    return result


@check("fact/optimal D of two Gaussians", "fact", ("losses.game_value",))
def _gaussians() -> list[Finding]:
    """D quadratic in x reaches V = -2 log 2 + 2 JSD, integrated numerically.

    The samples are quantiles, so that batch means are nearly expectations.

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, Theorem 1.
    """
    p, q = NormalDist(0.0, 1.0), NormalDist(1.0, 0.8)
    levels = (np.arange(4000) + 0.5) / 4000
    real, fake = (np.array([d.inv_cdf(u) for u in levels]) for d in (p, q))
    # Of comparable size, so that plain descent gets along.
    features = [
        np.stack([np.ones_like(x), x - 0.5, np.square(x - 0.5) - 1], axis=1)
        for x in (real, fake)
    ]
    grid, cell = np.linspace(-10, 10, 20001, retstep=True)
    densities = (np.array([d.pdf(x) for x in grid]) for d in (p, q))
    expected = 2 * _jensen_shannon(*densities, cell=float(cell)) - 2 * math.log(2)
    result = []
    for twin in TWINS:

        def loss(weights: Any, twin: Twin = twin) -> Any:
            logits = [twin.constant(x) @ weights for x in features]
            return -twin.losses.game_value(*logits)

        differentiate = twin.differentiate(loss)
        weights = _descend(differentiate, np.zeros(3), rate=1.5, steps=600)
        value = -differentiate(weights)[0]
        result.append(
            Finding(
                f"V, {twin.name}",
                abs(value - expected),
                "fact, Gaussians",
                note=f"V = {value:.6f}, integrated {expected:.6f}",
            )
        )
    return result


@check("fact/Wasserstein distance of a shift", "fact", ("penalties.wgan_gp_penalty",))
def _shift() -> list[Finding]:
    """A linear critic of slope 1 sees how far the data were shifted, at no penalty.

    References:
        Arjovsky et al. 2017, arXiv:1701.07875, Eq. 2.
        Gulrajani et al. 2017, arXiv:1704.00028, Corollary 1.
    """
    distance = 1.7
    slope = np.array([2.0, -1.0, 2.0]) / 3
    rng = np.random.default_rng(0)
    real, alpha = rng.normal(size=(6, 3, 1, 1)), rng.random(6)
    fake = real - distance * slope[:, None, None]
    result = []
    for twin in TWINS:

        def critic_loss(slope: Any, twin: Twin = twin) -> Any:
            scores = (twin.constant(x)[:, :, 0, 0] @ slope for x in (real, fake))
            return twin.losses.wasserstein_discriminator_loss(*scores)

        def penalty(slope: Any, twin: Twin = twin) -> Any:
            arrays = (twin.constant(x) for x in (real, fake, alpha))
            return twin.penalties.wgan_gp_penalty(
                lambda images: images[:, :, 0, 0] @ slope, *arrays
            ).penalty

        loss = twin.differentiate(critic_loss)(slope)[0]
        cost, pull = twin.differentiate(penalty)(slope)
        # Where the penalty is least, its gradient is zero too.
        result += [
            Finding(f"distance, {twin.name}", abs(loss + distance), "fact, optimum"),
            Finding(f"penalty, {twin.name}", cost, "fact, optimum"),
            Finding(
                f"penalty's pull, {twin.name}",
                float(np.abs(pull).max()),
                "fact, optimum",
            ),
        ]
    return result


@check("fact/vanishing gradient of minimax", "fact", ("losses.OBJECTIVES",))
def _saturation() -> list[Finding]:
    """Where D rejects an image, minimax's gradient dies and its rival's does not.

    At a logit l they are -sigmoid(l) and -sigmoid(-l).

    References:
        Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    logits = np.array([-700.0, -50.0, -8.0, -1.0, 0.0, 3.0, 40.0])
    rejected = np.exp(np.minimum(logits, 0)) / (1 + np.exp(-np.abs(logits)))
    accepted = np.exp(np.minimum(-logits, 0)) / (1 + np.exp(-np.abs(logits)))
    result = []
    for twin in TWINS:
        for name, slope in (("minimax", rejected), ("non-saturating", accepted)):
            loss = twin.differentiate(twin.losses.OBJECTIVES[name].generator_loss)
            gradient = loss(logits)[1] * len(logits)
            # Relative for each logit, as the slopes span 300 orders of magnitude.
            worst = float(np.abs(gradient / -slope - 1).max())
            result.append(
                Finding(f"slope, {name}, {twin.name}", worst, "fact, optimum")
            )
    return result


def _states(config: TrainConfig, steps: int) -> Iterator[tuple[str, list[State]]]:
    """Each twin, and what it holds after each step."""
    for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
        yield twin, list(run(session, steps))


@check("fact/what a critic logs", "fact", ("steps.discriminator_step",))
def _critic_log() -> list[Finding]:
    """The critic's loss is minus the Wasserstein estimate; D's is minus V."""
    result = []
    for variant, metric in (("wgan", "wasserstein_estimate"), ("gan", "value")):
        for twin, states in _states(VARIANTS[variant].config, 3):
            sums = [abs(float(s["d_loss"][0] + s[metric][0])) for s in states]
            result.append(Finding(f"{metric}, {twin}", max(sums), "fact, optimum"))
    return result


@check("fact/clipped weights", "fact", ("steps.discriminator_step",))
def _clipped() -> list[Finding]:
    """After each step of WGAN, the largest weight of D is the limit itself."""
    config = VARIANTS["wgan"].config
    result = []
    for twin, states in _states(config, 3):
        names = [f"discriminator.{k}" for k in _parameters(states[0], "discriminator")]
        largest = [max(np.abs(state[k]).max() for k in names) for state in states]
        gap = float(np.abs(np.array(largest) - config.weight_clip).max())
        result.append(Finding(f"limit, {twin}", gap, "exact"))
    return result


@check("fact/average of the weights", "fact", ("steps.generator_step",))
def _average() -> list[Finding]:
    """The average is decay * average + (1 - decay) * weights; buffers are copied."""
    config = shrink(PRESETS["gan"], **REMEDIES["ema"])
    decay = config.ema_decay
    result = []
    for twin, (first, *later) in _states(config, 6):
        parameters = _parameters(first, "generator")
        average = {name: first[f"generator_ema.{name}"] for name in parameters}
        for state in later:
            for name, old in average.items():
                new = state[f"generator.{name}"]
                average[name] = decay * old + (1 - decay) * new
        end = later[-1]
        gaps = {
            "parameters": [(average[k], end[f"generator_ema.{k}"]) for k in parameters],
            "buffers": [
                (end[k.replace("_ema", "")], end[k])
                for k in end
                if k.startswith("generator_ema.")
                and k.removeprefix("generator_ema.") not in parameters
            ],
        }
        result += [
            Finding(
                f"{aspect}, {twin}",
                max(difference(*pair, floor=1.0) for pair in pairs),
                "fact, optimum",
            )
            for aspect, pairs in gaps.items()
        ]
    return result


@check("fact/an average of half-life 0", "fact", ("steps.generator_step",))
def _copy() -> list[Finding]:
    """It is a copy of the weights, to the last bit, in float32 too."""
    config = shrink(PRESETS["gan"], precision="float32")
    config = dataclasses.replace(
        config, ema_half_life=0.0, final_ema_half_life=1e6, burn_in_images=10**9
    )
    result = []
    for twin, (first, *_) in _states(config, 1):
        gaps = [
            np.abs(first[f"generator_ema.{name}"] - first[f"generator.{name}"]).max()
            for name in _parameters(first, "generator")
        ]
        result.append(Finding(f"parameters, {twin}", float(max(gaps)), "exact"))
    return result


def _parameters(state: State, network: str) -> list[str]:
    """Names of a network's parameters: what its optimiser keeps averages of."""
    slots = tuple(f"{network[0]}_optimizer.{x}." for x in ("exp_avg", "square_avg"))
    return [key.split(".", 2)[2] for key in state if key.startswith(slots)]
