"""Data on the host and data on the device give the same runs."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from shared.backend import Backend
from shared.commands.command_line import parse_train
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.data.placement import gather, stays_on_host
from shared.randomness.draws import Draws, draw
from support import TINY, Train, Twin, metrics, untimed_contents


def some_data(tmp_path: Path) -> ImageData:
    """Images in a file, each of which is filled with its number."""
    np.save(
        tmp_path / "images.npy",
        np.full((4, 4, 1), 1) * np.arange(9)[:, None, None, None].astype(np.uint8),
    )
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    labels = 10 * np.arange(9, dtype=np.int32)
    return ImageData(images, labels, (), DataInfo(1, 90, 9, ""))


def some_draws(steps: int) -> Draws:
    config = TrainConfig(batch_size=3, z_dim=2, n_critic=2)
    return draw(config, 1, 9, 10, range(steps))


def test_gathered_images_are_those_that_were_drawn(tmp_path: Path) -> None:
    data, draws = some_data(tmp_path), some_draws(4)
    chosen, renumbered = gather(data, draws)
    assert chosen.images.shape == (4 * 2 * 3, 4, 4, 1)
    assert not isinstance(chosen.images, np.memmap)
    assert data.labels is not None
    assert chosen.labels is not None
    before, after = draws.indices, renumbered.indices
    np.testing.assert_array_equal(chosen.images[after], data.images[before])
    np.testing.assert_array_equal(chosen.labels[after], data.labels[before])
    assert renumbered._replace(indices=before) == draws
    unlabelled, _ = gather(data._replace(labels=None), draws)
    assert unlabelled.labels is None


def test_large_data_stay_on_the_host(tmp_path: Path) -> None:
    data = some_data(tmp_path)
    size = data.images.nbytes
    assert not stays_on_host(data, "auto", 2 * size)
    assert stays_on_host(data, "auto", 2 * size - 1)
    assert stays_on_host(data, "auto", 0)
    assert stays_on_host(data, "host", 100 * size)
    assert not stays_on_host(data, "device", 0)


def test_a_cpu_holds_no_second_copy(twin: Twin, tmp_path: Path) -> None:
    config = parse_train(TINY, "prog").config
    data = some_data(tmp_path)
    module = importlib.import_module(f"gans_{twin.name}.train")
    backend = module.make_backend(config, data.info, "cpu")
    backend.load_data(data)
    assert len(backend.prepare(some_draws(1)).images) == 2 * 3
    backend.load_data(data, "device")
    assert len(backend.prepare(some_draws(1)).images) == 9


def make_calls_of(twin: Twin, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this twin's runs make calls of so many steps."""
    module = importlib.import_module(f"gans_{twin.name}.train")
    make = module.make_backend

    def make_backend(*arguments: object) -> Backend:
        backend = make(*arguments)
        backend.steps_per_call = steps
        return backend

    monkeypatch.setattr(module, "make_backend", make_backend)


@pytest.mark.parametrize("place", ["auto", "host", "device"])
def test_a_run_keeps_its_data_where_it_was_told(
    place: str,
    twin: Twin,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = importlib.import_module(f"gans_{twin.name}.backend").Backend
    load, places = backend.load_data, []

    def note(self: Backend, data: ImageData, place: str = "auto") -> None:
        places.append(place)
        load(self, data, place)

    monkeypatch.setattr(backend, "load_data", note)
    words = ("--data-on", place, "--steps", 1, "--run-dir", tmp_path / "run")
    train("ring", *TINY, "--image-size", 1, *words)
    assert places == [place]


# With labels; of points, which are floats.
@pytest.mark.parametrize(
    ("variant", "steps_per_call"),
    [("cgan", 3), ("ring --image-size 1", 1)],
)
def test_runs_do_not_depend_on_where_the_data_are(
    variant: str,
    steps_per_call: int,
    twin: Twin,
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_calls_of(twin, steps_per_call, monkeypatch)
    resident, streamed = tmp_path / "resident", tmp_path / "streamed"
    preset, *flags = variant.split()
    words = (preset, *TINY, *flags, "--save-every", 3, "--sample-every", 3)
    train(*words, "--data-on", "device", "--run-dir", resident)
    train(*words, "--data-on", "host", "--run-dir", streamed, "--steps", 3)
    train("--resume", streamed, "--steps", 6, "--data-on", "host", "--device", "cpu")
    assert metrics(streamed) == metrics(resident)
    ours, theirs = untimed_contents(streamed), untimed_contents(resident)
    # An earlier checkpoint names the length that the run had then.
    first = "checkpoints/000003.safetensors"
    assert ours.pop(first) != theirs.pop(first)
    assert ours == theirs
