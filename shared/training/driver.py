"""The one training driver: from a configuration and data to a run.

It knows a twin only through `shared.backend.Backend`, and a user only through what it
is handed: it prints nothing itself, and ends with a run or an error.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.backend import Arithmetic, MakeBackend
from shared.config.choices import DataPlace, OnNan
from shared.config.flags import refuse
from shared.config.limits import (
    check_device_count,
    check_devices,
    check_labels,
    check_limits,
)
from shared.config.schedules import is_saved
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.diagnosis.reference_check import ReferenceCheck
from shared.errors import Diverged, Interrupted, TrainingError, UsageError
from shared.evaluation import evaluators
from shared.files.arrays import Arrays
from shared.plugins import Plugin
from shared.run import rollbacks
from shared.run.checkpoint import Checkpoint
from shared.run.restore import check_state
from shared.run.rollbacks import Rollback
from shared.training.agreement import asked_for, check_alike, end_alike
from shared.training.loop import Onlookers, Training
from shared.training.places import Memory, Place
from shared.training.processes import processes
from shared.training.progress import Progress
from shared.training.recorder import Kept, KeptFolder, Recorder, Records
from shared.training.rehearsal import blaming, own_parts, rehearse
from shared.training.session import Session
from shared.training.signals import Stop
from shared.training.threads import processors
from shared.words import reason_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to train: nothing of it changes what a run's numbers mean."""

    device: str
    """Name of a device, or auto."""
    data_on: DataPlace
    """Where the images are kept."""
    data_dir: Path | None
    """Where the classifier of --evaluate-every is kept, if it is."""
    cache_dir: Path | None = None
    """Where it is kept instead."""
    check_reference: bool = False
    """Whether to compare the first steps with those of other installations."""
    progress: Progress
    """Is shown the logged steps, and told what is noticed."""
    on_record: Callable[[dict[str, Any]], object] | None = None
    """Is given the logged steps, in the thread that trains."""
    stop: Stop = dataclasses.field(default_factory=Stop)
    """Asks to stop early."""
    threads: int | None
    """Of the CPU that compute; None: as a stored run, or the framework's choice."""
    deterministic: bool
    """Whether a GPU adds up in the same order each time."""
    on_nan: OnNan
    """What to do when the losses or weights are no longer finite."""
    devices: int | None
    """That share each batch, as `Arithmetic` says."""
    plugin: Plugin | None
    """The user's file that the run needs."""


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """What a training leaves, in a folder or at hand."""

    path: Path | None
    """The run's folder; None: nothing was written."""
    step: int
    """Updates of G made so far."""
    total: int
    """Length of the whole run."""
    stopped_by: int | None
    """The signal that ended it early."""
    _kept: Kept = dataclasses.field(repr=False)

    @property
    def state(self) -> Checkpoint:
        """The whole state, with the configuration."""
        return self._kept.state()

    @property
    def arrays(self) -> Arrays:
        """Networks, optimisers and average, as `shared.run.checkpoint` names them."""
        return self.state.arrays

    @property
    def records(self) -> Records:
        """The metrics of the logged steps."""
        return self._kept.records()

    @property
    def scores(self) -> Records:
        """The scores of the evaluations while it trained."""
        return self._kept.scores()


def train(
    config: TrainConfig,
    data: ImageData,
    make_backend: MakeBackend,
    place: Place,
    options: Options,
) -> TrainedRun:
    """Start a run, or go on with one.

    Args:
        config: the run's configuration.
        data: what it trains on.
        make_backend: makes the twin's backend.
        place: where it starts from, and where it goes.
        options: how to train.

    Raises:
        UsageError: the options do not fit the data, the device or the stored run.
        TrainingError: the losses are no longer finite, or what the run leaves can no
            longer be written.
        Interrupted: Ctrl-C, where ``options.stop`` does not take it.
    """
    # Of all processes: they have to know it before they can ask each other.
    threads = options.threads or place.threads
    if processes().follows:
        place, options = Memory(), _quietly(options)
    check_limits(config, options.device)
    check_device_count(options.devices)
    check_data(config, data.info)
    asked = asked_for(config, data.info, options.plugin, on_nan=options.on_nan)
    reference = ReferenceCheck(config) if options.check_reference else None
    with contextlib.ExitStack() as held:
        found = place.find(config, data.info, held)
        arithmetic = Arithmetic(threads, options.deterministic, options.devices)
        parts = own_parts(config)
        with blaming(parts):
            backend = make_backend(config, data.info, options.device, arithmetic)
        check_alike(backend, asked)
        check_devices(config, backend.devices)
        found = backend.agree(found)
        _tell_threads(
            options.threads, place.threads, backend.threads, options.progress.say
        )
        if found is not None:
            check_state(backend.statements(), found.state, found.name)
        session = Session(config, data, backend, options.data_on)
        if found is None:
            rehearse(session, parts)
            session.start()
        else:
            state = found.state
            session.restore(state.arrays, state.step, state.rollbacks)
        recorder = _open(place, session, held)
        onlookers = Onlookers(
            evaluate=_make_evaluation(session, options),
            reference=reference,
            progress=options.progress,
            on_record=options.on_record,
        )
        saved = None if found is None else found.state.step
        stopped_by = _run(session, recorder, onlookers, options, saved)
        path = _leave_together(session, recorder)
    kept = recorder.kept() if path is None else KeptFolder(path)
    return TrainedRun(path, session.step, session.total, stopped_by, kept)


