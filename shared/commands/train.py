"""The command ``train``: data by name, what the user is told, and the exit status."""

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from shared import plugins, terminal
from shared.backend import MakeBackend
from shared.commands.options import TrainFlags
from shared.config.flags import flag_words, given, path_word, twin_of
from shared.config.run_options import TrainOptions, handed_on
from shared.data import datasets
from shared.data.image_data import DataInfo, ImageData
from shared.errors import Interrupted, UsageError
from shared.evaluation.evaluators import check_features
from shared.report import page
from shared.run.run_dir import RunDir
from shared.training import driver, signals
from shared.training.places import Keeping, NewFolder, OldFolder
from shared.training.processes import as_place, processes
from shared.training.progress import TerminalProgress
from shared.training.signals import Signals
from shared.words import legible, listed

# As many as a line of the log names.
_MOST_CLASSES = 20


def train(options: TrainOptions, make_backend: MakeBackend, prog: str) -> None:
    """Start or resume a run, and leave its folder as `shared.run.run_dir` describes it.

    Args:
        options: what the user asked for.
        make_backend: makes the twin's backend.
        prog: how the user calls the program, to say how to resume.

    Raises:
        UsageError: the options do not fit the data, the device or the stored run.
        TrainingError: the losses are no longer finite, what the run leaves can no
            longer be written, or a process of the run is gone.
        SystemExit: stopped by a signal, with 128 + its number, after saving.
    """
    config = options.config
    with signals.tidily():  # or a cache would be left half written
        notes: list[str] = []
        data = datasets.load_for(
            config,
            options.data_dir,
            options.cache_dir,
            notes.append,
            trust_cache=options.trust_cache,
        )
    driver.check_data(config, data.info)  # before anything is said of them
    progress = TerminalProgress()
    plugin = plugins.read(options.plugin)
    keeping = Keeping(
        twin=twin_of(prog),
        write_report=lambda run: _write_report(run, options, prog),
        say=progress.say,
        on_open=lambda run: _on_open(run, options, prog),
        tensorboard=options.tensorboard,
        plugin=plugin,
        keep=options.keep,
    )
    if not processes().follows:
        for line in [*options.notes, *describe_data(data), *notes]:
            progress.say(line)
    if options.resume is None:
        place = NewFolder(options.run_dir, keeping)
    else:
        place = OldFolder(options.resume, keeping, options.step, options.allow_new_data)
    how = handed_on(
        options, driver.Options, progress=progress, stop=Signals(), plugin=plugin
    )
    try:
        run = driver.train(config, data, make_backend, place, how)
    except Interrupted as interrupted:
        terminal.say(_how_to_go_on(interrupted.path or Path("RUN"), options, prog))
        raise
    _tell_end(run, data.info, options, prog)


def describe_data(data: ImageData) -> list[str]:
    """What a folder's images are, and the names of classes, for the log."""
    info = data.info
    if data.survey is None and not info.class_names:
        return []
    kind = "grey" if info.channels == 1 else "in colour"
    line = f"{info.count} images, {kind}"
    if info.num_classes:
        classes = info.named_classes() or map(str, range(info.num_classes))
        line += f", {info.num_classes} classes: {listed(list(classes), _MOST_CLASSES)}"
    return [line]


def resume_command(options: TrainOptions, run: Path, prog: str) -> str:
    """The command that continues ``run``, which was trained with these options."""
    words = ["python"]
    if (count := processes().count) > 1 and options.num_processes is None:
        words = _launcher(count)
    # Not threads: the run knows them.
    names = (
        "data_dir",
        "cache_dir",
        "device",
        "devices",
        *("coordinator_address", "num_processes", "process_id"),
        "data_on",
        "on_nan",
        "plugin",
    )
    names += ("trust_cache", "deterministic", "no_compile_cache", "tensorboard")
    words += ["-m", prog, *flag_words("resume", run)]
    return shlex.join([*words, *_given(options, names)])


def _launcher(count: int) -> list[str]:
    """What starts so many processes as these were started."""
    told = os.environ.get
    if (host := told("MASTER_ADDR")) is None:
        return ["srun", f"--ntasks={count}", "python"]
    if (nodes := told("GROUP_WORLD_SIZE", "1")) == "1":
        return ["torchrun", f"--nproc-per-node={count}"]
    on_each = told("LOCAL_WORLD_SIZE", "1")
    # Where torchrun's own processes have met is told to nobody.
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={as_place(host, 29400)}"]
    return ["torchrun", f"--nnodes={nodes}", f"--nproc-per-node={on_each}", *meeting]


def next_command(options: TrainOptions, data: DataInfo, run: Path, prog: str) -> str:
    """The command that scores ``run``, or draws from it where there is little to score.

    Args:
        options: what it was trained with.
        data: its data.
        run: its folder.
        prog: how the user calls the program.
    """
    names: tuple[str, ...] = ("data_dir", "cache_dir", "device", "plugin")
    try:
        check_features(options.config, data, "classifier")
        command, further = "evaluate", []
    except UsageError:
        command, further = "sample", ["--interpolate"]
        names = ("device", "plugin")
    words = ["python", "-m", f"{twin_of(prog)}.{command}", path_word(run), *further]
    return shlex.join([*words, *_given(options, names)])


def _given(options: TrainOptions, names: tuple[str, ...]) -> Iterator[str]:
    """The flags of these names that the user has set."""
    return given({name: getattr(options, name) for name in names}, TrainFlags)


def _on_open(run: RunDir, options: TrainOptions, prog: str) -> None:
    terminal.keep_unsaid(run.path)
    signals.say_at_last(_how_to_go_on(run.path, options, prog))


def _how_to_go_on(run: Path, options: TrainOptions, prog: str) -> str:
    resume = resume_command(options, run, prog)
    return f"stopped; continue from what was saved:\n  {resume}"


def _write_report(run: RunDir, options: TrainOptions, prog: str) -> None:
    # The folder may be moved, so the page does not say where it is.
    page.write_report(run, resume_command(options, Path("RUN"), prog), prog)


def _tell_end(
    run: driver.TrainedRun, data: DataInfo, options: TrainOptions, prog: str
) -> None:
    """Say where the page is, or how to go on; exits where a signal has come."""
    assert run.path is not None, "the run has a folder"
    if run.stopped_by is None:
        following = next_command(options, data, run.path, prog)
        end = f"done: {legible(run.path)}/report.html; next:\n  {following}"
    else:
        resume = resume_command(options, run.path, prog)
        end = f"stopped after {run.step} of {run.total} steps; continue with:"
        end += f"\n  {resume}"
    if not processes().follows:
        terminal.say(end)
    if run.stopped_by is not None:
        sys.exit(128 + run.stopped_by)
