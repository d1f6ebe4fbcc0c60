"""The folder that a run leaves behind, the same from both twins.

::

    config.json                     configuration and data, which twins trained, with
                                    how many threads of the CPU, the user's plugin, if
                                    there is one, --keep, and rollbacks and earlier
                                    data, if any
    metrics.jsonl                   one JSON object for each logged step
    samples.jsonl                   the same for each grid of samples: its diversity
    scores.jsonl                    the same for each evaluation (--evaluate-every),
                                    with its protocol
    best.json                       the best of these: lowest FID; of points, coverage
    samples/000500.png              grid of the fixed latents' images after 500 steps;
                                    of points a plot, and 000500.svg for the page
    checkpoints/000500.safetensors  state after 500 steps
    real.png                        real images, in a grid like those of the samples
    evaluation-000500.json          scores by ``evaluate``; nearest-000500.png with it,
                                    nearest-000500-none.png with that of the name;
                                    evaluation-000500-inception.json, ...-none.json,
                                    ...-test.json of --split test, and
                                    ...-standing-stats.json of --standing-stats
    drawn/                          what ``sample`` draws
    exported/                       what ``export`` writes
    tensorboard/                    event files, with --tensorboard
    messages.txt                    what was said when stderr could not be written
    losses.png samples.png samples.gif interpolation.png report.html
                                    written at the end; report.html at checkpoints too
"""

import contextlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from shared.config.choices import Keep
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.atomic import (
    is_temporary,
    make_folder,
    open_folder,
    remove,
    sync_files,
    temporaries,
    write_atomically,
)
from shared.files.locks import LOCK, MARK, lock_folder
from shared.files.reading import check_regular
from shared.files.records import (
    append_record,
    read_records,
    read_records_until,
    write_records,
)
from shared.plugins import Plugin
from shared.quantities import DECIDING, QUANTITIES
from shared.run.config_file import ConfigFile
from shared.run.evaluations import StoredEvaluation, judged_step, read_evaluation
from shared.run.exported import WEIGHTS, is_exported
from shared.run.retention import kept


