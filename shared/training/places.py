"""Where a run starts from, and where it goes: a new folder, an old one, or nowhere."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from shared import plugins
from shared.config import schedules
from shared.config.choices import Keep, WhichStep
from shared.config.flags import refuse
from shared.config.resume import CHANGEABLE_ON_RESUME
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import DamagedError, UsageError
from shared.plugins import Plugin
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.gaps import describe_gaps
from shared.run.retention import KEEP, most_kept
from shared.run.room import check_room
from shared.run.run_dir import RunDir, default_path
from shared.training.journal import Journal
from shared.training.pictures import make_pictures
from shared.training.recorder import FolderRecorder, MemoryRecorder, Recorder
from shared.training.session import Session
from shared.words import legible


class Found(NamedTuple):
    """A state to start from."""

    state: Checkpoint
    name: str
    """What an error calls it."""


class Place(Protocol):
    """Where a run starts from, and where it goes.

    What it holds, such as a lock, is entered into ``held``.
    """

    @property
    def threads(self) -> int | None:
        """Threads of the CPU that a stored run was trained with.

        Raises:
            UsageError: its folder cannot be read.
        """
        return None

    def find(
        self, config: TrainConfig, data: DataInfo, held: contextlib.ExitStack
    ) -> Found | None:
        """The state to start from; None: the seed's.

        Raises:
            UsageError: it is another run's, or damaged, or further than the run goes.
        """
        ...

    def open(self, session: Session, held: contextlib.ExitStack) -> Recorder:
        """What keeps the run, which is about to start.

        Raises:
            UsageError: the place cannot be written.
        """
        ...


class Memory(Place):
    """At hand only: nothing is written.

    Args:
        stored: a state to go on from; None: the seed's.
        allow_new_data: whether to go on with other images than it was trained on.
    """

    def __init__(
        self, stored: Checkpoint | None = None, allow_new_data: bool = False
    ) -> None:
        self._stored = stored
        self._allow_new_data = allow_new_data

    def find(
        self, config: TrainConfig, data: DataInfo, held: contextlib.ExitStack
    ) -> Found | None:
        """The state that was handed in; as `Place.find`."""
        if self._stored is None:
            return None
        _check_same_data(config, data, self._stored.data, self._allow_new_data)
        found = Found(self._stored._replace(data=data), "--resume")
        return _checked(config, data, [data], found)

    def open(self, session: Session, held: contextlib.ExitStack) -> Recorder:
        """What keeps numbers and state."""
        return MemoryRecorder(self._stored)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keeping:
    """How a folder is written."""

    twin: str
    """Package that trains, such as ``gans_jax``."""
    write_report: Callable[[RunDir], None]
    """Writes the run's page."""
    say: Callable[[str], None]
    """Is told the warnings."""
    on_open: Callable[[RunDir], None] = lambda run: None
    """Is told the folder, when it is there and before training."""
    tensorboard: bool = False
    """Whether to write event files too."""
    plugin: Plugin | None = None
    """The user's file that the run needs."""
    keep: Keep | None = None
    """Which checkpoints stay; None: as it was, of a new run `retention.KEEP`."""

    def recorder(self, run: RunDir, session: Session) -> Recorder:
        """What writes the run's folder."""
        config = session.config
        self.on_open(run)
        return FolderRecorder(
            run,
            make_pictures(config, session.data, run, session.backend),
            Journal(run, config, tensorboard=self.tensorboard, say=self.say),
            lambda: self.write_report(run),
            plugin=self.plugin,
            keep=run.config_file.keep(),
            say=self.say,
        )


