"""Every penalty on the project's own critics, with every norm and with labels."""

import dataclasses
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

from gans_jax import arrays as jax_arrays
from gans_jax import models as jax_models
from gans_jax import penalties as jax_penalties
from gans_jax._network import Network
from gans_torch import arrays as torch_arrays
from gans_torch import models as torch_models
from gans_torch import penalties as torch_penalties
from gans_torch._stated import stated_by_path
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.comparisons.penalties import ARGUMENTS, Problem, make_problem, to_nhwc
from shared.files.arrays import Arrays
from shared.randomness.initial_weights import initial_arrays

Array = NDArray[Any]


class Critic(NamedTuple):
    """A discriminator of both twins, with the same weights."""

    norm: str
    weight_norm: str = "none"
    num_classes: int = 3
    network: str = "DcganDiscriminator"
    gain: float = 8.0
    """Of its initial weights."""

    def build(self, models: ModuleType) -> Any:
        """The discriminator, of either twin."""
        options: dict[str, Any] = {"num_classes": self.num_classes}
        if self.network != "R3ganDiscriminator":  # which has neither
            options |= {"norm": self.norm, "weight_norm": self.weight_norm}
        make = getattr(models, self.network)
        return make(width=8, image_size=16, channels=2, **options)


CRITICS = {
    "instance norm": Critic("instance"),
    "instance norm, no labels": Critic("instance", num_classes=0),
    "layer norm": Critic("layer"),
    "group norm": Critic("group"),
    "no norm": Critic("none"),
    "spectral norm": Critic("none", "spectral"),
    "weight norm": Critic("none", "weight"),
    "residual": Critic("none", network="ResnetDiscriminator", gain=1.0),
    "r3gan": Critic("none", network="R3ganDiscriminator", gain=1.5),
}
_IMAGE = (2, 16, 16)
_LABELS = np.array([2, 0])
_FIRST = "discriminator"


class Outcome(NamedTuple):
    """What one twin makes of a penalty."""

    penalty: Array
    gradient_norm: Array
    gradients: Arrays


Evaluate = Callable[[Arrays], Outcome]


def _torch_critic(critic: Critic) -> Any:
    return critic.build(torch_models).eval()


def _weights(critic: Critic) -> Arrays:
    """Larger than the initial ones, so that gradient norms lie about 1; no bias 0."""
    stated = torch_arrays.network_statements(_torch_critic(critic), _FIRST)
    random = np.random.default_rng(30)
    arrays = {}
    for key, value in initial_arrays(stated, seed=30).items():
        if key.endswith(("._u", "._v")):
            arrays[key] = value
        elif value.ndim == 1 or not value.any():  # R3GAN's blocks start as nothing
            arrays[key] = value + random.normal(0, 0.3, value.shape)
        else:
            arrays[key] = critic.gain * value
    return {key: x.astype(np.float32).astype(np.float64) for key, x in arrays.items()}


def _torch_evaluate(
    name: str, critic: Critic, problem: Problem, dtype: str
) -> Evaluate:
    kind = getattr(torch, dtype)
    network = _torch_critic(critic).to(kind)
    real, fake, alpha, noise = (torch.tensor(x, dtype=kind) for x in problem)
    labels = torch.tensor(_LABELS) if critic.num_classes else None
    stated = stated_by_path(network, _FIRST)

    def evaluate(arrays: Arrays) -> Outcome:
        torch_arrays.arrays_to_network(network, _FIRST, arrays)
        terms = torch_penalties.apply_penalty(
            name, lambda x: network(x, labels).logits, real, fake, alpha, noise
        )
        paths, parameters = zip(*network.named_parameters(), strict=True)
        gradients = torch.autograd.grad(
            terms.penalty, parameters, allow_unused=True, materialize_grads=True
        )
        return Outcome(
            terms.penalty.detach().numpy(),
            terms.gradient_norm.numpy(),
            {
                stated[path].name: gradient.numpy()
                for path, gradient in zip(paths, gradients, strict=True)
            },
        )

    return evaluate


def _jax_evaluate(name: str, critic: Critic, problem: Problem, dtype: str) -> Evaluate:
    x64 = dtype == "float64"
    with jax.enable_x64(x64):
        module = critic.build(jax_models)
        network = jax.tree.map(lambda x: x.astype(dtype), Network.of(module))
        inputs = [jnp.asarray(to_nhwc(x).astype(dtype)) for x in problem]
        labels = jnp.asarray(_LABELS) if critic.num_classes else None

    def penalty(params: Any, network: Network, inputs: Any) -> Any:
        network = dataclasses.replace(network, params=params)
        terms = jax_penalties.apply_penalty(
            name, lambda x: network.evaluate(x, labels).logits, *inputs
        )
        return terms.penalty, terms.gradient_norm

    differentiate = jax.jit(jax.value_and_grad(penalty, has_aux=True))

    def evaluate(arrays: Arrays) -> Outcome:
        with jax.enable_x64(x64):
            loaded = jax_arrays.arrays_to_network(network, _FIRST, arrays)
            (value, norm), gradients = differentiate(loaded.params, loaded, inputs)
            named = jax_arrays.network_to_arrays(
                dataclasses.replace(loaded, params=gradients), _FIRST
            )
        named = {k: x for k, x in named.items() if not k.endswith(("._u", "._v"))}
        return Outcome(np.asarray(value), np.asarray(norm), named)

    return evaluate


