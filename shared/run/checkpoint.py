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

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors import numpy as safetensors_numpy

from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.arrays import Arrays, canonical_json
from shared.files.atomic import write_atomically
from shared.plugins import Plugin

# Raised when an older program would misread the file.
FORMAT_VERSION = 1

# A single entry: safetensors writes several in an order that differs between processes.
_METADATA_KEY = "gan_checkpoint"


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
    # safetensors silently stores garbage for strided arrays (huggingface/safetensors
    # #825); np.ascontiguousarray would turn a scalar into a vector.
    arrays = {k: np.asarray(v, order="C") for k, v in checkpoint.arrays.items()}
    metadata: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "step": int(checkpoint.step),
        "config": config_to_json(checkpoint.config),
        "data": checkpoint.data._asdict(),
    }
    if checkpoint.plugin is not None:
        metadata["plugin"] = checkpoint.plugin._asdict()
    metadata["sha256"] = _digest(metadata, arrays)
    content = safetensors_numpy.save(arrays, {_METADATA_KEY: canonical_json(metadata)})
    write_atomically(path, content)


def load(path: Path) -> Checkpoint:
    """The checkpoint in ``path``, after checking every bit of it.

    Raises:
        UsageError: the file is missing, damaged, foreign, or of a newer version.
    """
    text, arrays = _read(path)
    try:
        metadata = json.loads(text)
        version = metadata["version"]
        if version > FORMAT_VERSION:
            raise UsageError(
                f"checkpoint version {version}: this program reads versions up to"
                f" {FORMAT_VERSION}; use a newer program"
            )
        if metadata.pop("sha256") != _digest(metadata, arrays):
            raise UsageError("damaged: contents and checksum disagree")
        return Checkpoint(
            step=metadata["step"],
            config=config_from_json(metadata["config"]),
            data=DataInfo(**metadata["data"]),
            arrays=arrays,
            plugin=Plugin(**metadata["plugin"]) if "plugin" in metadata else None,
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: damaged: unreadable metadata") from error


def _read(path: Path) -> tuple[str, Arrays]:
    """The text of our metadata, and the arrays."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder, not a checkpoint file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if _METADATA_KEY not in metadata:
                raise UsageError(f"{path}: not a checkpoint of this project")
            names = file.keys()
            return metadata[_METADATA_KEY], {k: file.get_tensor(k) for k in names}
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    except SafetensorError as error:
        reason = "empty" if path.stat().st_size == 0 else str(error).splitlines()[0]
        raise UsageError(
            f"{path}: no safetensors file, or truncated or damaged: {reason}"
        ) from error


def _digest(metadata: dict[str, Any], arrays: Arrays) -> str:
    digest = hashlib.sha256(canonical_json(metadata).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(canonical_json([name, array.dtype.name, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()