class NewFolder(Place):
    """A new run's folder.

    Args:
        path: the folder; None: the next that is free.
        keeping: how it is written.
    """

    def __init__(self, path: Path | None, keeping: Keeping) -> None:
        self._path = path
        self._keeping = keeping

    def find(
        self, config: TrainConfig, data: DataInfo, held: contextlib.ExitStack
    ) -> Found | None:
        """None: the run starts at the seed's state."""
        return None

    def open(self, session: Session, held: contextlib.ExitStack) -> Recorder:
        """Make the folder; as `Place.open`."""
        keep = KEEP if self._keeping.keep is None else self._keeping.keep
        path = self._path or default_path(session.config.preset, session.config.dataset)
        _check_room(path, session, keep, there=0)
        run = self._create(session, keep, held)
        return self._keeping.recorder(run, session)

    def _create(
        self, session: Session, keep: Keep, held: contextlib.ExitStack
    ) -> RunDir:
        config = session.config
        create = functools.partial(
            RunDir.create,
            config=config,
            data=session.data.info,
            twin=self._keeping.twin,
            plugin=self._keeping.plugin,
            keep=keep,
            threads=session.backend.threads,
            say=self._keeping.say,
            held=held,
        )
        if self._path is not None:
            return create(self._path)
        while True:
            path = default_path(config.preset, config.dataset)
            try:
                return create(path)
            except UsageError:
                # Another process may have taken it meanwhile: then there is a next one.
                if path == default_path(config.preset, config.dataset):
                    raise


class OldFolder(Place):
    """The folder of a run that goes on.

    Args:
        path: the folder.
        keeping: how it is written.
        step: the checkpoint to go on from, or the one with the best scores; what is
            newer is removed. None: the last that is whole.
        allow_new_data: whether to go on with other images than it was started with.
    """

    def __init__(
        self,
        path: Path,
        keeping: Keeping,
        step: WhichStep | None,
        allow_new_data: bool,
    ) -> None:
        self._run = RunDir(path)
        self._keeping = keeping
        self._step = step
        self._allow_new_data = allow_new_data
        self._damaged: DamagedError | None = None
        self._trained_by: TrainConfig | None = None

    @property
    def threads(self) -> int | None:
        """As the folder says; as `Place.threads`."""
        return RunDir.open(self._run.path).config_file.threads()

    def find(
        self, config: TrainConfig, data: DataInfo, held: contextlib.ExitStack
    ) -> Found | None:
        """The checkpoint; None of a run that was stopped before its first."""
        run = self._run = RunDir.open(self._run.path)
        # Before the state is read: until then another process may be adding to it.
        held.enter_context(run.lock(self._keeping.say))
        plugins.check_same(self._keeping.plugin, run.config_file.plugin())
        stored_config, stored_data = run.config_file.read()
        _check_same_data(config, data, stored_data, self._allow_new_data)
        # The run's page shows them: one that is damaged is told now, and not then.
        run.read_evaluations()
        found = self._last_whole() if self._step is None else self._named(self._step)
        if found is None:
            _check_records(run, stored_config)
            return None
        self._trained_by = found.state.config
        known = [stored_data, *run.config_file.earlier_data()]
        return _checked(config, data, known, found)

    def open(self, session: Session, held: contextlib.ExitStack) -> Recorder:
        """Take the folder back to the session's step; as `Place.open`."""
        run, keeping, step = self._run, self._keeping, session.step
        keep = run.config_file.keep() if keeping.keep is None else keeping.keep
        _check_room(run.path, session, keep, there=len(run.checkpoint_steps()))
        newer = ", ".join(str(x) for x in run.checkpoint_steps() if x > step)
        gone = [f"checkpoint {newer}"] if newer else []
        if gone := gone + [path.name for path in run.evaluations_after(step)]:
            why = f": {self._damaged}" if self._damaged else ""
            keeping.say(
                f"{legible(run.path)}: going back to step {step}; removed is all"
                f" that is newer, with {', '.join(gone)}{why}"
            )
        if self._trained_by is None and run.read_metrics():
            keeping.say(f"{legible(run.path)}: had no checkpoint yet; starting over")
        run.truncate_after(step)
        if self._trained_by and (gaps := describe_gaps(run, self._trained_by, step)):
            keeping.say(f"warning: {gaps}")
        run.config_file.write(
            session.config,
            session.data.info,
            twin=keeping.twin,
            plugin=keeping.plugin,
            keep=keep,
            threads=session.backend.threads,
            step=step,
        )
        run.config_file.note_rollbacks(session.rollbacks)
        run.keep_checkpoints(keep, session.config)
        return keeping.recorder(run, session)

    def _named(self, step: WhichStep) -> Found:
        path, state = checkpoint.find(self._run.path, step)
        return Found(state, str(path))

    def _last_whole(self) -> Found | None:
        """The last checkpoint that is not damaged; None: there is none at all."""
        for step in reversed(self._run.checkpoint_steps()):
            path = self._run.checkpoint_path(step)
            try:
                return Found(checkpoint.load(path), str(path))
            except DamagedError as error:
                self._damaged = self._damaged or error
        # Nobody would want to start over where a run has been, without a word.
        if self._damaged:
            raise self._damaged
        return None


