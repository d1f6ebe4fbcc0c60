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
``memory.<name>``                     what else is remembered, as ADA's sums of signs
====================================  ================================================

The header's metadata hold one entry, ``gan_checkpoint``: JSON with ``version`` of this
format, ``step`` (updates of G made so far), ``config`` and ``data`` of the run, the
``plugin`` of one that has one, its ``rollbacks`` if there were any, and ``sha256`` over
all of these and over name, type, shape and bytes of every array. Equal states give
equal files, byte for byte.

The generator's part needs none of this project's code::

    arrays = safetensors.torch.load_file("checkpoints/000500.safetensors")
    g = "generator."
    state = {k.removeprefix(g): v for k, v in arrays.items() if k.startswith(g)}
    generator.load_state_dict(state)
"""

import os
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

from shared.config.choices import WhichStep
from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.config.values import Mismatch, conform
from shared.data.image_data import DataInfo
from shared.errors import DamagedError, UsageError
from shared.files.arrays import ArrayFile, Arrays
from shared.plugins import Plugin
from shared.run.rollbacks import Rollback
from shared.run.run_dir import RunDir

# Raised when an older program would misread the file. The second knows rollbacks, and
# is said only of files that have any.
FORMAT_VERSION = 2

FILE = ArrayFile("gan_checkpoint", "checkpoint")


class _Seal(TypedDict):
    """What the metadata of every version hold."""

    version: int
    sha256: str


class _Header(TypedDict):
    """What those of this version hold."""

    step: int
    config: dict[str, Any]
    data: DataInfo
    plugin: NotRequired[Plugin]
    rollbacks: NotRequired[list[tuple[int, int]]]


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
    rollbacks: tuple[Rollback, ...] = ()
    """How the run has gone back: as many have changed what it draws."""


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``, whole or not at all; it has been read back.

    Raises:
        UsageError: the file cannot be written.
    """
    metadata: dict[str, Any] = {
        "version": FORMAT_VERSION if checkpoint.rollbacks else 1,
        "step": int(checkpoint.step),
        "config": config_to_json(checkpoint.config),
        "data": checkpoint.data.to_json(),
    }
    if checkpoint.plugin is not None:
        metadata["plugin"] = checkpoint.plugin._asdict()
    if checkpoint.rollbacks:
        metadata["rollbacks"] = [list(rollback) for rollback in checkpoint.rollbacks]
    FILE.write(path, metadata, checkpoint.arrays, verify=True)


def find(run: Path, step: WhichStep | None) -> tuple[Path, Checkpoint]:
    """The checkpoint that is meant, and what it holds.

    Args:
        run: as the path of `resolve_checkpoint`.
        step: as for `resolve_checkpoint`.

    Raises:
        UsageError: there is no such file, or it is damaged.
    """
    while True:
        path = resolve_checkpoint(run, step)
        try:
            return path, load(path)
        except UsageError:
            # Of a run in training the last may go, once there is a newer one.
            if step is not None or path == run or path.exists():
                raise


def resolve_checkpoint(path: Path, step: WhichStep | None = None) -> Path:
    """The checkpoint file meant by ``path``.

    Args:
        path: a run's folder, or a checkpoint file.
        step: which of the run's checkpoints; the one with the best scores; None: the
            latest.

    Raises:
        UsageError: there is no such file.
    """
    if path.suffix == ".safetensors" and not os.path.lexists(path / "config.json"):
        if step is not None:
            raise UsageError(f"--step {step}: needs a run's folder, not {path}")
        return path
    run = RunDir.open(path)
    if step is None:
        return run.latest_checkpoint()
    best = run.best_step() if step == "best" else step
    if best is None and run.read_scores():
        raise UsageError(f"--step best: {path} has scores of earlier data alone")
    if best is None:
        every = run.config_file.read()[0].evaluate_every
        flag = "--evaluate-every"
        why = f"not come to {flag} {every}" if every else f"been trained without {flag}"
        raise UsageError(f"--step best: {path} has no scores; it has {why}")
    steps = run.checkpoint_steps()
    if best not in steps:
        there = ", ".join(map(str, steps)) or "none"
        what = f"checkpoint of step {best}" if step == "best" else "such checkpoint"
        raise UsageError(f"--step {step}: {path} has no {what}; has {there}")
    return run.checkpoint_path(best)


def root_of(checkpoint: Path) -> Path:
    """The run's folder around a checkpoint; of one that was moved, its own folder."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" else folder


def load(path: Path) -> Checkpoint:
    """The checkpoint in ``path``, after checking every bit of it.

    Raises:
        UsageError: the file is missing, foreign, or of a newer version.
        DamagedError: it is damaged.
    """
    metadata, arrays = FILE.read(path)
    try:
        version = conform(metadata, _Seal)["version"]
        if not 1 <= version <= FORMAT_VERSION:
            raise UsageError(
                f"checkpoint version {version}: this program reads versions up to"
                f" {FORMAT_VERSION}; use a newer program"
            )
        if not FILE.is_intact(metadata, arrays):
            raise DamagedError("damaged: contents and checksum disagree")
        header = conform(metadata, _Header)
        if header["step"] < 0:
            raise Mismatch("step", header["step"], "must be 0 or more")
        return Checkpoint(
            step=header["step"],
            config=config_from_json(header["config"]),
            data=header["data"],
            arrays=arrays,
            plugin=header.get("plugin"),
            rollbacks=tuple(Rollback(*x) for x in header.get("rollbacks", ())),
        )
    except (Mismatch, RecursionError) as error:
        raise DamagedError(f"{path}: damaged: unreadable metadata: {error}") from error
    except UsageError as error:
        raise type(error)(f"{path}: {error}") from error
