"""Optimisers, clipping and averaging: the twins against each other and the papers."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

import gans_jax.optim
import gans_jax.steps
import gans_torch._slices
import gans_torch.optim
import gans_torch.steps
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.tasks import Numbers, compare
from parity_tests.harness.trajectories import make_pair, run_singly, shrink
from shared.config.choices import SLOTS
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.files.arrays import Arrays
from shared.training.session import Session

_COVERS = ("optim.build_optimizer", "optim.update")
# Both remedies at once, because JAX takes seconds to compile a step.
_SMALL = shrink(PRESETS["wgan"], image_size=8, n_critic=1, d_lr=1e-3, ema_decay=0.9)


class Stream(NamedTuple):
    """What an optimiser is given; nothing in it depends on the parameters."""

    parameters: Arrays
    gradients: Arrays
    """Of each parameter, one for each step: [steps, ...]."""
    rates: NDArray[np.float32]
    """Learning rate of each step."""
    beta2: NDArray[np.float64] | None = None
    """Decay rate of Adam's average of squares at each step; None: the configured."""


def _make_stream(gradients: dict[str, NDArray[Any]]) -> Stream:
    steps = len(gradients["kernel"])
    rates = 1e-3 * (1.0 + np.cos(np.linspace(0.0, 20.0, steps))) / 2.0
    random = np.random.default_rng(6)
    parameters = {
        name: random.standard_normal(x.shape[1:], np.float32)
        for name, x in gradients.items()
    }
    return Stream(
        parameters,
        {name: x.astype(np.float32) for name, x in gradients.items()},
        rates.astype(np.float32),
    )


def _gradients_of_all_sizes(steps: int = 1000) -> Stream:
    random = np.random.default_rng(5)
    step = np.arange(steps)[:, None]
    return _make_stream(
        {
            "vector": random.normal(0.1, 1.0, (steps, 7)),
            # channels_last in PyTorch: another order of the same numbers in memory.
            "kernel": random.normal(0.0, 1.0, (steps, 5, 4, 3, 3)),
            "zero": np.zeros((steps, 3)),
            "tiny": 1e-20 * random.normal(0.0, 1.0, (steps, 3)),
            "huge": 1e8 * random.normal(0.0, 1.0, (steps, 3)),
            "any size": random.normal(0.0, 1.0, (steps, 5))
            * 10.0 ** random.uniform(-20, 8, (steps, 5)),
            "zero at first": random.normal(0.0, 1.0, (steps, 3)) * (step >= 10),
            "sparse": random.normal(0.0, 1.0, (steps, 3)) * (step % 97 == 0),
            "zero from then on": random.normal(0.0, 1.0, (steps, 3)) * (step < 10),
        }
    )


def _gradients_to_clip(steps: int = 60) -> Stream:
    """Global norms of 0, far below and near the limit of 1, above, and far above."""
    random = np.random.default_rng(7)
    sizes = np.resize([0.0, 1e-20, 1e-3, 0.1, 10.0, 1e8], steps)
    return _make_stream(
        {
            "kernel": random.normal(0, 1, (steps, 5, 4, 3, 3))
            * sizes[:, None, None, None, None],
            "vector": random.normal(0, 1, (steps, 7)) * sizes[:, None],
        }
    )


def _run_torch(
    config: TrainConfig,
    stream: Stream,
    dtype: type[np.floating],
    is_recorded: bool = False,
) -> Numbers:
    network = torch.nn.ParameterDict(
        {
            name: torch.nn.Parameter(torch.from_numpy(x.astype(dtype)))
            for name, x in stream.parameters.items()
        }
    ).to(memory_format=torch.channels_last)
    optimizer = gans_torch.optim.build_optimizer(config, network)
    if is_recorded:  # it starts from the zeros that a backend loads
        for parameter in network.values():
            zeros = {
                slot: torch.zeros_like(parameter) for slot in SLOTS[config.optimizer]
            }
            optimizer.state[parameter] = zeros | {"step": torch.tensor(0.0)}
    for step, rate in enumerate(stream.rates):
        loss = torch.zeros(())
        for name, gradients in stream.gradients.items():
            # What the loss does not touch has no gradient; JAX has zeros there.
            if name == "kernel" or gradients[step].any():
                gradient = torch.from_numpy(gradients[step].astype(dtype))
                loss = loss + (network[name] * gradient).sum()
        lr, beta2 = float(rate), _beta2(config, stream, step)
        if is_recorded:
            lr, beta2 = (torch.tensor(x, dtype=loss.dtype) for x in (lr, beta2))
        gans_torch._slices.set_gradients(network, [(loss, {})], 1)
        gans_torch.optim.update(config, network, optimizer, lr, beta2, 1.0)
    numbers: dict[str, dict[str, torch.Tensor]] = {"parameters": dict(network.items())}
    for slot in SLOTS[config.optimizer]:
        numbers[slot] = {
            name: optimizer.state[parameter][slot]
            for name, parameter in network.items()
        }
    return {
        aspect: {name: x.detach().contiguous().numpy() for name, x in arrays.items()}
        for aspect, arrays in numbers.items()
    }


