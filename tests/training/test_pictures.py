"""What a run draws of its own: real images, and paths between latents."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data import points
from shared.data.arrays import from_arrays
from shared.diagnosis import diversity
from shared.randomness import noise
from shared.run.run_dir import RunDir
from shared.training import places
from shared.training.pictures import GridPictures, PointPictures


def test_real_images_and_paths_are_of_the_classes_of_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(60) % 3
    pixels = np.broadcast_to(80 * labels[:, None, None], (60, 8, 8)).astype(np.uint8)
    data = from_arrays(pixels, labels)
    config = TrainConfig(conditional=True, z_dim=5, image_size=8)
    drawn: list[Any] = []

    def sample(batches: Any, training: bool) -> list[Any]:
        drawn.extend(batches)
        return [np.zeros((len(z), 8, 8, 1), np.float32) for z, _ in batches]

    backend: Any = SimpleNamespace(sample_batches=sample)
    run = RunDir.create(tmp_path / "run", config, data.info)
    pictures = GridPictures(config, data, run, backend)
    pictures.begin()
    with Image.open(run.path / "real.png") as picture:
        real = np.asarray(picture)
    for row in range(3):
        assert set(real[2 + 10 * row, 2::10]) == {80 * row}
    pictures.end()
    ((z, ids),) = drawn
    assert ids.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [0] * 8
    fixed = noise.normal(0, "fixed latents", 0, 24, 5)
    paths = z.reshape(4, 8, 5)
    np.testing.assert_allclose(paths[:, 0], fixed[:8:2], rtol=1e-5)
    np.testing.assert_allclose(paths[:, -1], fixed[1:9:2], rtol=1e-5)
    assert (run.path / "interpolation.png").exists()
    monkeypatch.setattr(diversity, "diversity", lambda drawn, real, rows: rows)
    assert pictures.draw(7)()["diversity"] == 3


def test_points_are_of_all_classes() -> None:
    config, nothing = dataclasses.replace(PRESETS["ring"], conditional=True), None
    data: Any = points.load("ring")
    labels = PointPictures(config, data, cast(Any, nothing), cast(Any, nothing))._labels
    assert labels is not None
    assert set(np.bincount(labels)) == {312, 313}


def test_room_is_needed_for_what_will_be_there(
    tmp_path: Path, monkeypatch: Any
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        places, "check_room", lambda path, size, what: told.append(what)
    )
    config, backend = TrainConfig(save_every=1), SimpleNamespace(arrays=dict)
    for step, keep, there in ((0, 3, 0), (990, "all", 990), (990, 3, 14)):
        session: Any = SimpleNamespace(config=config, total=1000, step=step)
        session.backend = backend
        places._check_room(tmp_path, session, keep, there)  # pyrefly: ignore
    assert told == [
        "14 checkpoints (--keep 3)",
        "10 checkpoints (--keep all)",
        "1 checkpoint (--keep 3)",
    ]
