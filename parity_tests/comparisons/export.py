"""What leaves a run draws what the run draws, whichever twin has written it."""

import io
import tempfile
from pathlib import Path

import jax
import numpy as np
import torch

import gans_jax
import gans_jax.formats
import gans_torch
import gans_torch.formats
from parity_tests.certificate.registry import Finding, Worst, check
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.restore import load_backend

_CONFIG = TrainConfig(
    image_size=20,  # of another base than 4
    width=4,
    z_dim=3,
    batch_size=4,
    conditional=True,
    g_norm="conditional-batch",
    g_weight_norm="spectral",
    ema_decay=0.9,
)
_DATA = DataInfo(channels=3, num_classes=4, count=100, sha256="")


def _state() -> Checkpoint:
    """A state whose average is another than G."""
    backend = gans_torch.make_backend(_CONFIG, _DATA, "cpu")
    rng = np.random.default_rng(0)
    arrays = {
        name: np.asarray(0.2 * rng.standard_normal(shape) + 0.2, np.float32)
        for name, shape in backend.shapes().items()
    }
    arrays |= {
        f"generator_ema.{name.removeprefix('generator.')}": array * np.float32(1.5)
        for name, array in arrays.items()
        if name.startswith("generator.")
    }
    backend.load(
        {
            name: np.asarray(np.abs(x) if "var" in name else x)
            for name, x in arrays.items()
        }
    )
    return Checkpoint(0, _CONFIG, _DATA, backend.arrays())


@check("fact/export", "fact", ("library.export", "formats.convert"))
def _export() -> list[Finding]:
    """The folders of both twins, a program of PyTorch's and one of JAX's, of a run."""
    state = _state()
    rng = np.random.default_rng(1)
    z = rng.standard_normal((5, _CONFIG.z_dim)).astype(np.float32)
    labels = np.asarray([2, 0, 3, 3, 1], np.int32)
    backend = load_backend(state, "state", gans_torch.make_backend, "cpu")
    expected = backend.sample(z, labels)
    assert np.ptp(expected) > 0.1, "nothing can be told of such images"
    worst = Worst()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = folder / "run.safetensors"
        checkpoint.save(run, state)
        ours, theirs = (
            twin.export(run, folder / twin.__name__) for twin in (gans_torch, gans_jax)
        )
        differing = sum(
            (ours / x).read_bytes() != (theirs / x).read_bytes()
            for x in ("config.json", "model.safetensors", "README.md")
        )
        generators = (
            gans_torch.load_generator(theirs, device="cpu"),
            gans_jax.load_generator(ours, device="cpu"),
        )
    program = torch.export.load(
        io.BytesIO(gans_torch.formats.convert(generators[0], "torch"))
    ).module()
    exported = jax.export.deserialize(
        bytearray(gans_jax.formats.convert(generators[1], "stablehlo"))
    )
    for n in (2, 5):
        case = f"batch {n}"
        ids = torch.from_numpy(labels[:n]).long()
        first = program(torch.from_numpy(z[:n]), ids).permute(0, 2, 3, 1).numpy()
        second = np.asarray(exported.call(z[:n], labels[:n]))
        for aspect, images in (("torch.export", first), ("jax.export", second)):
            worst.compare(aspect, images, expected[:n], "samples, float32", case)
    return [
        Finding("files that differ", float(differing), "exact"),
        *worst.findings(),
    ]
