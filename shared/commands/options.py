"""The flags of each command."""

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from shared.commands.parsing import word
from shared.config.choices import (
    KEEP_RULE,
    Channels,
    Crop,
    DataPlace,
    Features,
    Keep,
    OnNan,
    Split,
    WhichStep,
    is_keep,
)
from shared.config.tables import Table
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.export.formats import Format
from shared.sizes import ImageSize


def _parse_labels(texts: list[str]) -> str:
    if not all(map(str.strip, texts[0].split(","))):
        raise ValueError(
            f"{shlex.join(texts)}: must be class ids from 0 up or names, as in 3,7"
        )
    return texts[0]


def _parse_step(texts: list[str]) -> WhichStep:
    try:
        return "best" if texts[0] == "best" else int(texts[0])
    except ValueError:
        rule = "must be a whole number, or best"
        raise ValueError(f"{shlex.join(texts)}: {rule}") from None


_StepFlag = Annotated[WhichStep | None, word("INT|best", _parse_step)]


def _parse_keep(texts: list[str]) -> Keep:
    text = texts[0]
    if is_keep(keep := int(text) if text.isascii() and text.isdigit() else text):
        return keep
    raise ValueError(f"{shlex.join(texts)}: {KEEP_RULE}")


_KeepFlag = Annotated[Keep | None, word("INT|all", _parse_keep)]