class RunDir:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        """Name a folder; `create` and `open` also see to it that it holds a run."""
        self.path = path
        self.config_file = ConfigFile(path / "config.json")
        self._metrics = path / "metrics.jsonl"
        self._sample_metrics = path / "samples.jsonl"
        self._scores = path / "scores.jsonl"
        self._best = path / "best.json"
        self._samples = path / "samples"
        self._checkpoints = path / "checkpoints"
        self._locked: int | None = None

    @classmethod
    def create(
        cls,
        path: Path,
        config: TrainConfig,
        data: DataInfo,
        *,
        twin: str | None = None,
        plugin: Plugin | None = None,
        keep: Keep | None = None,
        threads: int | None = None,
        say: Callable[[str], None] = lambda line: None,
        held: contextlib.ExitStack | None = None,
    ) -> Self:
        """Start a run in ``path``, which is made if need be; see `ConfigFile.write`.

        Args:
            path: the run's folder.
            config: as for `ConfigFile.write`.
            data: as for `ConfigFile.write`.
            twin: as for `ConfigFile.write`.
            plugin: as for `ConfigFile.write`.
            keep: as for `ConfigFile.write`.
            threads: as for `ConfigFile.write`.
            say: as for `lock`.
            held: keeps the new run locked; None: it is free again.

        Raises:
            UsageError: the folder holds anything but what a start has left that was
                killed, or cannot be used, or another process writes in it.
        """
        run = cls(path)
        if run.is_run():
            with run.lock():  # or another process has just started it
                run.check_unused()
        run.check_unused()
        try:
            make_folder(path)
            # Of two processes that start here at the same time, one gets past this.
            with contextlib.ExitStack() as locked:
                locked.enter_context(run.lock(say))
                run.check_unused()
                run._remove_temporaries()
                run._make_folders()
                # Last: a folder with a configuration is a run.
                run.config_file.write(
                    config,
                    data,
                    twin=twin,
                    plugin=plugin,
                    keep=keep,
                    threads=threads,
                )
                if held is not None:
                    held.enter_context(locked.pop_all())
        except OSError as error:
            raise run._unusable(error) from error
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
            with contextlib.suppress(FileNotFoundError):
                run.config_file.path.lstat()
        except FileNotFoundError as error:
            raise UsageError(f"{path}: no such folder") from error
        # A name that is too long, links in a circle, a folder that may not be entered.
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        if not run.is_run():
            raise UsageError(f"{path}: holds no run: no config.json{_run_near(path)}")
        if is_exported(path):
            raise UsageError(
                f"{path}: is an exported generator, which load_generator reads"
            )
        check_regular(run.config_file.path)
        return run

    def is_run(self) -> bool:
        """Whether the folder holds a run."""
        return os.path.lexists(self.config_file.path)

    def has_records(self) -> bool:
        """The same, by more than the name of a file that others have as well."""
        return self.is_run() and (self._checkpoints.is_dir() or self._metrics.exists())

    def check_unused(self) -> None:
        """Refuse a folder that holds a run, or anything that is not ours.

        Raises:
            UsageError: it does, or it is no folder.
        """
        if self.is_run():
            raise UsageError(
                f"--run-dir {self.path}: already holds a run; resume it with --resume"
                f" {self.path}, or choose another folder"
            )
        try:
            found = next(self._foreign(), None)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from error
        if found is not None:
            raise UsageError(
                f"--run-dir {self.path}: holds {found.relative_to(self.path)}, and no"
                " config.json of a run; choose a new or an empty folder"
            )

    def _foreign(self) -> Iterator[Path]:
        """What a start that was killed has not left here."""
        for path in sorted(self.path.iterdir()):
            if path in (self._checkpoints, self._samples) and path.is_dir():
                yield from (x for x in sorted(path.iterdir()) if not is_temporary(x))
            elif path.name not in (LOCK, MARK) and not is_temporary(path):
                yield path

    def _remove_temporaries(self) -> None:
        """Remove what a killed process was still writing, where runs write."""
        for folder in (self.path, self._checkpoints, self._samples):
            remove(temporaries(folder))

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(f"--run-dir {self.path}: cannot be used: {error.strerror}")

    def lock(
        self, say: Callable[[str], None] = lambda line: None
    ) -> AbstractContextManager[Any]:
        """Keep other processes from writing here; as `lock_folder`."""
        locked = contextlib.ExitStack()
        locked.enter_context(lock_folder(self.path, say))
        self._locked = locked.enter_context(open_folder(self.path))
        locked.callback(setattr, self, "_locked", None)
        return locked

    def check_place(self) -> None:
        """Refuse to write where another folder has come, and maybe another run.

        Raises:
            UsageError: it is not the folder that `lock` has locked. One that is gone
                is told by whoever writes.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self._locked is not None and not os.path.samestat(
                os.fstat(self._locked), self.path.stat()
            ):
                raise UsageError(
                    f"{self.path}: is another folder than this run has started in,"
                    " which was moved or removed"
                )

    def checkpoint_path(self, step: int) -> Path:
        """File of the state after ``step`` steps."""
        return self._checkpoints / f"{step:06d}.safetensors"

    def sample_path(self, step: int) -> Path:
        """File of the grid of samples after ``step`` steps."""
        return self._samples / f"{step:06d}.png"

    def vectors_path(self, step: int) -> Path:
        """File of the plot of points after ``step`` steps, as vectors."""
        return self._samples / f"{step:06d}.svg"

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
        if not steps and not self.has_records():
            raise UsageError(
                f"{self.path}: holds no checkpoint, nor the {WEIGHTS} of an exported"
                " generator"
            )
        if not steps:
            raise UsageError(f"{self.path}: holds no checkpoint yet")
        return self.checkpoint_path(steps[-1])

    def keep_checkpoints(self, keep: Keep, config: TrainConfig) -> None:
        """Remove the checkpoints that are not to stay; as `retention.kept`.

        Raises:
            UsageError: one cannot be removed, or scores.jsonl is damaged.
        """
        steps = self.checkpoint_steps()
        stay = kept(steps, keep, config, self.best_step())
        try:
            remove(self.checkpoint_path(step) for step in steps if step not in stay)
        except OSError as error:
            raise self._irremovable(error) from error

    def sync_records(self) -> None:
        """Have the records on the disk, before a checkpoint says that they are.

        Raises:
            UsageError: the disk does not take them, or as `check_place`.
        """
        self.check_place()
        sync_files(self._metrics, self._sample_metrics, self._scores)

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; numbers that are not finite become null.

        Args:
            record: a flat object with ``step``; Python or NumPy scalars.

        Raises:
            UsageError: the line cannot be written, or as `check_place`.
        """
        self._append(self._metrics, record)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All records; a last line that was cut off is left out.

        Raises:
            UsageError: the file is damaged elsewhere.
        """
        return read_records(self._metrics)

    def append_sample_metrics(self, record: Mapping[str, Any]) -> None:
        """Add one line to samples.jsonl; as `append_metrics`."""
        self._append(self._sample_metrics, record)

    def read_sample_metrics(self) -> list[dict[str, Any]]:
        """All records of samples.jsonl; as `read_metrics`."""
        return read_records(self._sample_metrics)

    def append_scores(self, record: Mapping[str, Any]) -> None:
        """Add one line to scores.jsonl, as `append_metrics`, and update best.json."""
        self._append(self._scores, record)
        self._write_best()

    def read_scores(self) -> list[dict[str, Any]]:
        """All records of scores.jsonl; as `read_metrics`."""
        return read_records(self._scores)

    def best_step(self) -> int | None:
        """The step that best.json names; None without scores."""
        best = self._best_record()
        return None if best is None else best["step"]

    def read_evaluations(self) -> dict[Path, StoredEvaluation]:
        """What `shared.commands.evaluate` has left here, by file, in order of steps.

        Raises:
            UsageError: a file is damaged.
        """
        paths = sorted(self.path.glob("evaluation-*.json"))
        found = [(path, read_evaluation(path)) for path in paths]
        return dict(sorted(found, key=lambda pair: pair[1]["step"]))

    def evaluations_after(self, step: int) -> list[Path]:
        """Files of `shared.commands.evaluate` about newer steps."""
        return sorted(x for x in self.path.glob("*") if judged_step(x.name) > step)

    def truncate_after(self, step: int) -> None:
        """Take the run back to ``step``: remove all that is newer, or unfinished.

        So goes what ``evaluate`` has said of newer steps; and a grid of that very step
        and its record where one is without the other, so that both are made again.

        Raises:
            UsageError: a .jsonl file is damaged, or something cannot be removed.
        """
        records = {
            path: read_records_until(path, step)
            for path in (self._metrics, self._sample_metrics, self._scores)
            if path.exists()
        }
        measured = records.get(self._sample_metrics, [])
        last = step if any(record["step"] == step for record in measured) else step - 1
        grids = [x for x in self.sample_steps() if x > last]
        vectors = [x for x in _steps(self._samples, ".svg") if x > last]
        if not self.sample_path(step).exists() and measured:
            records[self._sample_metrics] = [x for x in measured if x["step"] < step]
        newer = [x for x in self.checkpoint_steps() if x > step]
        judged = self.evaluations_after(step)
        try:
            self._make_folders()
            self._remove_temporaries()
            # Checkpoints first: if this is interrupted, the next attempt starts at an
            # older one and finds the rest still to be removed, and none missing.
            remove(map(self.checkpoint_path, reversed(newer)))
            remove(map(self.sample_path, grids))
            remove(map(self.vectors_path, vectors))
            remove(judged)
        except OSError as error:
            raise self._irremovable(error) from error
        for path, kept_records in records.items():
            write_records(path, kept_records)
        self._write_best()

    def _append(self, path: Path, record: Mapping[str, Any]) -> None:
        self.check_place()
        append_record(path, record)

    def _make_folders(self) -> None:
        make_folder(self._checkpoints)
        make_folder(self._samples)

    def _irremovable(self, error: OSError) -> UsageError:
        return UsageError(f"{self.path}: cannot be taken back: {error.strerror}")

    def finish(self, title: str, chance: float | None = None) -> list[Path]:
        """Write the final pictures from what the run has left so far.

        Args:
            title: line above the plot of the losses.
            chance: as for `plots.plot_losses`.

        Returns:
            Grids that are damaged, and left out.

        Raises:
            UsageError: a picture cannot be written.
        """
        # Pillow and NumPy are for those who draw, not for a command that is refused.
        from shared.drawing import images, plots

        if metrics := self.read_metrics():
            plots.plot_losses(self.path / "losses.png", metrics, title, chance)
        grids = [self.sample_path(step) for step in self.sample_steps()]
        if not grids:
            return []
        damaged = images.save_gif(self.path / "samples.gif", grids)
        if whole := [grid for grid in grids if grid not in damaged]:
            write_atomically(self.path / "samples.png", whole[-1].read_bytes())
        return damaged

    def _best_record(self) -> dict[str, Any] | None:
        """The best scores of the images that the run is now trained on."""
        since = self.config_file.data_since() if self.is_run() else 0
        return _best([x for x in self.read_scores() if x["step"] > since])

    def _write_best(self) -> None:
        if best := self._best_record():
            write_atomically(self._best, (json.dumps(best) + "\n").encode())
        else:
            remove([self._best])


def default_path(preset: str, dataset: str) -> Path:
    """The folder for a new run: ``runs/dcgan-digits-001``, or the next number.

    Args:
        preset: name of the preset.
        dataset: name of the data set; ``folder:PATH`` gives its last folder's name.
    """
    kind, _, location = dataset.partition(":")
    name = f"{kind}-{Path(location).resolve().name}" if location else kind
    stem = f"{preset}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)[:40].strip('-')}"
    numbers = [
        int(number.group(1))
        for run in Path("runs").glob("*")
        if (number := re.fullmatch(rf"{re.escape(stem)}-(\d+)", run.name))
    ]
    return Path("runs") / f"{stem}-{max(numbers, default=0) + 1:03d}"


def _run_near(folder: Path) -> str:
    """``; did you mean ...?`` with a run around a folder, or in it; else nothing."""
    with contextlib.suppress(OSError):
        for path in (folder.parent, *sorted(folder.iterdir())):
            if RunDir(path).has_records():
                return f"; did you mean {path}?"
    return ""


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