def _run_jax(config: TrainConfig, stream: Stream, dtype: type[np.floating]) -> Numbers:
    def update(carry: Any, given: Any) -> tuple[Any, None]:
        (params, optimizer), (gradient, rate, beta2) = carry, given
        beta2 = config.adam_betas[1] if beta2 is None else beta2
        params, optimizer, *_ = gans_jax.optim.update(
            config, params, gradient, optimizer, rate, beta2, 1.0
        )
        return (params, optimizer), None

    with jax.enable_x64(dtype == np.float64):
        params, gradients, rates, beta2 = jax.tree.map(
            lambda x: jnp.asarray(x, dtype), tuple(stream)
        )
        optimizer = gans_jax.optim.build_optimizer(config).init(params)
        (params, optimizer), _ = jax.lax.scan(
            update, (params, optimizer), (gradients, rates, beta2)
        )
    numbers = {"parameters": params}
    for slot in SLOTS[config.optimizer]:
        numbers[slot] = getattr(optimizer, gans_jax.optim.FIELDS[slot])
    return jax.tree.map(np.asarray, numbers)


def _beta2(config: TrainConfig, stream: Stream, step: int) -> float:
    return config.adam_betas[1] if stream.beta2 is None else float(stream.beta2[step])


def _run_oracle(config: TrainConfig, stream: Stream) -> Numbers:
    """The papers' algorithms in float64, one array at a time."""
    b1 = config.adam_betas[0]
    numbers: Numbers = {"parameters": {}}
    gradients = {name: x.astype(np.float64) for name, x in stream.gradients.items()}
    if config.clip_grad_norm:
        squares = [np.square(x).reshape(len(x), -1).sum(1) for x in gradients.values()]
        norms = np.sqrt(sum(squares))
        factors = np.minimum(config.clip_grad_norm / (norms + 1e-6), 1.0)
        gradients = {name: (x.T * factors).T for name, x in gradients.items()}
    for name, parameter in stream.parameters.items():
        p = parameter.astype(np.float64)
        m, v = np.zeros_like(p), np.zeros_like(p)
        for t, (rate, g) in enumerate(
            zip(stream.rates, gradients[name], strict=True), 1
        ):
            b2 = _beta2(config, stream, t - 1)
            if config.optimizer == "adam":
                m = b1 * m + (1 - b1) * g
                v = b2 * v + (1 - b2) * g**2
                p = p - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8)
            else:
                v = 0.99 * v + 0.01 * g**2
                p = p - rate * g / (np.sqrt(v) + 1e-8)
        slots = {"exp_avg": m, "exp_avg_sq": v, "square_avg": v}
        numbers["parameters"][name] = p
        for slot in SLOTS[config.optimizer]:
            numbers.setdefault(slot, {})[name] = slots[slot]
    return numbers


def _compare_all(config: TrainConfig, stream: Stream) -> list[Finding]:
    worst = Worst()
    runs = {"torch": _run_torch, "jax": _run_jax}
    exact = {twin: run(config, stream, np.float64) for twin, run in runs.items()}
    steps = f"{len(stream.rates)} steps"
    compare(worst, exact["torch"], exact["jax"], "optimizer, float64", steps)
    oracle = _run_oracle(config, stream)
    for twin, run in runs.items():
        pair = (exact[twin], oracle)
        aspect = f"against the paper, {twin}"
        compare(worst, *pair, "optimizer, float64", steps, aspect=aspect)
        pair = (run(config, stream, np.float32), exact[twin])
        aspect = f"float32 against float64, {twin}"
        compare(worst, *pair, "optimizer, float32", steps, aspect=aspect)
    return worst.findings()


@check("optimizer/adam", "optimizer", _COVERS)
def _adam() -> list[Finding]:
    return _compare_all(PRESETS["dcgan"], _gradients_of_all_sizes())


@check("optimizer/adam/no momentum", "optimizer", _COVERS)
def _adam_without_momentum() -> list[Finding]:
    config = dataclasses.replace(PRESETS["dcgan"], adam_betas=(0.0, 0.9))
    return _compare_all(config, _gradients_of_all_sizes(100))