def _check_records(run: RunDir, config: TrainConfig) -> None:
    """Refuse to start over a run that has lost its checkpoints, and wipe its records.

    Args:
        run: the run's folder, without a checkpoint.
        config: what it was trained with.
    """
    last = max((record["step"] for record in run.read_metrics()), default=0)
    if any(schedules.is_saved(config, step) for step in range(1, last)):
        raise UsageError(
            f"{run.path}: has records up to step {last}, but no checkpoint to go on"
            f" from; --config {run.path}/config.json trains the same anew"
        )


def _check_room(path: Path, session: Session, keep: Keep, there: int) -> None:
    """Refuse a run whose checkpoints the disk has no room for.

    Args:
        path: the run's folder.
        session: what trains, in a state as large as all that will be saved.
        keep: which checkpoints stay.
        there: how many are there already.
    """
    config, total = session.config, session.total
    if session.step == total:
        return
    saved = 1 + schedules.count_saved(config, range(session.step + 1, total))
    count = max(1, most_kept(there + saved, keep) - there)
    size = sum(array.nbytes for array in session.backend.arrays().values())
    checkpoints = "1 checkpoint" if count == 1 else f"{count} checkpoints"
    check_room(path, count * size, f"{checkpoints} (--keep {keep})")


def _check_same_data(
    config: TrainConfig, data: DataInfo, stored: DataInfo, allow_new: bool
) -> None:
    """Refuse to go on with other images than those that a run was started with.

    Where others are allowed, refuse those that would change what the networks mean.
    """
    title = f"--dataset {config.dataset}"
    classes = data.num_classes, data.class_names
    if data.has_images_of(stored):
        # Ids are in the digest; names may have come later, and may not change.
        if config.conditional and stored.class_names not in ((), data.class_names):
            raise _other_classes(title, data, stored)
        return
    if not allow_new:
        raise UsageError(
            f"{title}: holds other images than those that the run was last trained on"
            f" ({stored.described()} then, {data.described()} now);"
            " --allow-new-data goes on with them"
        )
    if data.channels != stored.channels:
        raise UsageError(
            f"{title}: has {data.channels} channels, the run {stored.channels}:"
            " --channels must have been given at its start"
        )
    if config.conditional and classes != (stored.num_classes, stored.class_names):
        raise _other_classes(title, data, stored)
    if config.epochs is not None and config.lr_schedule != "constant":
        raise UsageError(
            f"--allow-new-data: --lr-schedule {config.lr_schedule} is spread over"
            " --epochs, whose length in steps depends on the number of images"
        )


def _other_classes(title: str, data: DataInfo, stored: DataInfo) -> UsageError:
    return UsageError(
        f"{title}: has other classes than the conditional run was started with"
        f" ({_classes(stored)} then, {_classes(data)} now)"
    )


def _classes(data: DataInfo) -> str:
    return ", ".join(data.named_classes()) or f"{data.num_classes} without names"


def _checked(
    config: TrainConfig, data: DataInfo, known: Sequence[DataInfo], found: Found
) -> Found:
    """What was found, if it is a state of this very run.

    Args:
        config: the run's configuration.
        data: what it goes on with.
        known: what it was trained on.
        found: a state.
    """
    stored, name = found
    # A folder of images may have been moved: its content was compared before.
    may_differ = CHANGEABLE_ON_RESUME | {"dataset"}
    changes = {field: getattr(stored.config, field) for field in may_differ}
    is_ours = dataclasses.replace(config, **changes) == stored.config
    if not is_ours or not any(map(stored.data.has_images_of, known)):
        raise UsageError(f"{name}: belongs to a run of another configuration or data")
    if schedules.total_steps(config, data.count) < stored.step:
        given = "epochs" if config.steps is None else "steps"
        raise refuse(
            given,
            getattr(config, given),
            f"the run has already done {stored.step} steps",
        )
    return found
