"""The folder that a run leaves behind, the same from both twins.

::

    config.json                     configuration and data, which twins trained, and the
                                    user's plugin, if there is one
    metrics.jsonl                   one JSON object for each logged step
    samples.jsonl                   the same for each grid of samples: its diversity
    scores.jsonl                    the same for each evaluation (--evaluate-every),
                                    with its protocol
    best.json                       the best of these: lowest FID; of points, coverage
    samples/000500.png              grid of the fixed latents' images after 500 steps
    checkpoints/000500.safetensors  state after 500 steps
    real.png                        real images, in a grid like those of the samples
    evaluation-000500.json          scores by ``evaluate``; nearest-000500.png with it;
                                    evaluation-000500-inception.json, ...-none.json
    drawn/                          what ``sample`` draws
    tensorboard/                    event files, with --tensorboard
    losses.png samples.png samples.gif interpolation.png report.html
                                    written at the end; report.html at checkpoints too
"""

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NotRequired, Self, TypedDict

import filelock

from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.config.values import Mismatch, conform
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.atomic import TEMPORARY_SUFFIX, write_atomically
from shared.files.reading import check_regular, read_object
from shared.files.records import append_record, read_records, write_records
from shared.plugins import Plugin
from shared.quantities import DECIDING, QUANTITIES


class _RunFields(TypedDict):
    """What config.json holds besides the configuration."""

    data: DataInfo
    twins: NotRequired[list[str]]
    plugin: NotRequired[Plugin]


_RUN_FIELDS = frozenset(_RunFields.__annotations__)


class Score(TypedDict):
    """A score of ``evaluate``, as its file holds it."""

    title: str
    shown: str
    value: float | None
    """None: it is not finite."""
    interval_95: float | None
    """None: likewise, or of a single draw."""
    protocol: str


class Evaluation(TypedDict):
    """A file of ``evaluate``."""

    step: int
    protocol: dict[str, str | float]
    scores: dict[str, Score]