@check("optimizer/adam/beta2 that changes", "optimizer", _COVERS)
def _adam_whose_beta2_changes() -> list[Finding]:
    """By 1 - beta2 ** t the bias is corrected with the beta2 of now; recorded, too."""
    config = dataclasses.replace(PRESETS["dcgan"], adam_betas=(0.0, 0.9))
    stream = _gradients_of_all_sizes(100)
    # From one end to the other, and back: no two steps in a row have the same.
    beta2 = 0.945 - 0.045 * np.cos(np.linspace(0.0, 6.0, 100))
    stream = stream._replace(beta2=beta2)
    findings = _compare_all(config, stream)
    worst = Worst()
    recorded = _run_torch(config, stream, np.float64, is_recorded=True)
    oracle = _run_oracle(config, stream)
    aspect = "against the paper, torch, recorded"
    compare(worst, recorded, oracle, "optimizer, float64", "100 steps", aspect=aspect)
    return findings + worst.findings()


@check("optimizer/adam/first steps", "optimizer", _COVERS)
def _first_steps() -> list[Finding]:
    """Where the bias corrections are far from 1, seen from parameters that are 0."""
    config, stream = PRESETS["dcgan"], _gradients_of_all_sizes(3)
    zeros = {name: np.zeros_like(x) for name, x in stream.parameters.items()}
    stream = stream._replace(parameters=zeros)
    worst = Worst()
    for twin, run in (("torch", _run_torch), ("jax", _run_jax)):
        pair = (run(config, stream, np.float32), _run_oracle(config, stream))
        aspect = f"float32 against the paper, {twin}"
        bound = "optimizer, float32, first steps"
        compare(worst, *pair, bound, "3 steps", aspect=aspect)
    return worst.findings()


@check("optimizer/rmsprop", "optimizer", _COVERS)
def _rmsprop() -> list[Finding]:
    return _compare_all(PRESETS["wgan"], _gradients_of_all_sizes())


@check("optimizer/clipping by global norm", "optimizer")
def _clipping() -> list[Finding]:
    config = dataclasses.replace(PRESETS["dcgan"], clip_grad_norm=1.0)
    return _compare_all(config, _gradients_to_clip())


@check("optimizer/adam/memory layout", "optimizer", _COVERS)
def _memory_layout() -> list[Finding]:
    """A fused Adam reads gradients in its parameters' layout, whatever theirs is.

    So the gradient of a channels_last parameter must be channels_last, even where
    autograd makes it contiguous, as here.
    """
    stream = _gradients_to_clip(5)
    kernel = torch.from_numpy(stream.parameters["kernel"])
    kernel = kernel.to(memory_format=torch.channels_last).requires_grad_()
    loss = (kernel * torch.from_numpy(stream.gradients["kernel"][3])).sum()
    (gradient,) = torch.autograd.grad(loss, kernel)
    assert gradient.stride() != kernel.stride(), "autograd's layout is right by itself"
    return _compare_all(PRESETS["dcgan"], stream)


@check("optimizer/weight clipping", "optimizer")
def _weight_clipping() -> list[Finding]:
    """After an update every parameter of D is within the limit, and some are at it."""
    worst = Worst()
    for twin, session in _sessions():
        _, after = _train(session, steps=1)
        prefix = "d_optimizer.square_avg."
        names = [name.removeprefix(prefix) for name in after if name.startswith(prefix)]
        largest = max(np.abs(after[f"discriminator.{name}"]).max() for name in names)
        limit = _SMALL.weight_clip
        worst.compare(f"largest parameter, {twin}", largest, limit, "exact", "a step")
    return worst.findings()


@check("optimizer/ema", "optimizer")
def _moving_average() -> list[Finding]:
    """G's parameters are averaged, its buffers copied."""
    worst = Worst()
    for twin, session in _sessions():
        before, after = _train(session, steps=2)
        for name in (x for x in after if x.startswith("generator_ema.")):
            new = after[name.replace("generator_ema.", "generator.")]
            decay = _SMALL.ema_decay
            is_buffer = name.endswith(("_mean", "_var", "_tracked"))
            expected = new if is_buffer else decay * before[name] + (1 - decay) * new
            kind = "buffers" if is_buffer else "parameters"
            tolerance = "exact" if is_buffer else "optimizer, float64"
            worst.compare(f"{kind}, {twin}", after[name], expected, tolerance, name)
    return worst.findings()


def _sessions() -> Iterator[tuple[str, Session]]:
    for twin, session in zip(("torch", "jax"), make_pair(_SMALL), strict=True):
        session.start()
        yield twin, session


def _train(session: Session, steps: int) -> tuple[Arrays, Arrays]:
    """The state before and after the last of so many steps."""
    before = run_singly(session, steps - 1)
    return before, run_singly(session, 1)
