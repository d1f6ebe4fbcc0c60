"""Where a run starts from, and where it goes: a new folder, an old one, or nowhere."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from shared import plugins
from shared.config import schedules
from shared.config.train_config import CHANGEABLE_ON_RESUME, TrainConfig, refuse
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.plugins import Plugin
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.run_dir import RunDir, default_path
from shared.training.journal import Journal
from shared.training.pictures import make_pictures
from shared.training.recorder import FolderRecorder, MemoryRecorder, Recorder
from shared.training.session import Session


class Found(NamedTuple):
    """A state to start from."""

    state: Checkpoint
    name: str
    """What an error calls it."""


class Place(Protocol):
    """Where a run starts from, and where it goes.

    What it holds, such as a lock, is entered into ``held``.
    """

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
        _check_data(config, data, self._stored.data, self._allow_new_data)
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
    tensorboard: bool = False
    """Whether to write event files too."""
    plugin: Plugin | None = None
    """The user's file that the run needs."""

    def recorder(
        self, run: RunDir, session: Session, held: contextlib.ExitStack
    ) -> Recorder:
        """What writes the run's folder."""
        config = session.config
        journal = Journal(run, config, tensorboard=self.tensorboard, say=self.say)
        return FolderRecorder(
            run,
            make_pictures(config, session.data, run, session.backend),
            held.enter_context(journal),
            lambda: self.write_report(run),
            self.plugin,
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
        run = self._create(session.config, session.data.info)
        held.enter_context(run.lock())
        return self._keeping.recorder(run, session, held)

    def _create(self, config: TrainConfig, data: DataInfo) -> RunDir:
        twin, plugin = self._keeping.twin, self._keeping.plugin
        if self._path is not None:
            return RunDir.create(self._path, config, data, twin, plugin)
        while True:
            path = default_path(config.preset, config.dataset)
            try:
                return RunDir.create(path, config, data, twin, plugin)
            except UsageError:
                # Another process may have taken it meanwhile: then there is a next one.
                if path == default_path(config.preset, config.dataset):
                    raise


class OldFolder(Place):
    """The folder of a run that goes on.

    Args:
        path: the folder.
        keeping: how it is written.
        allow_new_data: whether to go on with other images than it was started with.
    """

    def __init__(
        self, path: Path, keeping: Keeping, allow_new_data: bool = False
    ) -> None:
        self._run = RunDir(path)
        self._keeping = keeping
        self._allow_new_data = allow_new_data

    def find(
        self, config: TrainConfig, data: DataInfo, held: contextlib.ExitStack
    ) -> Found | None:
        """The last checkpoint; None of a run that was stopped before its first."""
        run = RunDir.open(self._run.path)
        # Before the state is read: until then another process may be adding to it.
        held.enter_context(run.lock())
        plugins.check_same(self._keeping.plugin, run.read_plugin())
        _, stored_data = run.read_config()
        _check_data(config, data, stored_data, self._allow_new_data)
        if not run.checkpoint_steps():
            return None
        path = run.latest_checkpoint()
        known = [stored_data, *run.read_earlier_data()]
        found = Found(checkpoint.load(path), str(path))
        return _checked(config, data, known, found)

    def open(self, session: Session, held: contextlib.ExitStack) -> Recorder:
        """Take the folder back to the session's step; as `Place.open`."""
        self._run.truncate_after(session.step)
        keeping, info = self._keeping, session.data.info
        self._run.write_config(
            session.config, info, keeping.twin, keeping.plugin, session.step
        )
        return keeping.recorder(self._run, session, held)


def _check_data(
    config: TrainConfig, data: DataInfo, stored: DataInfo, allow_new: bool
) -> None:
    """Refuse to go on with other images than those that a run was started with.

    Where others are allowed, refuse those that would change what the networks mean.
    """
    if data.has_images_of(stored):
        return
    title = f"--dataset {config.dataset}"
    if not allow_new:
        raise UsageError(
            f"{title}: holds other images than those that the run was started with"
            f" ({_digest(stored)} then, {_digest(data)} now); --allow-new-data goes on"
            " with them"
        )
    if data.channels != stored.channels:
        raise UsageError(
            f"{title}: has {data.channels} channels, the run {stored.channels}:"
            " --channels must have been given at its start"
        )
    classes = data.num_classes, data.class_names
    if config.conditional and classes != (stored.num_classes, stored.class_names):
        raise UsageError(
            f"{title}: has other classes than the conditional run was started with"
            f" ({_classes(stored)} then, {_classes(data)} now)"
        )
    if config.epochs is not None and config.lr_schedule != "constant":
        raise UsageError(
            f"--allow-new-data: --lr-schedule {config.lr_schedule} is spread over"
            " --epochs, whose length in steps depends on the number of images"
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


def _digest(data: DataInfo) -> str:
    return f"{data.count} of digest {data.sha256[:8]}"
