"""Each exported file is run by the library that will load it, alone in a process."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing.images import to_uint8
from shared.export.formats import FORMATS
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.restore import load_backend
from support import Twin, forged_state

_TINY: dict[str, Any] = {"image_size": 8, "width": 4, "z_dim": 3, "batch_size": 4}
# Transposed and nearest upsampling, each constraint of the weights, kinds of norm,
# classes, points, and a run in float64, whose export is in float32 like all others.
_CASES = {
    "average": (
        TrainConfig(
            **_TINY, g_weight_norm="spectral", ema_decay=0.9, precision="float64"
        ),
        DataInfo(channels=3, num_classes=0, count=100, sha256=""),
    ),
    "classes": (
        TrainConfig(
            **_TINY,
            conditional=True,
            g_norm="conditional-batch",
            g_weight_norm="weight",
        ),
        DataInfo(channels=1, num_classes=10, count=100, sha256=""),
    ),
    "residual, classes": (
        TrainConfig(
            **_TINY,
            architecture="sngan-resnet",
            conditional=True,
            g_norm="conditional-batch",
            d_norm="none",
        ),
        DataInfo(channels=1, num_classes=10, count=100, sha256=""),
    ),
    "residual": (
        TrainConfig(**_TINY, architecture="wgan-gp-resnet", d_norm="none"),
        DataInfo(channels=1, num_classes=0, count=100, sha256=""),
    ),
    "residual, attention": (
        TrainConfig(**_TINY, architecture="sagan", d_norm="none"),
        DataInfo(channels=1, num_classes=0, count=100, sha256=""),
    ),
    "biggan, classes": (
        TrainConfig(
            **_TINY,
            architecture="biggan",
            g_weight_norm="spectral",
            d_norm="none",
            conditional=True,
        ),
        DataInfo(channels=3, num_classes=10, count=100, sha256=""),
    ),
    "r3gan, classes": (
        TrainConfig(
            **_TINY | {"width": 16},
            architecture="r3gan",
            g_norm="none",
            d_norm="none",
            conditional=True,
        ),
        DataInfo(channels=3, num_classes=10, count=100, sha256=""),
    ),
    "stylegan2": (
        TrainConfig(**_TINY, architecture="stylegan2", g_norm="none", d_norm="none"),
        DataInfo(channels=1, num_classes=0, count=100, sha256=""),
    ),
    "stylegan2, classes": (
        TrainConfig(
            **_TINY,
            architecture="stylegan2-cifar",
            g_norm="none",
            d_norm="none",
            conditional=True,
        ),
        DataInfo(channels=3, num_classes=10, count=100, sha256=""),
    ),
    "rectangle": (
        TrainConfig(**_TINY | {"image_size": (8, 12)}),
        DataInfo(channels=3, num_classes=0, count=100, sha256=""),
    ),
    "stylegan2, rectangle": (
        TrainConfig(
            **_TINY | {"image_size": (12, 8)},
            architecture="stylegan2",
            g_norm="none",
            d_norm="none",
        ),
        DataInfo(channels=3, num_classes=0, count=100, sha256=""),
    ),
    "perceptron": (
        TrainConfig(
            **_TINY, architecture="mlp", g_norm="group", d_norm="none", conditional=True
        ),
        DataInfo(channels=1, num_classes=10, count=100, sha256=""),
    ),
    # Whose generator computes in eight bits, as its file does not.
    "bfloat16": (
        TrainConfig(**_TINY, precision="bfloat16"),
        DataInfo(channels=3, num_classes=0, count=100, sha256=""),
    ),
    "points": (
        TrainConfig(
            **_TINY | {"image_size": 1},
            dataset="ring",
            architecture="mlp",
            g_norm="layer",
            d_norm="none",
        ),
        DataInfo(channels=2, num_classes=8, count=100, sha256=""),
    ),
}
# Of styles, a constant of the file.
_TRUNCATION = {"stylegan2, rectangle": 0.7}
# What a stranger writes; `draw` is given a file, latents and class ids or None.
_LOADERS = {
    "onnx": """
import onnxruntime

def draw(path, z, labels):
    session = onnxruntime.InferenceSession(path)
    inputs = {"z": z} if labels is None else {"z": z, "labels": labels}
    return session.run(None, inputs)[0].transpose(0, 2, 3, 1)
""",
    "torch": """
import torch

def draw(path, z, labels):
    generator = torch.export.load(path).module()
    inputs = [z] if labels is None else [z, labels]
    return generator(*map(torch.from_numpy, inputs)).permute(0, 2, 3, 1).numpy()
""",
    "stablehlo": """
from pathlib import Path
from jax import export

def draw(path, z, labels):
    exported = export.deserialize(bytearray(Path(path).read_bytes()))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    inputs = [z] if labels is None else [z, labels.astype("int32")]
    return exported.call(*inputs)
""",
}
_LOOP = """
import sys
import numpy as np

for path in sys.argv[1:]:
    inputs = np.load(path + ".npz")
    drawn = {
        n: draw(path, inputs["z"][: int(n)],
                inputs["labels"][: int(n)] if "labels" in inputs else None)
        for n in ("2", "5")
    }
    np.savez(path + ".drawn.npz", **drawn)
