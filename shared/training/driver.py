"""The one training driver: from a configuration and data to a run.

It knows a twin only through `shared.backend.Backend`, and a user only through what it
is handed: it says nothing, and ends with a run or an error.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.backend import MakeBackend
from shared.config.choices import DataPlace
from shared.config.train_config import TrainConfig, refuse
from shared.data.image_data import DataInfo, ImageData
from shared.diagnosis.reference_check import ReferenceCheck
from shared.errors import Interrupted, TrainingError, UsageError
from shared.evaluation import evaluators
from shared.files.arrays import Arrays
from shared.run.checkpoint import Checkpoint
from shared.run.restore import check_arrays
from shared.training.loop import Onlookers, Training
from shared.training.places import Place
from shared.training.progress import Progress
from shared.training.recorder import Recorder, Records
from shared.training.session import Session
from shared.training.signals import Stop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to train: nothing of it changes a run's numbers."""

    device: str = "auto"
    """Name of a device, or auto."""
    data_on: DataPlace = "auto"
    """Where the images are kept."""
    data_dir: Path | None = None
    """Where the classifier of --evaluate-every is kept, if it is."""
    cache_dir: Path | None = None
    """Where it is kept instead."""
    check_reference: bool = False
    """Whether to compare the first steps with those of other installations."""
    progress: Progress = dataclasses.field(default_factory=Progress)
    """Is shown the logged steps, and told what is noticed."""
    on_record: Callable[[dict[str, Any]], object] | None = None
    """Is given the logged steps, in the thread that trains."""
    stop: Stop = dataclasses.field(default_factory=Stop)
    """Asks to stop early."""


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
    _recorder: Recorder = dataclasses.field(repr=False)

    @property
    def state(self) -> Checkpoint:
        """The whole state, with the configuration."""
        return self._recorder.state()

    @property
    def arrays(self) -> Arrays:
        """Networks, optimisers and average, as `shared.run.checkpoint` names them."""
        return self.state.arrays

    @property
    def records(self) -> Records:
        """The metrics of the logged steps."""
        return self._recorder.records()

    @property
    def scores(self) -> Records:
        """The scores of the evaluations while it trained."""
        return self._recorder.scores()


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
        TrainingError: the losses are no longer finite.
        Interrupted: Ctrl-C, where ``options.stop`` does not take it.
    """
    check_data(config, data.info)
    reference = ReferenceCheck(config) if options.check_reference else None
    with contextlib.ExitStack() as held:
        found = place.find(config, data.info, held)
        backend = make_backend(config, data.info, options.device)
        if found is not None:
            check_arrays(backend.shapes(), found.state.arrays, found.name)
        session = Session(config, data, backend, options.data_on)
        if found is None:
            session.start()
        else:
            session.restore(found.state.arrays, found.state.step)
        recorder = place.open(session, held)
        onlookers = Onlookers(
            evaluate=_make_evaluation(session, options),
            reference=reference,
            progress=options.progress,
            on_record=options.on_record,
        )
        saved = None if found is None else found.state.step
        training = Training(session, recorder, onlookers, saved)
        stopped_by = _run(training, recorder, options.stop)
    return TrainedRun(recorder.path, session.step, session.total, stopped_by, recorder)


def check_data(config: TrainConfig, data: DataInfo) -> None:
    """Refuse what the data cannot give.

    Raises:
        UsageError: a batch larger than the data, or labels that are not there.
    """
    if config.evaluate_every:
        evaluators.check_data(config, data)
    if config.batch_size > data.count:
        raise refuse(
            "batch_size",
            config.batch_size,
            f"must be at most the {data.count} images of --dataset {config.dataset}",
        )
    if config.conditional and data.num_classes < 2:
        raise UsageError(
            "--conditional: needs labels of two classes or more, which --dataset"
            f" {config.dataset} does not have"
        )


def _make_evaluation(
    session: Session, options: Options
) -> Callable[[], dict[str, Any]] | None:
    if not session.config.evaluate_every:
        return None
    return evaluators.make_evaluator(
        session.backend,
        session.config,
        session.data,
        options.data_dir,
        say=options.progress.say,
        cache_dir=options.cache_dir,
    ).record


def _run(training: Training, recorder: Recorder, stop: Stop) -> int | None:
    try:
        stopped_by = training.run_to_end(stop)
    except TrainingError:
        recorder.finish()
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(recorder.path) from error
    recorder.conclude()
    recorder.finish()
    return stopped_by