_FILE = tyro.conf.arg(metavar="FILE")
_FOLDER = tyro.conf.arg(metavar="FOLDER")
_PLACE = tyro.conf.arg(metavar="HOST:PORT")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What ``sample`` was asked to do."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder of either twin, or one of its checkpoints (.safetensors)."""
    num: int | None = None
    """Images to draw; without it, eight rows or, of a conditional run, a row for each
    class. With fewer rows than classes, each class has an equal share."""
    seed: int = 0
    """Seed of the latents, from 0 up."""
    truncation: float | None = None
    """Draw each number of a latent anew until it is at most so far from 0, as in
    BigGAN; of stylegan2, go this share of the way from the average style to each.
    Images are more alike, and often better; from 0.05 up, of stylegan2 from 0."""
    standing_stats: int | None = None
    """Batches of new samples whose statistics batch norm goes by, as in BigGAN; without
    it, those of training."""
    labels: Annotated[
        str, word("CLASS,...", _parse_labels, lambda labels: labels or "all")
    ] = ""
    """Classes to draw, by id or name (a number is an id), a row for each in turn;
    conditional runs only; without it, all."""
    interpolate: bool = False
    """Make each row a path between two latents."""
    separate: bool = False
    """Write one file for each image instead of a grid."""
    columns: int = 8
    """Images in a row of the grid, or on a path."""
    step: _StepFlag = None
    """Checkpoint to draw from; best: by the scores of --evaluate-every; without it,
    the last."""
    out: Path | None = None
    """File to write (PNG), or new folder with --separate; without it, a new one in the
    run."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""
    devices: int | None = None
    """Devices of each process that draw. In PyTorch each device has a process, which
    torchrun starts, and says how many."""
    coordinator_address: Annotated[str | None, _PLACE] = None
    """Where the first of several processes listens that no torchrun starts; as for
    train."""
    num_processes: int | None = None
    """How many they are."""
    process_id: int | None = None
    """Which of them this one is, from 0 up."""
    plugin: Annotated[Path | None, _FILE] = None
    """Python file that registers objectives, penalties or architectures of your own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What ``evaluate`` was asked to do."""

    run: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="RUN")] = (
        None
    )
    """A run folder of either twin, or one of its checkpoints (.safetensors)."""
    samples: Annotated[Path | None, _FOLDER] = None
    """Instead of a run: a folder (or .zip) of images, from wherever, to be scored."""
    reference: str | None = None
    """What --samples are compared with: a folder of images, in subfolders by class
    where features are the classifier's, or the name of a data set."""
    image_size: ImageSize | None = None
    """Of --samples and --reference: height and width that they are scored at, as for
    train; without it, 32."""
    channels: Channels | None = None
    """Of --samples and --reference: as for train; without it, auto."""
    split: Split = "train"
    """Images that the samples are compared with, of mnist, fashion-mnist, cifar10 and
    stacked-mnist: those that were trained on, or the test images."""
    num: int | None = None
    """Samples in each draw, from 16 up; without it, 2048 or, if that is less, as many
    as there are training images; 26000 of stacked-mnist, 2500 points in the plane,
    10000 with --features inception."""
    draws: int | None = None
    """Independent draws of a run's samples, over which confidence intervals are made;
    without it, 5."""
    seed: int = 0
    """Seed of the samples, from 0 up."""
    standing_stats: int | None = None
    """Batches of new samples whose statistics batch norm goes by, as in BigGAN; without
    it, those of training."""
    features: Features = "classifier"
    """What images are compared by: a classifier that is trained on the data's labels;
    Inception v3 as for the published FID (PyTorch; fetched when first used); none:
    pixel by pixel only."""
    step: _StepFlag = None
    """Checkpoint to evaluate; best: by the scores of --evaluate-every; without it, the
    last."""
    dataset: str | None = None
    """Where a folder of images is now, as folder:PATH, if it was moved since."""
    data_dir: Path = Path("data")
    """Folder of data sets, which also keeps the classifier."""
    trust_cache: tyro.conf.FlagCreatePairsOff[bool] = False
    """As for train."""
    cache_dir: Path | None = None
    """Folder of what is kept of data sets; without it, cache/ in --data-dir or, where
    that may only be read, the user's own."""
    out: Path | None = None
    """Folder to write into; without it, the run."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""
    devices: int | None = None
    """Devices that draw the samples; as for sample."""
    coordinator_address: Annotated[str | None, _PLACE] = None
    """Where the first of several processes listens that no torchrun starts; as for
    train."""
    num_processes: int | None = None
    """How many they are."""
    process_id: int | None = None
    """Which of them this one is, from 0 up."""
    plugin: Annotated[Path | None, _FILE] = None
    """Python file that registers objectives, penalties or architectures of your own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What ``export`` was asked to do."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder of either twin, one of its checkpoints (.safetensors), or what was
    exported as hub."""
    format: Format = "hub"
    """hub: the folder that the Hugging Face Hub expects, which load_generator reads;
    onnx; torch: torch.export; stablehlo: jax.export. The first is written by both
    twins, the last by the one in JAX, the others by the one in PyTorch."""
    step: _StepFlag = None
    """Checkpoint to export; best: by the scores of --evaluate-every; without it, the
    last."""
    truncation: float | None = None
    """Of a file of stylegan2: go this share, from 0 up, of the way from the average
    style to each. Other architectures truncate latents, which are its input."""
    standing_stats: int | None = None
    """Batches of new samples whose statistics batch norm goes by, as in BigGAN; without
    it, those of training."""
    out: Path | None = None
    """File to write, or new folder of hub; without it, a new one in the run."""
    plugin: Annotated[Path | None, _FILE] = None
    """Python file that registers objectives, penalties or architectures of your own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What ``data`` was asked to do."""

    dataset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATASET")]
    """folder:PATH (a folder or .zip of images), or the name of a data set."""
    image_size: ImageSize = 32
    """Height and width in pixels, as for train; of points it means nothing."""
    channels: Channels = "auto"
    """As for train."""
    crop: Crop = "centre"
    """As for train."""
    pixel_bits: int | None = None
    """As for train."""
    data_dir: Path = Path("data")
    """Folder of data sets, where they are fetched to and cached."""
    cache_dir: Path | None = None
    """Folder of resized images; without it, cache/ in --data-dir or, where that may
    only be read, the user's own."""
    out: Path = Path("data.png")
    """Picture to write: some images, as a run sees them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What ``compare`` was asked to do."""

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Run folders of either twin."""
    out: Path = Path("comparison.png")
    """Picture of the curves to write; a page of the same name (.html) is beside it."""
    plugin: Annotated[Path | None, _FILE] = None
    """Python file that registers objectives, penalties or architectures of your own."""


DEFAULT_PRESET = "quick"
"""What ``train`` trains without a preset."""


def _one_of(table: Table[Any]) -> object:
    """Marks a flag whose choices are the names of a table when flags are read."""
    return tyro.conf.arg(
        # pyrefly: ignore[invalid-literal]
        constructor_factory=lambda: Literal[tuple(table)],
        # Of a type that is made so late, tyro shows the default as a list.
        help_behavior_hint=lambda default: "(default: " + default.strip("[']") + ")",
    )


# Flags of the run that exclude each other.
_LENGTH = tyro.conf.create_mutex_group(required=False, title="length of the run")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainFlags(TrainConfig):
    """The flags of ``train``: the configuration's fields and where to run.

    Presets are positional. The rules are checked on the finished `TrainConfig`.
    """

    preset: tyro.conf.Suppress[str] = DEFAULT_PRESET
    architecture: Annotated[str, _one_of(ARCHITECTURES)]
    objective: Annotated[str, _one_of(OBJECTIVES)]
    penalty: Annotated[str, _one_of(PENALTIES)]
    steps: Annotated[int | None, _LENGTH] = None
    epochs: Annotated[float | None, _LENGTH] = None
    config: Annotated[Path | None, _FILE] = None
    """Start from the settings of this config.json, of a run or with some of your own:
    they go before the preset's, and flags before them."""
    data_dir: Path = Path("data")
    """Folder of data sets, where they are fetched to and cached."""
    trust_cache: tyro.conf.FlagCreatePairsOff[bool] = False
    """Leave out the check of the cached images' digest, a second for half a gigabyte,
    where size and time of the files are as they were."""
    cache_dir: Path | None = None
    """Folder of resized images; without it, cache/ in --data-dir or, where that may
    only be read, the user's own."""
    run_dir: Path | None = None
    """Folder to write; without it, the next free runs/PRESET-DATASET-NNN."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN|auto")] = None
    """Continue this run, of either twin, where it stopped. auto: the run in --run-dir,
    or the newest in runs/ with the same settings that is not finished; where there is
    none, start one. The same command thus serves a scheduler again and again."""
    allow_new_data: tyro.conf.FlagCreatePairsOff[bool] = False
    """With --resume: go on with a folder whose images have changed since."""
    step: _StepFlag = None
    """With --resume: go back to this checkpoint, or to the one with the best scores,
    and remove what is newer; without it, the last that is whole."""
    keep: _KeepFlag = None
    """Checkpoints that stay: the last so many, the best by --evaluate-every, and up to
    eight spread evenly over the run; all: every one. Without it, 3, or what a run to
    --resume was started with."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""
    plugin: Annotated[Path | None, _FILE] = None
    """Python file that registers objectives, penalties or architectures of your own."""
    data_on: DataPlace = "auto"
    """Where the images are kept: on the device, or on the host, which sends each batch;
    auto: on an accelerator with room for them."""
    threads: int | None = None
    """Threads of the CPU that compute, on whose number the last digits depend; without
    it, what the run to --resume was trained with, or what the framework takes."""
    devices: int | None = None
    """Devices of each process that share each batch, of --batch-size images in all. In
    PyTorch each device has a process, which torchrun starts, and says how many."""
    coordinator_address: Annotated[str | None, _PLACE] = None
    """Where the first of several processes listens, which the others reach it by; where
    torchrun or, in JAX, SLURM starts them, they need not be told."""
    num_processes: int | None = None
    """How many they are; each is started by this same command."""
    process_id: int | None = None
    """Which of them this one is, from 0 up; the first speaks and writes."""
    deterministic: tyro.conf.FlagCreatePairsOff[bool] = False
    """Have a GPU add up in the same order each time, which costs speed; a CPU does."""
    no_compile_cache: tyro.conf.FlagCreatePairsOff[bool] = False
    """Do not keep compiled programs in the user's cache, nor take them from there (JAX;
    PyTorch compiles nothing)."""
    on_nan: OnNan = "stop"
    """When losses or weights are no longer finite: stop; or rollback: go on from the
    last checkpoint with other draws and half the learning rates, up to 5 times."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write event files for TensorBoard into the run's folder too."""
    check_reference: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say after the first steps of an unchanged preset whether its metrics are what
    they are on other machines."""

    def __post_init__(self) -> None:
        pass
