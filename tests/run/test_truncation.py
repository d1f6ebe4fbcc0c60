"""Styles that are drawn to their average."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.errors import UsageError
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.truncation import truncated
from support import Train, Twin, forged_state

CONFIG = TrainConfig(
    architecture="stylegan2",
    image_size=8,
    width=4,
    z_dim=6,
    batch_size=4,
    g_norm="none",
    d_norm="none",
    ema_decay=0.9,
)


@pytest.fixture
def state(twin: Twin) -> Checkpoint:
    """A state whose styles, and their average, are far from 0."""
    forged = forged_state(twin, CONFIG, DataInfo(1, 0, 100, ""))
    for name, array in forged.arrays.items():
        if name.startswith("generator"):
            scale = np.float32(100.0 if ".mapping.layers" in name else 1.0)
            drawn = noise.normal(len(name), "points", array.ndim, 1, array.size)
            forged.arrays[name] = np.asarray(scale * drawn.reshape(array.shape))
    return forged


def test_layers_read_a_style_nearer_to_the_average(
    twin: Twin, state: Checkpoint
) -> None:
    trained = importlib.import_module(f"gans_{twin.name}.trained")
    usual = trained.TrainedGenerator(state, "cpu")
    near = state._replace(arrays=truncated(state.arrays, 0.3))
    asarray = importlib.import_module(
        {"torch": "torch", "jax": "jax.numpy"}[twin.name]
    ).asarray
    z, network = asarray(noise.normal(1, "points", 0, 5, 6)), usual.network
    average = asarray(state.arrays["generator_ema.average_style"])
    w = average + 0.3 * (network.mapping(z) - average)
    expected = network.synthesise(w + asarray(np.zeros((4, 1, 1), np.float32)))
    drawn = trained.TrainedGenerator(near, "cpu")(z)
    usually = usual(z)
    for found in (drawn, expected, usually):
        assert np.isfinite(_numpy(found)).all()
    scale = np.abs(_numpy(expected)).max()
    np.testing.assert_allclose(_numpy(drawn), _numpy(expected), atol=1e-5 * scale)
    assert np.abs(_numpy(usually) - _numpy(expected)).max() > 0.1 * scale


def test_the_command_and_python_truncate_styles_and_no_latents(
    twin: Twin, state: Checkpoint, sample: Train, tmp_path: Path
) -> None:
    path = tmp_path / "000003.safetensors"
    checkpoint.save(path, state)
    trained = importlib.import_module(f"gans_{twin.name}.trained")
    generator = trained.TrainedGenerator(state, "cpu")
    drawn = generator.sample(8, seed=5, truncation=0.3)
    sample(
        *(path, "--num", 8, "--seed", 5, "--truncation", 0.3),
        *("--out", tmp_path / "grid.png"),
    )
    with Image.open(tmp_path / "grid.png") as picture:
        grid = np.asarray(picture)[..., np.newaxis]
    np.testing.assert_array_equal(images.grid(drawn, columns=8), grid)
    # No latent is drawn anew; and another call of the same generator is as before.
    near = trained.TrainedGenerator(
        state._replace(arrays=truncated(state.arrays, 0.3)), "cpu"
    )
    np.testing.assert_array_equal(near.sample(8, seed=5), drawn)
    assert (generator.sample(8, seed=5) != drawn).any()


def test_what_is_exported_reads_truncated_styles(
    twin: Twin, state: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(generator: Any, format: str) -> bytes:
        return generator.sample(8, seed=5).tobytes()

    for module in ("formats", "library"):
        monkeypatch.setattr(f"gans_{twin.name}.{module}.convert", convert)
    path = tmp_path / "000003.safetensors"
    checkpoint.save(path, state)
    own, suffix = {"torch": ("torch", "pt2"), "jax": ("stablehlo",) * 2}[twin.name]
    twin.main("export")([str(path), "--format", own, "--truncation", "0.3"])
    usual = twin.library.load_generator(path, device="cpu")
    drawn = usual.sample(8, seed=5, truncation=0.3).tobytes()
    name = f"000000-truncation-0.3.{suffix}"
    assert (tmp_path / "exported" / name).read_bytes() == drawn
    # From Python, and of a generator that has left its run.
    hub = twin.library.export(path, tmp_path / "hub")
    for run in (path, hub):
        out = twin.library.export(run, tmp_path / "file", own, truncation=0.3)
        assert out.read_bytes() == drawn
    with pytest.raises(UsageError, match=r"^truncation 0\.3: format hub has the gener"):
        twin.library.export(path, truncation=0.3)


def test_styles_may_be_their_average(twin: Twin, state: Checkpoint) -> None:
    trained = importlib.import_module(f"gans_{twin.name}.trained")
    generator = trained.TrainedGenerator(state, "cpu")
    drawn = generator.sample(4, truncation=0.0)
    np.testing.assert_array_equal(drawn, np.repeat(drawn[:1], 4, axis=0))
    for refused, rule in (
        (-0.1, r"0\.0 or more, and finite"),
        (np.inf, "None or a fin"),
    ):
        with pytest.raises(UsageError, match=f"must be {rule}"):
            generator.sample(4, truncation=refused)


def _numpy(x: object) -> np.ndarray:
    detach = getattr(x, "detach", lambda: x)
    return np.asarray(detach())
