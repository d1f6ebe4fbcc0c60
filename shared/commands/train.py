"""The command ``train``: data by name, what the user is told, and the exit status."""

import shlex
import sys
from pathlib import Path

from shared import plugins, terminal
from shared.backend import MakeBackend
from shared.commands.options import TrainFlags
from shared.config.run_options import TrainOptions
from shared.config.train_config import flag
from shared.data import datasets
from shared.errors import Interrupted
from shared.report import page
from shared.run.run_dir import RunDir
from shared.training import driver, signals
from shared.training.places import Keeping, NewFolder, OldFolder
from shared.training.progress import TerminalProgress
from shared.training.signals import Signals


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
    with signals.tidily():  # or a cache would be left half written
        data = datasets.load(config.dataset, config.image_size, options.data_dir)
    progress = TerminalProgress()
    twin = prog.partition(".")[0]
    keeping = Keeping(
        twin=twin,
        # The folder may be moved, so the report does not say where it is.
        write_report=lambda run: _write_report(run, options, prog),
        say=progress.say,
        on_open=lambda run: _on_open(run, options, prog),
        tensorboard=options.tensorboard,
        plugin=plugins.load(options.plugin, twin),
        keep=options.keep,
    )
    for line in options.notes:
        progress.say(line)
    if options.resume is None:
        place = NewFolder(options.run_dir, keeping)
    else:
        place = OldFolder(options.resume, keeping, options.step)
    how = driver.Options(
        device=options.device,
        data_on=options.data_on,
        threads=options.threads,
        deterministic=options.deterministic,
        on_nan=options.on_nan,
        data_dir=options.data_dir,
        check_reference=options.check_reference,
        progress=progress,
        stop=Signals(),
    )
    try:
        run = driver.train(config, data, make_backend, place, how)
    except Interrupted as interrupted:
        terminal.say(_how_to_go_on(interrupted.path or Path("RUN"), options, prog))
        raise
    _tell_end(run, options, prog)


def resume_command(options: TrainOptions, run: Path, prog: str) -> str:
    """The command that continues ``run``, which was trained with these options."""
    words = ["python", "-m", prog, "--resume", str(run)]
    # Not threads: the run knows them.
    for name in ("data_dir", "device", "data_on", "on_nan", "plugin"):
        value = getattr(options, name)
        if value != getattr(TrainFlags, name):
            words += [flag(name), str(value)]
    for name in ("deterministic", "tensorboard"):
        if getattr(options, name):
            words.append(flag(name))
    return shlex.join(words)


def _on_open(run: RunDir, options: TrainOptions, prog: str) -> None:
    terminal.keep_unsaid(run.path)
    signals.say_at_last(_how_to_go_on(run.path, options, prog))


def _how_to_go_on(run: Path, options: TrainOptions, prog: str) -> str:
    resume = resume_command(options, run, prog)
    return f"stopped; continue from what was saved:\n  {resume}"


def _write_report(run: RunDir, options: TrainOptions, prog: str) -> None:
    page.write_report(run, resume_command(options, Path("RUN"), prog), prog)


def _tell_end(run: driver.TrainedRun, options: TrainOptions, prog: str) -> None:
    """Say where the pictures are, or how to go on; exits where a signal has come."""
    assert run.path is not None, "the run has a folder"
    if run.stopped_by is None:
        terminal.say(f"done: {run.path}/samples.png")
        return
    resume = resume_command(options, run.path, prog)
    terminal.say(
        f"stopped after {run.step} of {run.total} steps; continue with:\n  {resume}"
    )
    sys.exit(128 + run.stopped_by)