def _directional(
    evaluate: Evaluate, arrays: Arrays, gradients: Arrays
) -> tuple[Array, Array]:
    """Slopes along one direction for each parameter: from the gradient, measured."""
    random = np.random.default_rng(31)
    exact, measured = [], []
    for key in sorted(gradients):
        direction = random.normal(size=gradients[key].shape)
        direction *= 1e-6 / np.sqrt(np.square(direction).sum())
        ahead, behind = (
            evaluate(arrays | {key: arrays[key] + sign * direction}).penalty
            for sign in (1, -1)
        )
        exact.append(np.sum(gradients[key] * direction) / 1e-6)
        measured.append((ahead - behind) / 2e-6)
    return np.array(exact), np.array(measured)


def _compare_gradients(
    worst: Worst, aspect: str, first: Arrays, second: Arrays, tolerance: str
) -> None:
    assert first.keys() == second.keys(), sorted(first.keys() ^ second.keys())
    # A bias that only shifts the logits has gradient 0; rounding must not count there.
    floor = 0.01 * max(np.abs(x).max() for x in (*first.values(), *second.values()))
    for key, value in first.items():
        worst.compare(aspect, value, second[key], tolerance, key, max(floor, 1e-12))


def _network_critic(name: str, critic: Critic) -> list[Finding]:
    worst = Worst()
    problem, arrays = make_problem(32, len(_LABELS), _IMAGE), _weights(critic)
    outcomes = {}
    for twin, make in (("PyTorch", _torch_evaluate), ("JAX", _jax_evaluate)):
        evaluate = make(name, critic, problem, "float64")
        outcomes[twin] = outcome = evaluate(arrays)
        if twin == "PyTorch":
            worst.compare(
                f"second order, {twin} to differences",
                *_directional(evaluate, arrays, outcome.gradients),
                "gradient of a penalty, differences",
                "one direction for each parameter",
            )
        single = make(name, critic, problem, "float32")(arrays)
        worst.compare(
            f"value, {twin} float32 to float64",
            single.penalty,
            outcome.penalty,
            "penalty, float32",
            "",
        )
        _compare_gradients(
            worst,
            f"second order, {twin} float32 to float64",
            single.gradients,
            outcome.gradients,
            "gradient of a penalty, float32",
        )
    first, second = outcomes.values()
    worst.compare("value", first.penalty, second.penalty, "penalty, float64", "")
    worst.compare(
        "gradient norm",
        first.gradient_norm,
        second.gradient_norm,
        "penalty, float64",
        "",
    )
    _compare_gradients(
        worst,
        "second order",
        first.gradients,
        second.gradients,
        "gradient of a penalty, float64",
    )
    return worst.findings()


for _name in ARGUMENTS:
    for _label, _critic in CRITICS.items():
        if (_name, _critic.weight_norm) == ("wgan-lp", "spectral"):
            # Hardly steeper than 1, such a critic is penalised for rounding. The twins'
            # trajectories with both are compared (remedy/penalty, wgan-lp/hinge).
            continue
        check(
            f"penalty/{_name}/{_label}",
            kind="penalty",
            covers=("penalties.apply_penalty",),
            # Every norm meets both kinds of penalty, and every penalty one norm. To
            # compile R3GAN's critic takes long: it meets its own penalty.
            full_only=(_name not in ("wgan-gp", "r1-r2") and _label != "instance norm")
            or (_name, _label) == ("wgan-gp", "r3gan"),
        )(functools.partial(_network_critic, _name, _critic))


@check("penalty/slope 0", kind="penalty", covers=("penalties.gradient_norm",))
def _no_slope() -> list[Finding]:
    """A critic that scores all images alike: the norm's subgradient there is 0."""
    worst = Worst()
    critic = Critic("none", num_classes=0)
    last = f"{_FIRST}.conv.weight"
    arrays = _weights(critic)
    arrays |= {last: 0 * arrays[last]}
    problem = make_problem(33, len(_LABELS), _IMAGE)
    for name, penalty in {"wgan-gp": 1.0, "wgan-lp": 0.0, "r1": 0.0}.items():
        for twin, make in (("PyTorch", _torch_evaluate), ("JAX", _jax_evaluate)):
            found = make(name, critic, problem, "float64")(arrays)
            worst.compare(f"value, {twin}", found.penalty, penalty, "exact", name)
            worst.compare(f"norm, {twin}", found.gradient_norm, 0.0, "exact", name)
            for key, gradient in found.gradients.items():
                worst.compare(
                    f"second order, {twin}",
                    gradient,
                    np.zeros_like(gradient),
                    "exact",
                    f"{name}: {key}",
                )
    return worst.findings()
