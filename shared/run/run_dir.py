"""The folder that a run leaves behind, the same from both twins.

::

    config.json                     configuration and data, which twins trained, and, if
                                    there are any, the user's plugin and earlier data
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
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Self

import filelock

from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.atomic import TEMPORARY_SUFFIX, write_atomically
from shared.files.records import append_record, read_records, write_records
from shared.plugins import Plugin
from shared.quantities import DECIDING, QUANTITIES


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
            if run._checkpoints.exists():
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
        if not run._config.is_file():
            what = "is not a folder" if path.exists() else "no such folder"
            if path.is_dir():
                what = "holds no run: no config.json"
            raise UsageError(f"{path}: {what}")
        return run

    def check_unused(self) -> None:
        """Refuse a folder that holds a run.

        Raises:
            UsageError: it does.
        """
        if self._config.exists():
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
        step: int = 0,
    ) -> None:
        """Write config.json.

        Args:
            config: the run's configuration.
            data: what it knows of its data.
            twin: package that trains from here on, such as ``gans_jax``.
            plugin: the user's file that it needs.
            step: where the run is; the data until here, if they were others, are kept.

        Raises:
            UsageError: it cannot be written, or the one that is there is unreadable.
        """
        values = {**config_to_json(config), "data": data.to_json()}
        twins = self.read_twins() if self._config.exists() else []
        if twin is not None and twins[-1:] != [twin]:
            twins.append(twin)
        values["twins"] = twins
        if plugin is not None:
            values["plugin"] = plugin._asdict()
        if earlier := self._earlier_data(data, step):
            values["earlier_data"] = earlier
        text = json.dumps(values, indent=2) + "\n"
        write_atomically(self._config, text.encode())

    def read_config(self) -> tuple[TrainConfig, DataInfo]:
        """What config.json says.

        Raises:
            UsageError: it is unreadable or of a newer version.
        """
        values = self._read_values()
        try:
            data = values.pop("data", None)
            for name in ("twins", "plugin", "earlier_data"):
                values.pop(name, None)
            return config_from_json(values), DataInfo.from_json(data)
        except UsageError as error:
            raise UsageError(f"{self._config}: {error}") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise self._unreadable(error) from error

    def read_twins(self) -> list[str]:
        """Packages that trained, in turn; empty where nobody noted it.

        Raises:
            UsageError: as `read_config`.
        """
        return list(self._read_values().get("twins", []))

    def read_plugin(self) -> Plugin | None:
        """The user's file that the run needs; None: it needs none.

        Raises:
            UsageError: as `read_config`.
        """
        found = self._read_values().get("plugin")
        try:
            return None if found is None else Plugin(**found)
        except TypeError as error:
            raise self._unreadable(error) from error

    def read_earlier_data(self) -> list[DataInfo]:
        """What the run was trained on before it went on with other images.

        Raises:
            UsageError: as `read_config`.
        """
        try:
            return [
                DataInfo.from_json({k: x for k, x in data.items() if k != "until_step"})
                for data in self._read_values().get("earlier_data", [])
            ]
        except (AttributeError, TypeError) as error:
            raise self._unreadable(error) from error

    def _earlier_data(self, data: DataInfo, step: int) -> list[dict[str, Any]]:
        """What config.json says of other data before these, and until which step."""
        if not self._config.exists():
            return []
        _, stored = self.read_config()
        earlier = list(self._read_values().get("earlier_data", []))
        if not data.has_images_of(stored):
            earlier.append({"until_step": step, **stored.to_json()})
        return earlier

    def _read_values(self) -> dict[str, Any]:
        try:
            values = json.loads(self._config.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error
        if not isinstance(values, dict):
            raise self._unreadable(TypeError("no object"))
        return values

    def _unreadable(self, error: Exception) -> UsageError:
        reason = str(error).splitlines()[0]
        return UsageError(f"{self._config}: unreadable: {reason}")

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

    def read_evaluations(self) -> list[dict[str, Any]]:
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

    def finish(self, title: str) -> None:
        """Write the final pictures from what the run has left so far.

        Args:
            title: line above the plot of the losses.

        Raises:
            UsageError: a picture cannot be written.
        """
        # Pillow and NumPy are for those who draw, not for a command that is refused.
        from shared.drawing import images, plots

        if metrics := self.read_metrics():
            plots.plot_losses(self.path / "losses.png", metrics, title)
        if grids := [self.sample_path(step) for step in self.sample_steps()]:
            write_atomically(self.path / "samples.png", grids[-1].read_bytes())
            images.save_gif(self.path / "samples.gif", grids)

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
    if path.suffix == ".safetensors" and not path.is_dir():
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


def _evaluation(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
        kinds = {"step": int, "protocol": dict, "scores": dict}
        is_whole = all(isinstance(values[name], kind) for name, kind in kinds.items())
        if is_whole and all(map(_is_score, values["scores"].values())):
            return values
    except (OSError, KeyError, TypeError, ValueError):
        pass
    raise UsageError(f"{path}: is no evaluation")


def _is_score(score: Any) -> bool:
    return isinstance(score, dict) and score.keys() >= {
        *("title", "shown", "value", "interval_95", "protocol")
    }
