"""Whole training runs of both twins, from one initial state on one stream of draws."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gans_jax.backend
import gans_torch.backend
from parity_tests.certificate.compare import TOLERANCES, difference
from parity_tests.certificate.registry import Finding
from shared import sizes
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.files.arrays import Arrays
from shared.run.rollbacks import Rollback
from shared.sizes import ImageSize
from shared.training.session import Session

# What a run holds after a step: metrics and arrays.
State = Mapping[str, NDArray[Any]]

_IMAGES = 60
_CLASSES = 10
# Of a gradient that is rounding: last digits of the largest one that it has at most.
_ROUNDINGS = 100


class Pair(NamedTuple):
    """Both twins' sessions of one configuration."""

    torch: Session
    jax: Session


def shrink(config: TrainConfig, **changes: Any) -> TrainConfig:
    """The configuration with small networks and batches, in float64.

    Args:
        config: a preset.
        changes: what else to change, this function's own choices included.

    Raises:
        UsageError: the configuration does not allow the changes.
    """
    small: dict[str, Any] = {
        "dataset": "digits",
        "image_size": 16,
        "width": 4,
        "z_dim": 8,
        "batch_size": 8,
        "minibatch_std": min(config.minibatch_std, 8),
        "precision": "float64",
        "steps": 1000,
        "epochs": None,
    }
    return dataclasses.replace(config, **(small | changes))


@functools.cache
def make_data(image_size: ImageSize, channels: int = 1) -> ImageData:
    """Noisy images of a bright spot whose place tells the class; of size 1: points."""
    rng = np.random.default_rng(0)
    labels = np.arange(_IMAGES, dtype=np.int32) % _CLASSES
    info = DataInfo(channels, _CLASSES, _IMAGES, "")
    names = tuple(map(str, range(_CLASSES)))
    angle = 2 * np.pi * labels / _CLASSES
    if image_size == 1:
        centre = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        points = centre + rng.normal(0.0, 0.05, centre.shape)
        images = points.astype(np.float32).reshape(_IMAGES, 1, 1, channels)
        return ImageData(images, labels, names, info)
    height, width = sizes.height_and_width(image_size)
    sides = np.array([height, width])
    centre = sides * (0.5 + 0.3 * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    place = np.moveaxis(np.mgrid[:height, :width], 0, -1)
    distance = np.linalg.norm(place - centre[:, None, None], axis=-1)
    spot = np.exp(-np.square(distance / min(sides) * 6))[..., None]
    noisy = 200 * spot + 55 * rng.random((_IMAGES, height, width, channels))
    return ImageData(noisy.astype(np.uint8), labels, names, info)


def make_pair(config: TrainConfig, channels: int = 1) -> Pair:
    """Both twins' sessions, with the data."""
    pair = Pair(*(make_session(config, channels, name) for name in Pair._fields))
    shapes = [session.backend.shapes() for session in pair]
    assert shapes[0] == shapes[1], "the twins' arrays differ"
    return pair


def make_session(config: TrainConfig, channels: int, twin: str) -> Session:
    """One twin's session, with the data; kept, as JAX takes seconds to compile.

    Args:
        config: the configuration.
        channels: of the images.
        twin: ``torch`` or ``jax``.
    """
    return _SESSIONS[twin](config, channels)


def forget_sessions(twin: str) -> None:
    """Drop one twin's sessions, whose programs are made of code that has changed."""
    _SESSIONS[twin].cache_clear()


def _make_session(twin: Any, config: TrainConfig, channels: int) -> Session:
    data = make_data(config.image_size, channels)
    return Session(config, data, twin.Backend(config, data.info, "cpu"))


_SESSIONS = {
    name: functools.lru_cache(maxsize=20)(functools.partial(_make_session, twin))
    for name, twin in (("torch", gans_torch.backend), ("jax", gans_jax.backend))
}


def run_singly(session: Session, steps: int) -> Arrays:
    """Run so many steps in a call each; returns the final arrays."""
    for _ in range(steps):
        session.run(1)
    return session.backend.arrays()


def run(
    session: Session, steps: int, rollbacks: tuple[Rollback, ...] = ()
) -> Iterator[State]:
    """Train from the start, a step at a time; yields metrics and arrays after each."""
    session.start(rollbacks)
    yield from go_on(session, steps)


def go_on(session: Session, steps: int) -> Iterator[State]:
    """As `run`, from where the session is."""
    for _ in range(steps):
        yield session.run(1) | session.backend.arrays()


def compare_trajectories(
    config: TrainConfig,
    steps: int,
    tolerance: str,
    channels: int = 1,
    cancelled: str = "",
) -> list[Finding]:
    """Train both twins and compare everything after every step.

    Args:
        config: the configuration of both.
        steps: how many.
        tolerance: row of the table, for differences with floor 1.
        channels: channels of the images.
        cancelled: as of `compare_runs`.

    Returns:
        As `compare_runs`.

    Raises:
        AssertionError: as `compare_runs`.
    """
    torch, jax = make_pair(config, channels)
    return compare_runs(
        run(torch, steps), run(jax, steps), tolerance, cancelled=cancelled
    )


def compare_runs(
    first: Iterable[State],
    second: Iterable[State],
    tolerance: str,
    prefix: str = "",
    cancelled: str = "",
) -> list[Finding]:
    """Compare two runs of the same steps after each of them.

    Args:
        first: what one run holds after each step.
        second: the same of the other run.
        tolerance: row of the table, for differences with floor 1.
        prefix: stands before each aspect.
        cancelled: row for what norms cancel: biases that they take off again, whose
            gradient is nothing but rounding, and the means that those shift. If
            empty, these are held to `tolerance` as well.

    Returns:
        A finding each for metrics, networks and optimisers, as far as there are any,
        and for what norms cancel if asked for, with its curve; each note names the
        worst array or, where the bound is broken, the first step, phase and array to
        break it.

    Raises:
        AssertionError: metrics or arrays differ in name or shape, or a number is not
            finite; the message names step and phase. Or norms cancel nothing.
    """
    history: list[dict[str, float]] = []
    free: set[str] = set()
    for step, states in enumerate(zip(first, second, strict=True)):
        history.append(_differences(states, f"step {step}"))
        if cancelled:
            free |= _cancelled(states[0]) & _cancelled(states[1])
    rows = dict.fromkeys(("metrics", "networks", "optimizers"), tolerance)
    groups: dict[str, list[str]] = {}
    for name in history[0]:
        if name not in free:
            groups.setdefault(_aspect(name), []).append(name)
    if cancelled:
        assert free, "norms cancel nothing"
        groups["what norms cancel"] = sorted(free)
        rows["what norms cancel"] = cancelled
    divergence = _first_divergence(history, free, TOLERANCES[tolerance].bound)
    result = []
    for aspect, row in rows.items():
        names = groups.get(aspect)
        if not names:
            continue
        curve = tuple(max(found[name] for name in names) for found in history)
        step = int(np.argmax(curve))
        worst = max(names, key=history[step].__getitem__)
        note = divergence or f"largest: {worst}, at step {step}"
        result.append(Finding(prefix + aspect, max(curve), row, curve, note))
    return result


def _cancelled(state: State) -> set[str]:
    """Biases whose gradient is but rounding, and the means of norms that they shift."""
    found: set[str] = set()
    for letter, network in (("g", "generator"), ("d", "discriminator")):
        prefixes = tuple(
            f"{letter}_optimizer.{slot}." for slot in ("exp_avg_sq", "square_avg")
        )
        squares = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            for prefix in prefixes
            if name.startswith(prefix)
        }
        largest = max((value.max() for value in squares.values()), default=0.0)
        biases = {
            name
            for name, value in squares.items()
            if name.endswith("bias")
            and value.max() < largest * (_ROUNDINGS * np.finfo(value.dtype).eps) ** 2
        }
        for name in state:
            # `generator_ema` as well.
            owner, _, rest = name.partition(".")
            shifted = biases and rest.endswith("running_mean")
            if owner.startswith(network) and (rest in biases or shifted):
                found.add(name)
    return found