class RunDir:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        """Name a folder; `create` and `open` also see to it that it holds a run."""
        self.path = path
        self._config = path / "config.json"
        self._metrics = path / "metrics.jsonl"
        self._sample_metrics = path / "samples.jsonl"
        self._scores = path / "scores.jsonl"
        self._best = path / "best.json"
        self._samples = path / "samples"
        self._checkpoints = path / "checkpoints"

    @classmethod
    def create(
        cls,
        path: Path,
        config: TrainConfig,
        data: DataInfo,
        twin: str | None = None,
        plugin: Plugin | None = None,
    ) -> Self:
        """Start a run in ``path``, which is made if need be; see `write_config`.

        Raises:
            UsageError: there is a run already, or the folder cannot be used.
        """
        run = cls(path)
        run.check_unused()
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Of two processes that start here at the same time, one gets past this.
            run._checkpoints.mkdir()
            run._samples.mkdir(exist_ok=True)
        except OSError as error:
            if os.path.lexists(run._checkpoints):
                raise run._used() from error
            reason = error.strerror
            raise UsageError(f"--run-dir {path}: cannot be used: {reason}") from error
        run.write_config(config, data, twin, plugin)
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run in ``path``.

        Raises:
            UsageError: there is none.
        """
        run = cls(path)
        try:
            if not stat.S_ISDIR(path.stat().st_mode):
                raise UsageError(f"{path}: is not a folder")
        except FileNotFoundError as error:
            raise UsageError(f"{path}: no such folder") from error
        except OSError as error:  # a name that is too long, links in a circle
            raise UsageError(f"{path}: {error.strerror}") from error
        if not os.path.lexists(run._config):
            raise UsageError(f"{path}: holds no run: no config.json")
        check_regular(run._config)
        return run

    def check_unused(self) -> None:
        """Refuse a folder that holds a run.

        Raises:
            UsageError: it does.
        """
        if os.path.lexists(self._config):
            raise self._used()

    def lock(self) -> AbstractContextManager[Any]:
        """Keep other processes from writing here, within a ``with`` statement.

        The operating system releases the lock when the process ends, however it ends.

        Raises:
            UsageError: another process holds the lock, or the folder is read-only.
        """
        try:
            return filelock.FileLock(self.path / ".lock").acquire(timeout=0)
        except filelock.Timeout as error:
            raise UsageError(
                f"{self.path}: is being written by another process"
            ) from error
        except OSError as error:
            reason = error.strerror
            raise UsageError(f"{self.path}: cannot be written: {reason}") from error

    def write_config(
        self,
        config: TrainConfig,
        data: DataInfo,
        twin: str | None = None,
        plugin: Plugin | None = None,
    ) -> None:
        """Write config.json.

        Args:
            config: the run's configuration.
            data: what it knows of its data.
            twin: package that trains from here on, such as ``gans_jax``.
            plugin: the user's file that it needs.

        Raises:
            UsageError: it cannot be written, or the one that is there is unreadable.
        """
        values = {**config_to_json(config), "data": data._asdict()}
        twins = self.read_twins() if self._config.exists() else []
        if twin is not None and twins[-1:] != [twin]:
            twins.append(twin)
        values["twins"] = twins
        if plugin is not None:
            values["plugin"] = plugin._asdict()
        text = json.dumps(values, indent=2) + "\n"
        write_atomically(self._config, text.encode())

    def read_config(self) -> tuple[TrainConfig, DataInfo]:
        """What config.json says.

        Raises:
            UsageError: it is unreadable or of a newer version.
        """
        values = read_object(self._config)
        own = {name: x for name, x in values.items() if name not in _RUN_FIELDS}
        try:
            config = config_from_json(own)
        except UsageError as error:
            raise UsageError(f"{self._config}: {error}") from error
        return config, self._run_fields(values)["data"]

    def read_twins(self) -> list[str]:
        """Packages that trained, in turn; empty where nobody noted it.

        Raises:
            UsageError: as `read_config`.
        """
        return self._run_fields().get("twins", [])

    def read_plugin(self) -> Plugin | None:
        """The user's file that the run needs; None: it needs none.

        Raises:
            UsageError: as `read_config`.
        """
        return self._run_fields().get("plugin")

    def _run_fields(self, values: dict[str, Any] | None = None) -> _RunFields:
        """What config.json holds besides the configuration."""
        try:
            return conform(values or read_object(self._config), _RunFields)
        except Mismatch as error:
            raise UsageError(f"{self._config}: unreadable: {error}") from error

    def checkpoint_path(self, step: int) -> Path:
        """File of the state after ``step`` steps."""
        return self._checkpoints / f"{step:06d}.safetensors"

    def sample_path(self, step: int) -> Path:
        """File of the grid of samples after ``step`` steps."""
        return self._samples / f"{step:06d}.png"

    def checkpoint_steps(self) -> list[int]:
        """Steps with a checkpoint, in ascending order."""
        return _steps(self._checkpoints, ".safetensors")

    def sample_steps(self) -> list[int]:
        """Steps with a grid of samples, in ascending order."""
        return _steps(self._samples, ".png")

    def latest_checkpoint(self) -> Path:
        """The checkpoint of the highest step.

        Raises:
            UsageError: there is none.
        """
        steps = self.checkpoint_steps()
        if not steps:
            raise UsageError(f"{self.path}: holds no checkpoint yet")
        return self.checkpoint_path(steps[-1])

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; numbers that are not finite become null.

        Args:
            record: a flat object with ``step``; Python or NumPy scalars.

        Raises:
            UsageError: the line cannot be written.
        """
        append_record(self._metrics, record)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All records; a last line that was cut off is left out.

        Raises:
            UsageError: the file is damaged elsewhere.
        """
        return read_records(self._metrics)

    def append_sample_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to samples.jsonl; as `append_metrics`."""
        append_record(self._sample_metrics, record)

    def read_sample_metrics(self) -> list[dict[str, Any]]:
        """All records of samples.jsonl; as `read_metrics`."""
        return read_records(self._sample_metrics)

    def append_scores(self, record: Mapping[str, Any]) -> None:
        """Add one line to scores.jsonl, as `append_metrics`, and update best.json."""
        append_record(self._scores, record)
        self._write_best()

    def read_scores(self) -> list[dict[str, Any]]:
        """All records of scores.jsonl; as `read_metrics`."""
        return read_records(self._scores)

    def best_step(self) -> int | None:
        """The step that best.json names; None without scores."""
        best = _best(self.read_scores())
        return None if best is None else best["step"]

    def read_evaluations(self) -> list[Evaluation]:
        """What `shared.commands.evaluate` has left here, in the order of steps.

        Raises:
            UsageError: a file is damaged.
        """
        found = map(_evaluation, sorted(self.path.glob("evaluation-*.json")))
        return sorted(found, key=lambda evaluation: evaluation["step"])

    def truncate_after(self, step: int) -> None:
        """Take the run back to ``step``: remove all that is newer, or unfinished.

        Raises:
            UsageError: a .jsonl file is damaged, or something cannot be removed.
        """
        kept = {
            path: [record for record in read_records(path) if record["step"] <= step]
            for path in (self._metrics, self._sample_metrics, self._scores)
            if path.exists()
        }
        try:
            for unfinished in self.path.rglob(f".*{TEMPORARY_SUFFIX}"):
                unfinished.unlink()
            # Checkpoints first: if this is interrupted, the next attempt starts at an
            # older one and finds the rest still to be removed, and none missing.
            for newer in reversed(self.checkpoint_steps()):
                if newer > step:
                    self.checkpoint_path(newer).unlink()
            for newer in self.sample_steps():
                if newer > step:
                    self.sample_path(newer).unlink()
        except OSError as error:
            reason = error.strerror
            raise UsageError(f"{self.path}: cannot be taken back: {reason}") from error
        for path, records in kept.items():
            write_records(path, records)
        self._write_best()

    def finish(self, title: str) -> list[Path]:
        """Write the final pictures from what the run has left so far.

        Args:
            title: line above the plot of the losses.

        Returns:
            Grids that are damaged, and left out.

        Raises:
            UsageError: a picture cannot be written.
        """
        # Pillow and NumPy are for those who draw, not for a command that is refused.
        from shared.drawing import images, plots

        if metrics := self.read_metrics():
            plots.plot_losses(self.path / "losses.png", metrics, title)
        grids = [self.sample_path(step) for step in self.sample_steps()]
        if not grids:
            return []
        damaged = images.save_gif(self.path / "samples.gif", grids)
        if whole := [grid for grid in grids if grid not in damaged]:
            write_atomically(self.path / "samples.png", whole[-1].read_bytes())
        return damaged

    def _write_best(self) -> None:
        if best := _best(self.read_scores()):
            write_atomically(self._best, (json.dumps(best) + "\n").encode())
        else:
            self._best.unlink(missing_ok=True)

    def _used(self) -> UsageError:
        if not self._config.exists():
            return UsageError(
                f"--run-dir {self.path}: holds checkpoints, but no config.json to"
                " resume from; choose another folder"
            )
        return UsageError(
            f"--run-dir {self.path}: already holds a run; resume it with --resume"
            f" {self.path}, or choose another folder"
        )


