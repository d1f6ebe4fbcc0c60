"""The one checkpoint file, which both twins read and write.

A checkpoint is a plain safetensors file; nothing in it is ever executed. Names and
layouts follow PyTorch's ``state_dict``:

====================================  ================================================
``generator.<name>``                  parameters and batch-norm statistics of G
``discriminator.<name>``              the same of D
``generator_ema.<name>``              G's average, where the run keeps one
``g_optimizer.step``                  updates made; an int64 scalar
``g_optimizer.exp_avg.<name>``        Adam's first average, for parameter ``<name>``
``g_optimizer.exp_avg_sq.<name>``     Adam's second average
``g_optimizer.square_avg.<name>``     RMSprop's average
``d_optimizer.…``                     the same for D
====================================  ================================================

The header's metadata hold one entry, ``gan_checkpoint``: JSON with ``version`` of this
format, ``step`` (updates of G made so far), ``config`` and ``data`` of the run, the
``plugin`` of one that has one, and ``sha256`` over all of these and over name, type,
shape and bytes of every array. Equal states give equal files, byte for byte.

The generator's part needs none of this project's code::

    arrays = safetensors.torch.load_file("checkpoints/000500.safetensors")
    g = "generator."
    state = {k.removeprefix(g): v for k, v in arrays.items() if k.startswith(g)}
    generator.load_state_dict(state)
"""

from pathlib import Path
from typing import NamedTuple

from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.arrays import ArrayFile, Arrays
from shared.plugins import Plugin

# Raised when an older program would misread the file.
FORMAT_VERSION = 1

FILE = ArrayFile("gan_checkpoint", "checkpoint")


class Checkpoint(NamedTuple):
    """A run's whole state after ``step`` updates of G."""

    step: int
    """Updates of G made so far."""
    config: TrainConfig
    """Configuration of the run."""
    data: DataInfo
    """What the run knows of its data."""
    arrays: Arrays
    """Networks, optimisers and average; names as in the module's docstring."""
    plugin: Plugin | None = None
    """The user's file that the run needs."""


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all.

    Raises:
        UsageError: the file cannot be written.
    """
    metadata = {
        "version": FORMAT_VERSION,
        "step": int(checkpoint.step),
        "config": config_to_json(checkpoint.config),
        "data": checkpoint.data.to_json(),
    }
    if checkpoint.plugin is not None:
        metadata["plugin"] = checkpoint.plugin._asdict()
    FILE.write(path, metadata, checkpoint.arrays)


def load(path: Path) -> Checkpoint:
    """The checkpoint in ``path``, after checking every bit of it.

    Raises:
        UsageError: the file is missing, damaged, foreign, or of a newer version.
    """
    metadata, arrays = FILE.read(path)
    try:
        version = metadata["version"]
        if version > FORMAT_VERSION:
            raise UsageError(
                f"checkpoint version {version}: this program reads versions up to"
                f" {FORMAT_VERSION}; use a newer program"
            )
        if not FILE.is_intact(metadata, arrays):
            raise UsageError("damaged: contents and checksum disagree")
        return Checkpoint(
            step=metadata["step"],
            config=config_from_json(metadata["config"]),
            data=DataInfo.from_json(metadata["data"]),
            arrays=arrays,
            plugin=Plugin(**metadata["plugin"]) if "plugin" in metadata else None,
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: damaged: unreadable metadata") from error
