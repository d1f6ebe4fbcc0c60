"""Slices of a batch: what is refused, how a run goes on, what memory they save."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.backend import Arithmetic
from shared.config import limits
from shared.config.presets import PRESETS
from shared.config.tables import Table
from shared.config.train_config import TrainConfig, config_to_json
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.data.image_data import DataInfo, ImageData
from shared.errors import UsageError
from shared.randomness.draws import draw
from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import TINY, Train, Twin

_SEPARABLE = (*TINY, "--g-norm", "instance", "--d-norm", "layer")
_BASE = dataclasses.replace(PRESETS["dcgan"], g_norm="none", d_norm="none")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"g_norm": "batch"}, "g_norm batch (takes statistics of the whole"),
        ({"d_norm": "batch"}, "d_norm batch (takes statistics of the whole"),
        ({"minibatch_std": 4}, "minibatch_std 4 (compares the samples of a group)"),
        ({"minibatch_discrimination": 3}, "minibatch_discrimination 3 (compares"),
        ({"feature_matching": 0.5}, "feature_matching 0.5 (compares means"),
        ({"objective": "relativistic-average"}, "objective relativistic-average"),
        ({"penalty": "dragan"}, "penalty dragan (takes a batch as a whole;"),
    ],
)
def test_slices_are_refused_where_samples_meet(
    changes: dict[str, Any], where: str
) -> None:
    config = dataclasses.replace(_BASE, **changes)
    with pytest.raises(UsageError) as error:
        dataclasses.replace(config, accumulate=4)
    assert str(error.value).startswith(
        f"accumulate 4: must be 1, as the samples of a batch meet in {where}"
    )


def test_all_places_are_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"g_norm batch .*, d_norm batch "):
        dataclasses.replace(PRESETS["dcgan"], accumulate=2)


def test_what_does_not_say_that_it_is_separable_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables: tuple[Table[Any], ...] = (OBJECTIVES, PENALTIES, ARCHITECTURES)
    for table in tables:
        name = getattr(_BASE, table.setting)
        row = dataclasses.replace(table[name], separable=False)
        with monkeypatch.context() as patch:
            patch.setitem(table, name, row)
            with pytest.raises(UsageError, match=f"meet in {table.setting} {name}"):
                dataclasses.replace(_BASE, accumulate=2)


def test_slices_divide_the_batch_and_its_part_on_each_device() -> None:
    with pytest.raises(UsageError, match="accumulate 3: must divide batch_size 64"):
        dataclasses.replace(_BASE, accumulate=3)
    config = dataclasses.replace(_BASE, batch_size=12, accumulate=3)
    limits.check_devices(config, 2)
    with pytest.raises(
        UsageError,
        match="--batch-size 12: must be a multiple of the 8 devices times"
        " --accumulate 3; the nearest is 24",
    ):
        limits.check_devices(config, 8)


def test_only_a_run_with_slices_says_so() -> None:
    assert "accumulate" not in config_to_json(_BASE)
    sliced = dataclasses.replace(_BASE, accumulate=4)
    assert config_to_json(sliced)["accumulate"] == 4


def test_a_run_goes_on_exactly_and_in_other_slices(
    twin: Twin, train: Train, tmp_path: Path
) -> None:
    sliced = (*_SEPARABLE, "--precision", "float64", "--accumulate", 2)
    train(*sliced, "--run-dir", tmp_path / "whole")
    train(*sliced, "--steps", 3, "--run-dir", tmp_path / "same")
    shutil.copytree(tmp_path / "same", tmp_path / "other")
    on = ("--steps", 6, "--device", "cpu")
    train("--resume", tmp_path / "same", *on)
    train("--resume", tmp_path / "other", *on, "--accumulate", 4)
    whole, same, other = (
        checkpoint.load(RunDir.open(tmp_path / name).checkpoint_path(6))
        for name in ("whole", "same", "other")
    )
    assert (same.config.accumulate, other.config.accumulate) == (2, 4)
    for name, array in whole.arrays.items():
        assert np.array_equal(same.arrays[name], array), name
        np.testing.assert_allclose(other.arrays[name], array, rtol=0, atol=1e-12)


def _peak(config: TrainConfig) -> int:
    """Bytes that JAX's compiler sets aside for what a training call computes."""
    from gans_jax.backend import Backend

    info = DataInfo(1, 2, 64, "")
    backend = Backend(config, info, "cpu", Arithmetic())
    images = np.zeros((64, 16, 16, 1), np.uint8)
    backend.load_data(ImageData(images, None, (), info))
    inputs = backend.prepare(draw(config, 1, 64, 5, range(1)))
    with backend._settings():
        lowered = backend._train_steps.lower(backend._leaves, *inputs)
        sizes = lowered.compile().memory_analysis()
    return sizes.temp_size_in_bytes


@pytest.mark.needs("jax")
def test_slices_take_the_memory_of_a_slice() -> None:
    config = dataclasses.replace(_BASE, image_size=16, width=8, steps=5)
    assert _peak(dataclasses.replace(config, accumulate=8)) < _peak(config) / 3