def default_path(preset: str, dataset: str, root: Path = Path("runs")) -> Path:
    """The folder for a new run: ``runs/dcgan-digits-001``, or the next number.

    Args:
        preset: name of the preset.
        dataset: name of the data set; ``folder:PATH`` gives its last folder's name.
        root: folder of all runs.
    """
    kind, _, location = dataset.partition(":")
    name = f"{kind}-{Path(location).resolve().name}" if location else kind
    stem = f"{preset}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:40].strip('-')}"
    numbers = [
        int(number.group(1))
        for run in root.glob("*")
        if (number := re.fullmatch(rf"{re.escape(stem)}-(\d+)", run.name))
    ]
    return root / f"{stem}-{max(numbers, default=0) + 1:03d}"


def resolve_checkpoint(path: Path, step: int | Literal["best"] | None = None) -> Path:
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
    if step == "best":
        step = run.best_step()
        if step is None:
            raise UsageError(
                f"--step best: {path} has no scores; it was trained without"
                " --evaluate-every"
            )
    steps = run.checkpoint_steps()
    if step not in steps:
        there = ", ".join(map(str, steps)) or "none"
        raise UsageError(f"--step {step}: {path} has no such checkpoint; has {there}")
    return run.checkpoint_path(step)


def root_of(checkpoint: Path) -> Path:
    """The run's folder around a checkpoint; of one that was moved, its own folder."""
    folder = checkpoint.parent
    return folder.parent if folder.name == "checkpoints" else folder


def _steps(folder: Path, suffix: str) -> list[int]:
    names = (path.stem for path in folder.glob(f"*{suffix}"))
    return sorted(int(name) for name in names if re.fullmatch(r"[0-9]{6,}", name))


def _best(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The record with the lowest FID or, of points, the highest coverage."""
    for name in DECIDING:
        if scored := [record for record in records if record.get(name) is not None]:
            choose = min if QUANTITIES[name].better == "lower" else max
            return choose(scored, key=lambda record: record[name])
    return None


def _evaluation(path: Path) -> Evaluation:
    try:
        return conform(read_object(path), Evaluation)
    except Mismatch as error:
        raise UsageError(f"{path}: is no evaluation: {error}") from error
