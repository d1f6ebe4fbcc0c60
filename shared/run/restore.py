"""A stored state back into a twin's networks."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.backend import Arithmetic, Backend, MakeBackend
from shared.config.choices import SLOTS
from shared.config.memory import initial_memory, on_file
from shared.config.schedules import d_updates
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.config.values import printable
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.run import checkpoint
from shared.run.generator import GeneratorState, arrays_of, generator_of
from shared.run.standing import stand
from shared.run.truncation import truncated
from shared.statements import COUNTER, RUNNING_VARIANCE, Stated

_OPTIMIZERS = {"generator": "g_optimizer", "discriminator": "d_optimizer"}
_OWNERS = {
    "generator": ("generator", "generator_ema", "g_optimizer"),
    "discriminator": ("discriminator", "d_optimizer"),
}


def load_backend(
    stored: checkpoint.Checkpoint,
    name: str,
    make_backend: MakeBackend,
    device: str,
    *,
    devices: int | None = None,
    standing_stats: int | None = None,
    truncation: float | None = None,
) -> Backend:
    """A twin's backend in the state of a checkpoint.

    Args:
        stored: the state.
        name: what an error calls it.
        make_backend: makes the twin's backend.
        device: name of a device, or auto.
        devices: that draw; None: one, or one for each process.
        standing_stats: batches whose statistics batch norm is to go by in what draws;
            None: those of training.
        truncation: the share of its way from the average that a style goes, where there
            are styles; None: all the way.

    Raises:
        UsageError: there is no such device, the arrays do not fit the networks, or
            there is no batch norm.
    """
    config, arithmetic = drawing_config(stored.config), Arithmetic(devices=devices)
    backend = make_backend(config, stored.data, device, arithmetic)
    # The run may have gone on between two processes' reading it.
    stored = backend.agree(stored)
    check_state(backend.statements(), stored, name)
    if truncation is not None and ARCHITECTURES[config.architecture].has_styles:
        stored = stored._replace(arrays=truncated(stored.arrays, truncation))
    backend.load(stored.arrays)
    if standing_stats is not None:
        state = generator_of(stored)
        standing = stand(state, backend.batch_statistics, standing_stats)
        backend.load(stored.arrays | arrays_of(standing))
    return backend


def drawing_config(trained: TrainConfig) -> TrainConfig:
    """What networks are built by that only draw."""
    # Float32 draws the same images as TF32 does, and not only where there is TF32.
    if trained.precision == "tf32":
        return dataclasses.replace(trained, precision="float32")
    return trained


def check_state(
    stated: Mapping[str, Stated], state: checkpoint.Checkpoint, name: str
) -> None:
    """Refuse a state that no run of its configuration can have been in.

    A digest says that a file is as it was written, not that it was this program that
    wrote it.

    Args:
        stated: what is stated of the arrays of both networks, or of one; the other's
            are then only held to be finite.
        state: of a run.
        name: what the error calls it.

    Raises:
        UsageError: an array is missing, unknown, not finite, or of another type or
            shape; or an optimiser has counted other updates than the run has made.
    """
    wanted = _wanted(stated, state.config)
    here = {key.partition(".")[0] for key in stated}
    elsewhere = {x for network in _OWNERS.keys() - here for x in _OWNERS[network]}
    squares = _squares(stated, state.config)
    _check_arrays(wanted, squares, state.arrays, elsewhere, f"{name}: the checkpoint's")
    for owner, updates in _updates(state).items():
        key = f"{owner}.step"
        # PyTorch counts in float32, which stands still at 2**24.
        if key in wanted and not min(updates, 2**24) <= state.arrays[key] <= updates:
            raise UsageError(
                f"{name}: the checkpoint's {printable(key)} is {state.arrays[key]}, its"
                f" step {state.step} needs {updates}"
            )


def generator_arrays(
    stated: Mapping[str, Stated], state: checkpoint.Checkpoint | GeneratorState
) -> Arrays:
    """The weights of a generator, after checking that they are those of its network.

    Args:
        stated: what is stated of the network's arrays.
        state: of a run, or of the generator alone.

    Returns:
        By the names of ``stated``.

    Raises:
        UsageError: as `check_state`.
    """
    found = generator_of(state)
    if isinstance(state, checkpoint.Checkpoint):
        check_state(stated, state, "run")
    else:
        wanted = {key: _needed(array, state.config) for key, array in stated.items()}
        squares = (k for k, array in stated.items() if array.kind == RUNNING_VARIANCE)
        _check_arrays(wanted, squares, found.arrays, set(), "exported generator: its")
    return found.arrays


def _check_arrays(
    wanted: Mapping[str, str],
    squares: Iterable[str],
    arrays: Arrays,
    elsewhere: set[str],
    owner: str,
) -> None:
    """Refuse arrays that are not as they must be.

    Args:
        wanted: descriptions, by name.
        squares: names of what may not be negative.
        arrays: what there is.
        elsewhere: what the names begin with of which nothing is wanted here.
        owner: whose they are, for the error.
    """
    # In one order for both twins: of networks before their optimisers.
    ordered = sorted(wanted, key=lambda key: ("_optimizer." in key, key))
    for key in [*ordered, *sorted(arrays.keys() - wanted.keys())]:
        found = _description(arrays[key]) if key in arrays else "missing"
        needed = wanted.get(key, "none of that name")
        if found != needed and key.partition(".")[0] not in elsewhere:
            raise UsageError(
                f"{owner} {printable(key)} is {found}, its configuration needs {needed}"
            )
    for key, array in arrays.items():
        if array.dtype.kind not in "fi" or not np.isfinite(array).all():
            raise UsageError(f"{owner} {printable(key)} is not finite")
    for key in squares:
        if arrays[key].size and arrays[key].min() < 0:
            raise UsageError(f"{owner} {printable(key)} is negative")


def _wanted(stated: Mapping[str, Stated], config: TrainConfig) -> dict[str, str]:
    """Descriptions of the arrays that there must be, by name."""
    wanted = {}
    for key, array in stated.items():
        owner, _, path = key.partition(".")
        wanted[key] = described = _needed(array, config)
        if owner == "generator" and config.has_ema:
            wanted[f"generator_ema.{path}"] = described
        if array.kind.trained:
            for slot in SLOTS[config.optimizer]:
                wanted[f"{_OPTIMIZERS[owner]}.{slot}.{path}"] = described
        if config.optimizer == "adam":
            wanted[f"{_OPTIMIZERS[owner]}.step"] = "int64 ()"
    for name, number in initial_memory(config).items():
        wanted[on_file(name)] = _description(number)
    return wanted


def _needed(array: Stated, config: TrainConfig) -> str:
    return f"{'int64' if array.kind == COUNTER else config.dtype} {array.shape}"


def _squares(stated: Mapping[str, Stated], config: TrainConfig) -> Iterator[str]:
    """Names of what is an average of squares, whose root is taken."""
    for key, array in stated.items():
        owner, _, path = key.partition(".")
        if array.kind.trained:
            yield f"{_OPTIMIZERS[owner]}.{SLOTS[config.optimizer][-1]}.{path}"
        elif array.kind == RUNNING_VARIANCE:
            yield key
            if owner == "generator" and config.has_ema:
                yield f"generator_ema.{path}"


def _description(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"


def _updates(state: checkpoint.Checkpoint) -> dict[str, int]:
    """How often each network has been updated."""
    config = state.config
    of_g = state.step
    if config.path_length:
        of_g += -(-state.step // config.path_length_every)
    of_d = d_updates(config, state.step)
    if config.penalty_every > 1:
        of_d += -(-state.step // config.penalty_every)
    return {"g_optimizer": of_g, "d_optimizer": of_d}
