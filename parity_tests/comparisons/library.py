"""What is offered to Python: one training and one generator, from both twins."""

from typing import Any

import gans_jax
import gans_torch
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.trajectories import make_data, shrink
from shared.config.presets import PRESETS

_COVERS = (
    *("backend.find_device", "library.evaluate", "library.fit"),
    *("library.load_generator", "library.load_plugin", "trained.TrainedGenerator"),
    *("data.DataInfo", "data.ImageData"),
    *("data.from_arrays", "data.from_folder", "data.load"),
)
_TINY: dict[str, Any] = {
    "image_size": 8,
    "width": 2,
    "z_dim": 3,
    "batch_size": 4,
    "steps": 3,
    "log_every": 1,
}
_TWINS: tuple[Any, ...] = (gans_torch, gans_jax)


@check("fact/library", "fact", _COVERS)
def _library() -> list[Finding]:
    """Both train on the same arrays, load each other's run, draw and score alike."""
    config = shrink(PRESETS["cgan"], ema_decay=0.5, **_TINY)
    images = make_data(8)
    torch, jax = (
        twin.fit(config, twin.data.from_arrays(*images[:2]), device="cpu")
        for twin in _TWINS
    )
    worst = Worst()
    assert torch.arrays.keys() == jax.arrays.keys(), "the runs' arrays differ"
    for name, array in torch.arrays.items():
        other = jax.arrays[name]
        worst.compare("arrays", array, other, "trajectory, float64", name, floor=1.0)
    for ours, theirs in zip(torch.records, jax.records, strict=True):
        step = f"step {ours['step']}"
        for name in ("d_loss", "g_loss", "d_grad_norm"):
            value, other = ours[name], theirs[name]
            worst.compare("records", value, other, "trajectory, float64", step)
    generators = [
        twin.load_generator(run, device="cpu")
        for twin, run in zip(_TWINS, (jax, torch), strict=True)
    ]
    drawn = [generator.sample(20).astype(int) for generator in generators]
    data = gans_torch.data.from_arrays(*images[:2])
    scores = [
        twin.evaluate(torch, data, features="none", num=16, draws=1, device="cpu")
        for twin in _TWINS
    ]
    for name, value in scores[0].values.items():
        worst.compare("scores", value, scores[1].values[name], "scores", name)
    grey = float(abs(drawn[0] - drawn[1]).max())
    return [*worst.findings(), Finding("images", grey, "samples, grey levels")]