def check_data(config: TrainConfig, data: DataInfo) -> None:
    """Refuse what the data cannot give.

    Raises:
        UsageError: a batch larger than the data, or labels that are not there.
    """
    if config.evaluate_every:
        evaluators.check_features(config, data)
    if data.count < 2:
        raise refuse("dataset", config.dataset, "holds 1 image; a run takes 2 or more")
    if config.batch_size > data.count:
        raise refuse(
            "batch_size",
            config.batch_size,
            f"must be at most the {data.count} images of --dataset {config.dataset}",
        )
    check_labels(config, data.num_classes, f"--dataset {config.dataset}")


def _open(place: Place, session: Session, held: contextlib.ExitStack) -> Recorder:
    """What keeps the run; all processes end where the one that writes refuses."""
    try:
        recorder = place.open(session, held)
    except UsageError as error:
        end_alike(str(error), session.backend.highest)
        raise
    end_alike("", session.backend.highest)
    return recorder


def _quietly(options: Options) -> Options:
    """How to train where another process of the run speaks, draws and writes."""
    return dataclasses.replace(options, progress=Progress(), check_reference=False)


def _make_evaluation(
    session: Session, options: Options
) -> Callable[[], dict[str, Any]] | None:
    every, total = session.config.evaluate_every, session.total
    if not every:
        return None
    if every > total:
        say = options.progress.say
        say(f"--evaluate-every {every}: nothing is scored, step {total} is the last")
        return None
    if processes().follows:
        return lambda: {}  # the first process scores
    return evaluators.make_evaluator(
        session.backend,
        session.config,
        session.data,
        options.data_dir,
        say=options.progress.say,
        cache_dir=options.cache_dir,
    ).record


def _run(
    session: Session,
    recorder: Recorder,
    onlookers: Onlookers,
    options: Options,
    saved: int | None,
) -> int | None:
    with _no_more_mistakes():
        while True:
            training = Training(session, recorder, onlookers, saved)
            try:
                stopped_by = training.run_to_end(options.stop)
                break
            except Diverged as error:
                is_over = len(session.rollbacks) == rollbacks.MOST
                if options.on_nan == "stop" or is_over:
                    recorder.finish()
                    _leave_together(session, recorder)
                    raise Diverged(error.step, error.what, is_over) from None
                saved = _go_back(session, recorder, error, options.progress.say)
            except KeyboardInterrupt as error:
                raise Interrupted(recorder.path) from error
        recorder.conclude()
        recorder.finish()
        return stopped_by


def _leave_together(session: Session, recorder: Recorder) -> Path | None:
    """Have a run's processes wait for the one that writes, and know its folder.

    What started them ends those that are left when one has ended by a signal.
    """
    return session.backend.agree(recorder.path)


@contextlib.contextmanager
def _no_more_mistakes() -> Iterator[None]:
    """What cannot be read or written from here on is no mistake in the command."""
    try:
        yield
    except UsageError as error:
        raise TrainingError(str(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        raise TrainingError(f"{where}{reason_of(error)}") from error


def _go_back(
    session: Session, recorder: Recorder, error: Diverged, say: Callable[[str], None]
) -> int | None:
    """Go to the last state, to train on from there with other draws and lower rates.

    What follows depends on that state and on the number of rollbacks alone: a run that
    is killed or stopped meanwhile comes to the same when it goes on.

    Returns:
        The step that is saved, if one is.
    """
    # Not one that a signal has saved: it does not depend on that where the run goes.
    state = recorder.last_state(functools.partial(is_saved, session.config))
    state = session.backend.agree(state)
    step = 0 if state is None else state.step
    done = (*session.rollbacks, Rollback(step, error.step))
    if state is None:
        session.start(done)
    else:
        session.restore(state.arrays, step, done)
    recorder.go_back(step, done)
    say(
        f"training has diverged: {error.what}; back to step {step}, with other draws"
        f" and learning rates of 1/{2 ** len(done)} ({len(done)} of at most"
        f" {rollbacks.MOST} times)"
    )
    return None if state is None else step


def _tell_threads(
    asked: int | None, before: int | None, now: int, say: Callable[[str], None]
) -> None:
    """Say where threads are others than asked for, or than before, or too many."""
    if asked is not None and asked != now:
        say(f"--threads {asked}: this process computes with {now} already")
    if before is None:
        return
    if now != before:
        say(
            f"--threads {now}: the run was trained with {before}; from here on it"
            " rounds differently"
        )
    elif now > processors():
        say(
            f"computing with {now} threads, as the run was started with, on"
            f" {processors()} processors; --threads {processors()} is faster, and"
            " rounds differently"
        )