def largest_until(first: Iterable[State], second: Iterable[State]) -> NDArray[Any]:
    """The largest difference of anything in two runs, up to each of their steps."""
    found = [
        max(_differences(states, f"step {step}").values())
        for step, states in enumerate(zip(first, second, strict=True))
    ]
    return np.maximum.accumulate(found)


def _differences(states: tuple[State, State], when: str) -> dict[str, float]:
    """Difference of each metric and array, in the order in which a step makes them."""
    first, second = states
    assert first.keys() == second.keys(), (
        f"{when}: only one run has {sorted(first.keys() ^ second.keys())}"
    )
    found = {}
    # Within a phase, the optimiser's averages of the gradient come before the
    # parameters that they move.
    names = sorted(first, key=lambda name: "_optimizer." not in name)
    for name in sorted(names, key=lambda name: _phase(name, first)):
        try:
            found[name] = difference(first[name], second[name], floor=1.0)
        except AssertionError as error:
            phase = _PHASES[_phase(name, first)]
            raise AssertionError(f"{when}, {phase}, {name}: {error}") from None
    return found


def _first_divergence(
    history: list[dict[str, float]], free: set[str], bound: float
) -> str:
    for step, found in enumerate(history):
        for name, value in found.items():
            if name not in free and not value <= bound:
                phase = _PHASES[_phase(name, found)]
                return f"first to diverge: {name} by {value:.3g}, step {step}, {phase}"
    return ""


# A step's phases, in the order in which they happen.
_PHASES = (
    "G's forward pass",
    "D's loss",
    "D's update",
    "D's statistics",
    "G's loss",
    "G's update",
    "G's average",
)


def _phase(name: str, names: Any) -> int:
    owner, _, rest = name.partition(".")
    if not rest:
        of_g = owner.startswith("g_") or owner in ("d_fake_after", "feature_gap")
        return _PHASES.index("G's loss" if of_g else "D's loss")
    if owner == "generator_ema":
        return _PHASES.index("G's average")
    letter = owner[0].upper()
    if owner.endswith("_optimizer"):
        return _PHASES.index(f"{letter}'s update")
    is_parameter = any(
        f"{letter.lower()}_optimizer.{slot}.{rest}" in names
        for slot in ("exp_avg", "square_avg")
    )
    if is_parameter:
        return _PHASES.index(f"{letter}'s update")
    return _PHASES.index("D's statistics" if letter == "D" else "G's forward pass")


def _aspect(name: str) -> str:
    if "." not in name:
        return "metrics"
    return "optimizers" if "_optimizer." in name else "networks"
