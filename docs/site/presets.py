"""Writes docs/presets.md from the presets: ``python docs/site/presets.py``.

Operations are counted by XLA in the training call, lowered and not compiled: three
minutes for all presets. A test fails where the page is not what the presets give.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import torch

from gans_jax._elsewhere.arguments import parse_compile
from gans_jax._elsewhere.data import data_like
from gans_jax._elsewhere.program import lower
from gans_torch import models
from shared.config.presets import PRESETS, SUMMARIES
from shared.config.schedules import total_steps
from shared.config.train_config import TrainConfig
from shared.sizes import height_and_width

PAGE = Path(__file__).parents[1] / "presets.md"

_INTRODUCTION = """\
# The presets, and what they cost

Every preset is a whole configuration: `python -m gans_torch.train PRESET`, or
`python -m gans_jax.train PRESET`, and any flag after it changes one setting. What each
is, in a line, `--help` says too. This page is written from the presets by
`python docs/site/presets.py`.

The last columns tell how long a run takes elsewhere: the operations of all steps,
divided by what a device does in a second. Two cores of a server (AMD EPYC) did 0.4
TFLOP/s in PyTorch where channels are many (`sngan-cifar10`: 5.6 s a step) and 0.2 where
they are few (`sngan`); an H100 did 60 in TF32 at `dcgan-cifar10`: see
[On an accelerator](accelerator.md). A step is one update of G and all of D's that go
with it. What only some steps do, as StyleGAN2's with R1, is counted by its share. T, P
and E are 10^12, 10^15 and 10^18: `sngan-cifar10` takes those two cores a week, and
would take such an H100 an hour or so.

| preset | images | batch | steps | weights of G | of D | GFLOP a step | FLOP in all |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
_WORDS = """
What each is:

"""
_ROW = re.compile(r"^\| `([^`]+)` \|.*\| ([\d.,]+) \| [^|]+ \|$", re.M)


def counted(name: str) -> float:
    """Operations of one step of a preset in GFLOP, as XLA counts them, on average."""
    config = _with_data(PRESETS[name])
    # XLA counts what only some steps do as if all did.
    plain = dataclasses.replace(config, path_length=0.0)
    if config.penalty_every > 1:
        plain = dataclasses.replace(plain, penalty="none", penalty_every=1)
    least = _lowered(plain)
    total = least
    if plain.penalty != config.penalty:
        some = dataclasses.replace(plain, penalty=config.penalty)
        total += (_lowered(some) - least) / config.penalty_every
    if config.path_length > 0:
        some = dataclasses.replace(plain, path_length=config.path_length)
        total += (_lowered(some) - least) / config.path_length_every
    return total


def _lowered(config: TrainConfig) -> float:
    options, target = parse_compile(["--for", "cuda"], "docs/site/presets.py")
    lowered, _ = lower(dataclasses.replace(options, config=config), target)
    costs = lowered.cost_analysis()
    assert costs is not None, "XLA counts what it has not compiled"
    return costs["flops"] / 1e9


def told(page: str) -> dict[str, float]:
    """The operations of a step in GFLOP that a page tells, by preset."""
    found = _ROW.findall(page)
    return {name: float(number.replace(",", "")) for name, number in found}


def written(operations: Mapping[str, float]) -> str:
    """The whole page, from the operations of a step in GFLOP, by preset."""
    rows = "".join(_row(name, operations[name]) for name in PRESETS)
    lines = "".join(f"- `{name}`: {SUMMARIES[name]}.\n" for name in PRESETS)
    return _INTRODUCTION + rows + _WORDS + lines


def _with_data(config: TrainConfig) -> TrainConfig:
    """With images in colour for a preset that has no data of its own."""
    if config.dataset.startswith("folder:"):
        return dataclasses.replace(config, dataset="cifar10")
    return config


def _row(name: str, operations: float) -> str:
    config = PRESETS[name]
    info = data_like(_with_data(config), Path("data"), None).info
    with torch.device("meta"):
        generator = models.build_generator(config, info)
        discriminator = models.build_discriminator(config, info)
    steps = total_steps(config, info.count)
    data = config.dataset.partition(":")[0]
    height, width = height_and_width(config.image_size)
    size = f" {height}x{width}" if height > 1 else ""
    cells = (
        f"`{name}`",
        f"{'a folder' if data == 'folder' else data}{size}",
        str(config.batch_size),
        f"{steps:,}",
        *(_short(_weights(network)) for network in (generator, discriminator)),
        f"{float(f'{operations:.4g}'):,g}",
        _short(operations * 1e9 * steps),
    )
    return f"| {' | '.join(cells)} |\n"


def _weights(network: torch.nn.Module) -> int:
    return sum(x.numel() for x in network.parameters())


def _short(number: float) -> str:
    """With a prefix, to three digits."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if number < 999.5:
            return f"{number:.3g}{prefix}"
        number /= 1000
    return f"{number:.3g}E"


if __name__ == "__main__":
    PAGE.write_text(written({name: counted(name) for name in PRESETS}))
