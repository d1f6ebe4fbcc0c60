"""Forged states: whole files with a right digest that no run can have written."""

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.choices import SLOTS
from shared.config.memory import initial_memory, on_file
from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo
from shared.data.points import load
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.randomness.initial_weights import initial_arrays
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.restore import check_state
from shared.training.session import Session
from support import Train, Twin, forged_state, last_checkpoint, stopped

Forge = Callable[[Arrays], object]


def put(name: str, value: Any) -> Forge:
    return lambda arrays: arrays.update({name: np.asarray(value)})


def change(name: str, edit: Callable[[np.ndarray], Any]) -> Forge:
    return lambda arrays: arrays.update({name: np.asarray(edit(arrays[name]))})


def poison(value: float, name: str) -> Forge:
    def forge(arrays: Arrays) -> None:
        arrays[name].flat[0] = value

    return forge


G, D = "generator.up.weight", "discriminator.conv.weight"
VARIANCE = "generator.blocks.0.norm.running_var"
OF_G, OF_D = "g_optimizer.exp_avg.up.weight", "d_optimizer.exp_avg.conv.weight"
SQUARE = "g_optimizer.exp_avg_sq.up.weight"
FORGED: dict[str, tuple[Forge, str]] = {
    "nan in G": (poison(math.nan, G), f"{G} is not finite"),
    "inf in D": (poison(math.inf, D), f"{D} is not finite"),
    "nan in Adam": (
        poison(math.nan, OF_G),
        f"{OF_G} is not finite",
    ),
    "negative variance": (poison(-1.0, VARIANCE), f"{VARIANCE} is negative"),
    "negative square": (poison(-1e-9, SQUARE), f"{SQUARE} is negative"),
    "float64": (change(G, lambda x: x.astype(np.float64)), f"{G} is float64"),
    "whole numbers": (change(G, lambda x: x.astype(np.int32)), f"{G} is int32"),
    "bools": (change(G, lambda x: x > 0), f"{G} is bool"),
    "another shape": (change(G, lambda x: x.T.copy()), f"{G} is float32"),
    "missing": (lambda arrays: arrays.pop(G), f"{G} is missing"),
    "unknown": (put("generator.more", np.float32(1)), "generator.more is float32 ()"),
    "unknown owner": (put("more", np.float32(1)), "more is float32 ()"),
    "an average": (put("generator_ema.x", np.float32(1)), "generator_ema.x is float32"),
    "missing in Adam": (
        lambda arrays: arrays.pop(OF_D),
        f"{OF_D} is missing, its configuration needs float32",
    ),
    "unknown in Adam": (
        put("g_optimizer.square_avg.x", np.float32(1)),
        "g_optimizer.square_avg.x is float32 (), its configuration needs none",
    ),
    "shape in Adam": (
        change(OF_D, np.ravel),
        f"{OF_D} is float32 (128,), its configuration needs float32 (1, 8, 4, 4)",
    ),
    "other count": (put("g_optimizer.step", np.int64(5)), "g_optimizer.step is 5, its"),
    "count of D": (put("d_optimizer.step", np.int64(7)), "d_optimizer.step is 7, its"),
    "negative count": (put("g_optimizer.step", np.int64(-6)), "step is -6, its step 6"),
    "float count": (put("g_optimizer.step", 6.0), "g_optimizer.step is float64 ()"),
    "no count": (lambda arrays: arrays.pop("g_optimizer.step"), "step is missing"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_arrays_are_refused(
    name: str,
    twin: Twin,
    train: Train,
    sample: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forge, expected = FORGED[name]
    state = checkpoint.load(last_checkpoint(finished))
    forge(state.arrays)
    forged = tmp_path / "forged.safetensors"
    checkpoint.save(forged, state)
    capsys.readouterr()
    stopped(2, lambda: sample(forged, "--num", 2))
    message = capsys.readouterr().err
    assert f"{forged}: the checkpoint's " in message
    assert expected in message
    assert message.count("\n") == 1
    # D is not needed for a generator, and only held to be finite.
    if "discriminator" not in message and "d_optimizer" not in message:
        with pytest.raises(ValueError, match="the checkpoint's"):
            twin.library.load_generator(forged, device="cpu")


def test_a_forged_state_is_neither_resumed_nor_evaluated(
    twin: Twin,
    train: Train,
    finished: Path,
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    path = last_checkpoint(run)
    state = checkpoint.load(path)
    state.arrays["g_optimizer.step"] += 1
    checkpoint.save(path, state)
    capsys.readouterr()
    flags = ["--device", "cpu", "--data-dir", str(data_dir)]
    for call in (
        lambda: train("--resume", run, "--steps", 7, "--device", "cpu"),
        lambda: twin.main("evaluate")([str(run), "--features", "none", *flags]),
    ):
        stopped(2, call)
        message = capsys.readouterr().err
        assert "the checkpoint's g_optimizer.step is 7, its step 6 needs 6" in message
        assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("dcgan", {}),
        ("wgan", {"ema_decay": 0.9}),
        ("wgan-gp", {"precision": "float64", "d_weight_norm": "spectral"}),
        ("dcgan", {"d_every": 3, "optimizer": "rmsprop", "g_weight_norm": "weight"}),
        ("dcgan", {"d_every": 3, "minibatch_discrimination": 2}),
        ("ring", {"n_critic": 2}),
        ("dcgan", {"augment": "ada"}),
    ],
)
def test_a_state_that_was_trained_is_accepted(
    preset: str, changes: dict[str, Any], twin: Twin
) -> None:
    small: dict[str, Any] = {"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 4}
    if preset == "ring":
        del small["image_size"]
    config = dataclasses.replace(PRESETS[preset], **small, **changes)
    data = load("ring")
    if preset != "ring":
        images = np.arange(8 * 64, dtype=np.uint8).reshape(8, 8, 8, 1)
        info = data.info._replace(channels=1, num_classes=0, count=8)
        data = data._replace(images=images, labels=None, class_names=(), info=info)
    backend = twin.library.make_backend(config, data.info, "cpu")
    session = Session(config, data, backend)
    session.start()
    session.run(4)
    state = Checkpoint(4, config, data.info, backend.arrays())
    check_state(backend.statements(), state, "run")
    assert set(SLOTS) == {"adam", "rmsprop"}
    averages = {name.split(".")[1] for name in state.arrays if "optimizer" in name}
    assert averages - {"step"} == set(SLOTS[config.optimizer])
    # What it remembers, as it was saved, is asked for.
    for name in initial_memory(config):
        others = {k: x for k, x in state.arrays.items() if k != on_file(name)}
        forged = state._replace(arrays=others)
        with pytest.raises(UsageError, match=f"memory.{name} is missing, its config"):
            check_state(backend.statements(), forged, "run")


def test_updates_of_their_own_intervals_count(twin: Twin) -> None:
    config = dataclasses.replace(
        *(PRESETS["stylegan2"],),
        **{"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 4},
        **{"path_length": 1.0, "path_length_every": 4, "penalty_every": 4},
    )
    info = DataInfo(1, 0, 9, "")
    backend = twin.library.make_backend(config, info, "cpu")
    backend.load(initial_arrays(backend.statements(), config.seed))
    arrays = backend.arrays()
    # The first step has one more, and so has every fourth from there on.
    for step, updates in ((0, 0), (1, 2), (4, 5), (5, 7)):
        for name in ("g_optimizer.step", "d_optimizer.step"):
            arrays[name] = np.asarray(updates, np.int64)
        state = Checkpoint(step, config, info, arrays)
        check_state(backend.statements(), state, "run")
        for name in ("g_optimizer.step", "d_optimizer.step"):
            other = arrays | {name: np.asarray(updates + 1, np.int64)}
            with pytest.raises(UsageError, match=f"its step {step} needs {updates}$"):
                check_state(backend.statements(), state._replace(arrays=other), "run")


def test_of_an_average_no_variance_is_negative(twin: Twin) -> None:
    small = {"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 4}
    config = dataclasses.replace(PRESETS["dcgan"], ema_decay=0.9, **small)
    state = forged_state(twin, config, DataInfo(1, 0, 9, ""))
    stated = twin.library.make_backend(config, state.data, "cpu").statements()
    check_state(stated, state, "run")
    name = VARIANCE.replace("generator", "generator_ema")
    state.arrays[name] = -state.arrays[name]
    with pytest.raises(UsageError, match=f"{name} is negative"):
        check_state(stated, state, "run")


def test_pytorch_counts_no_further_than_its_numbers_go(
    twin: Twin, finished: Path
) -> None:
    state = checkpoint.load(last_checkpoint(finished))
    backend = twin.library.make_backend(state.config, state.data, "cpu")
    for count in (2**24, 2**24 + 5):
        steps = {f"{x}_optimizer.step": np.asarray(count, np.int64) for x in ("g", "d")}
        state = state._replace(step=2**24 + 5, arrays=state.arrays | steps)
        check_state(backend.statements(), state, "run")
