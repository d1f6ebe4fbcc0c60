"""What a training was asked to do besides its configuration: where, and on what."""

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

from shared.config.choices import DataPlace, Keep, OnNan, WhichStep
from shared.config.train_config import TrainConfig

_OptionsT = TypeVar("_OptionsT")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``train`` was asked to do."""

    config: TrainConfig
    """Everything that changes the run's numbers."""
    data_dir: Path
    """Where data sets are kept."""
    run_dir: Path | None
    """Where to write; None: the next free folder, or the one that is resumed."""
    resume: Path | None
    """The run to continue; None: start a new one."""
    device: str
    """Name of a device, or auto."""
    data_on: DataPlace
    """Where the images are kept."""
    tensorboard: bool
    """Whether to write TensorBoard's event files too."""
    check_reference: bool
    """Whether to compare the first steps with those of other installations."""
    cache_dir: Path | None
    """Where resized images are kept; None: with the data sets or, where that folder may
    only be read, in the user's own cache."""
    allow_new_data: bool
    """Whether to go on with other images than the run was started with."""
    threads: int | None
    """Of the CPU that compute; None: as the run, or the framework's choice."""
    devices: int | None
    """That share each batch, as `shared.backend.Arithmetic` says."""
    coordinator_address: str | None
    """Where the run's first process listens, if flags tell of several."""
    num_processes: int | None
    """How many these are."""
    process_id: int | None
    """Which this one is."""
    deterministic: bool
    """Whether a GPU adds up in the same order each time."""
    on_nan: OnNan
    """What to do when losses or weights are no longer finite."""
    plugin: Path | None
    """The user's file that registers what the configuration names."""
    no_compile_cache: bool
    """Whether to compile anew what was compiled before, and not to keep it."""
    trust_cache: bool
    """Whether to leave out the check of the cached images' digest."""
    step: WhichStep | None
    """The checkpoint to continue from; None: the last that is whole."""
    keep: Keep | None
    """Which checkpoints stay; None: as the run says, or the default."""
    notes: tuple[str, ...]
    """What the user is told at the start, a line each."""


def handed_on(options: object, kind: type[_OptionsT], **others: Any) -> _OptionsT:
    """Options of another kind, with the same value of each field that both kinds have.

    A new field thus reaches every kind that has it, and cannot be left behind.

    Args:
        options: a dataclass.
        kind: the dataclass to make.
        others: fields whose value is another one, or that ``options`` does not have.
    """
    # pyrefly: ignore[bad-argument-type]
    names = {field.name for field in dataclasses.fields(kind)}
    common = {name: getattr(options, name) for name in names if hasattr(options, name)}
    return kind(**(common | others))