strangers = {"gans_torch", "gans_jax", "shared", *OTHERS}
assert not strangers & {name.partition(".")[0] for name in sys.modules}
"""
_OTHERS = {"onnx": ("torch", "jax"), "torch": ("jax",), "stablehlo": ("torch", "flax")}


def _state(twin: Twin, config: TrainConfig, data: DataInfo) -> Checkpoint:
    """A state whose images have all greys, and its average others than G."""
    state = forged_state(twin, config, data)
    rng = np.random.default_rng(0)
    for name, array in state.arrays.items():
        if name.startswith("generator") and array.dtype.kind == "f":
            new = np.asarray(0.4 * rng.standard_normal(array.shape))
            new = np.abs(new) + 0.1 if "running_var" in name else new
            # A length, as of weight norm, may be small by chance.
            new = new + 5 if name.endswith("original0") else new
            # A mapping network multiplies these by a hundredth.
            new = 250 * new if ".mapping.layers" in name else new
            # No norm and no tanh keeps these near [-1, 1], where images are.
            is_last = name.endswith(".conv.weight")
            new = new / 5000 if config.architecture == "r3gan" and is_last else new
            state.arrays[name] = new.astype(array.dtype)
    return state


@pytest.mark.parametrize(
    ("twin_name", "name"),
    [
        pytest.param("torch", "onnx", marks=pytest.mark.needs("torch")),
        pytest.param("torch", "torch", marks=pytest.mark.needs("torch")),
        pytest.param("jax", "stablehlo", marks=pytest.mark.needs("jax")),
    ],
)
def test_a_file_draws_what_the_run_draws(
    twin_name: str, name: str, tmp_path: Path
) -> None:
    twin = Twin(twin_name)
    rng = np.random.default_rng(1)
    paths, expected = [], []
    for case, (config, data) in _CASES.items():
        run = tmp_path / f"{case}.safetensors"
        state = _state(twin, config, data)
        checkpoint.save(run, state)
        out = tmp_path / (case + FORMATS[name].suffix)
        truncation = _TRUNCATION.get(case)
        path = twin.library.export(run, out, name, truncation=truncation)
        z = rng.standard_normal((5, config.z_dim)).astype(np.float32)
        labels = np.asarray([3, 0, 9, 3, 1]) if config.conditional else None
        inputs: dict[str, Any] = {"z": z}
        if labels is not None:
            inputs["labels"] = labels
        np.savez(f"{path}.npz", **inputs)
        # As the command `sample` draws.
        make_backend = twin.library.make_backend
        backend = load_backend(state, case, make_backend, "cpu", truncation=truncation)
        ids = None if labels is None else labels.astype(np.int32)
        expected.append(backend.sample(z, ids))
        paths.append(path)
    code = _LOADERS[name] + _LOOP.replace("OTHERS", repr(_OTHERS[name]))
    subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)],
        cwd=tmp_path,
        env={name: x for name, x in os.environ.items() if name != "PYTHONPATH"},
        check=True,
    )
    for path, images in zip(paths, expected, strict=True):
        assert images.std() > 0.1, f"{path}: nothing can be told of such images"
        with np.load(f"{path}.drawn.npz") as file:
            drawn = dict(file)
        for n in (2, 5):
            assert drawn[str(n)].dtype == np.float32
            bound = 2e-2 if path.stem == "bfloat16" else 1e-4
            np.testing.assert_allclose(drawn[str(n)], images[:n], rtol=0, atol=bound)
            grey = (to_uint8(x).astype(int) for x in (drawn[str(n)], images[:n]))
            assert np.abs(np.subtract(*grey)).max() <= (3 if bound > 1e-4 else 1)


def _converted(twin: str, format: str) -> tuple[Any, bytes]:
    """A conditional generator as a file, and the twin's module that made it."""
    formats = importlib.import_module(f"gans_{twin}.formats")
    trained = importlib.import_module(f"gans_{twin}.trained")
    state = forged_state(Twin(twin), *_CASES["classes"])
    return formats, formats.convert(trained.TrainedGenerator(state, "cpu"), format)


@pytest.mark.needs("torch")
def test_an_onnx_file_says_its_version_and_names() -> None:
    import onnx

    formats, content = _converted("torch", "onnx")
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [x.version for x in model.opset_import if not x.domain] == [formats.OPSET]
    assert [x.name for x in model.graph.input] == ["z", "labels"]
    assert [x.name for x in model.graph.output] == ["images"]
    assert not any(x.external_data for x in model.graph.initializer)
    # What constrained the weights is gone.
    assert not {"Sqrt", "ReduceL2"} & {node.op_type for node in model.graph.node}


@pytest.mark.needs("jax")
def test_a_file_of_stablehlo_is_for_all_platforms_and_exact_on_each() -> None:
    from jax import export

    _, content = _converted("jax", "stablehlo")
    exported = export.deserialize(bytearray(content))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    # A GPU or a TPU would else multiply in fewer bits.
    lines = exported.mlir_module().splitlines()
    products = [line for line in lines if "stablehlo.convolution" in line]
    assert products
    assert all("HIGHEST" in line for line in products)


def test_presets_name_what_is_tested() -> None:
    """All that the presets' generators are made of is in some case."""
    seen = {config.architecture for config, _ in _CASES.values()}
    assert {config.architecture for config in PRESETS.values()} <= seen
