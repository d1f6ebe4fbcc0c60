"""The one training driver: data, loop, log, samples, checkpoints, signals.

It knows a twin only through `shared.backend.Backend`.
"""

import contextlib
import dataclasses
import sys
from pathlib import Path

from shared.backend import MakeBackend
from shared.commands.command_line import resume_command
from shared.config import schedules
from shared.config.run_options import TrainOptions
from shared.config.train_config import CHANGEABLE_ON_RESUME, TrainConfig, refuse
from shared.data import datasets
from shared.data.image_data import DataInfo
from shared.diagnosis.reference_check import ReferenceCheck
from shared.errors import TrainingError, UsageError
from shared.evaluation import evaluators
from shared.randomness.initial_weights import initial_arrays
from shared.report import page
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.restore import check_arrays
from shared.run.run_dir import RunDir, default_path
from shared.training.journal import Journal
from shared.training.loop import Training


def train(options: TrainOptions, make_backend: MakeBackend, prog: str) -> None:
    """Start or resume a run, and leave its folder as `shared.run.run_dir` describes it.

    Args:
        options: what the user asked for.
        make_backend: makes the twin's backend.
        prog: how the user calls the program, to say how to resume.

    Raises:
        UsageError: the options do not fit the data, the device or the stored run.
        TrainingError: the losses are no longer finite.
        SystemExit: stopped by a signal, with 128 + its number, after saving.
    """
    config = options.config
    data = datasets.load(config.dataset, config.image_size, options.data_dir)
    check_data(config, data.info)
    total = schedules.total_steps(config, data.info.count)
    reference = ReferenceCheck(config) if options.check_reference else None
    twin = prog.partition(".")[0]
    with contextlib.ExitStack() as locks:
        resumed = stored = None
        if options.resume is not None:
            resumed = RunDir.open(options.resume)
            # Before the state is read: until then another process may be adding to it.
            locks.enter_context(resumed.lock())
            stored = _stored_state(resumed, config, data.info, total)
        backend = make_backend(config, data.info, options.device)
        if stored is None:
            arrays, step = initial_arrays(backend.statements(), config.seed), 0
        else:
            arrays, step = stored.arrays, stored.step
        if resumed is None:
            run = _new_run(options.run_dir, config, data.info, twin)
            locks.enter_context(run.lock())
        else:
            run = resumed
            check_arrays(backend.shapes(), arrays, run.checkpoint_path(step))
            run.truncate_after(step)
            run.write_config(config, data.info, twin)
        backend.load(arrays)
        backend.load_data(data, options.data_on)
        evaluate = None
        if config.evaluate_every:
            evaluate = evaluators.make_evaluator(
                backend, config, data, options.data_dir
            ).record
        journal = locks.enter_context(Journal(run, config, options.tensorboard))

        def write_report() -> None:
            # The folder may be moved, so the report does not say where it is.
            page.write_report(run, resume_command(options, Path("RUN"), prog), prog)

        def finish() -> None:
            run.finish(config.title)
            write_report()

        training = Training(
            config,
            data,
            total,
            run,
            backend,
            journal,
            evaluate,
            reference,
            write_report,
            step,
        )
        resume = resume_command(options, run.path, prog)
        try:
            stopped_by = training.run_to_end()
        except TrainingError:
            finish()
            raise
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped; continue from what was saved:\n  {resume}\n")
            raise
        journal.conclude()
        finish()
    if stopped_by is None:
        sys.stderr.write(f"done: {run.path}/samples.png\n")
        return
    sys.stderr.write(
        f"stopped after {training.step} of {total} steps; continue with:\n  {resume}\n"
    )
    sys.exit(128 + stopped_by)


def _new_run(
    path: Path | None, config: TrainConfig, data: DataInfo, twin: str
) -> RunDir:
    """A new run's folder: the one that was asked for, or the next that is free."""
    if path is not None:
        return RunDir.create(path, config, data, twin)
    while True:
        path = default_path(config.preset, config.dataset)
        try:
            return RunDir.create(path, config, data, twin)
        except UsageError:
            # Another process may have taken it meanwhile: then there is a next one.
            if path == default_path(config.preset, config.dataset):
                raise


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


def _stored_state(
    run: RunDir, config: TrainConfig, data: DataInfo, total: int
) -> Checkpoint | None:
    """The last checkpoint; None of a run that was stopped before its first."""
    _, stored_data = run.read_config()
    if stored_data != data:
        raise UsageError(
            f"--dataset {config.dataset}: holds other images than those that the run"
            f" was started with ({_digest(stored_data)} then, {_digest(data)} now)"
        )
    if not run.checkpoint_steps():
        return None
    path = run.latest_checkpoint()
    stored = checkpoint.load(path)
    # A folder of images may have been moved: its content was compared above.
    may_differ = CHANGEABLE_ON_RESUME | {"dataset"}
    changes = {name: getattr(stored.config, name) for name in may_differ}
    if (dataclasses.replace(config, **changes), data) != (stored.config, stored.data):
        raise UsageError(f"{path}: belongs to a run of another configuration or data")
    if total < stored.step:
        given = "epochs" if config.steps is None else "steps"
        raise refuse(
            given,
            getattr(config, given),
            f"the run has already done {stored.step} steps",
        )
    return stored


def _digest(data: DataInfo) -> str:
    return f"{data.count} of digest {data.sha256[:8]}"
