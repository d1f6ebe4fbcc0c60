"""Command lines of both twins: argv to checked options, and mistakes to one line.

Nothing heavy is imported here, so that ``--help`` and refusals take a moment only.
"""

import dataclasses
import importlib.util
import itertools
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from shared import plugins
from shared.commands import help_text
from shared.commands.options import (
    DEFAULT_PRESET,
    CompareOptions,
    DataOptions,
    EvaluateOptions,
    ExportOptions,
    SampleOptions,
    TrainFlags,
)
from shared.commands.parsing import parse
from shared.commands.version import describe_version
from shared.config.arguments import about, named_as
from shared.config.choices import (
    FEWEST_SCORED,
    POINTS,
    check_dataset_name,
    check_not_moved,
    folder_meant,
    is_folder,
)
from shared.config.flags import refuse, twin_of
from shared.config.limits import (
    check_devices,
    check_limits,
    check_threads,
)
from shared.config.presets import PRESETS, SUMMARIES
from shared.config.resume import check_resumed
from shared.config.run_options import TrainOptions, handed_on
from shared.config.train_config import TrainConfig
from shared.drawing import figures
from shared.errors import UsageError
from shared.export.formats import check_format
from shared.training.processes import (
    find_processes,
    hear_flags,
    hear_slurm,
    processes,
)
from shared.words import legible, suggestion

# A run of that name is ./auto.
_AUTO = Path("auto")
# Settings, where they do nothing, and what they need to do something.
_IDLE_WHERE = {
    "penalty_weight": ("penalty", "none", "a --penalty"),
    "path_length_every": ("path_length", 0, "a --path-length"),
    "instance_noise_steps": ("instance_noise", 0, "a --instance-noise"),
    "adam_betas": ("optimizer", "rmsprop", "--optimizer adam"),
}


def arguments(argv: Sequence[str] | None) -> list[str]:
    """The words of a command line; one with ``--version`` is answered here.

    Args:
        argv: the arguments; None: the process's.

    Raises:
        SystemExit: the version has been printed.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "--version" in words:
        sys.stdout.write(describe_version() + "\n")
        sys.exit(0)
    return words


def parse_train(argv: Sequence[str] | None, prog: str) -> TrainOptions:
    """Options of ``train [PRESET] [--flags]``.

    A resumed run starts from its stored configuration instead of a preset.

    Args:
        argv: the arguments; None: the process's.
        prog: how the user calls the program.

    Raises:
        UsageError: an argument, value or combination is wrong, or differs from what
            the run to resume was started with.
    """
    preset, args = _preset_first(_words(argv, prog), prog)
    start = PRESETS[preset or DEFAULT_PRESET]
    flags = _parse_flags(start, args, prog)
    _hear_of_processes(flags, prog)
    notes = ()
    if flags.config is not None:
        if flags.resume not in (None, _AUTO):
            raise refuse("config", flags.config, "a resumed run keeps its settings")
        start = _settings_of(flags.config, preset, _changed(flags, start))
        flags = _parse_flags(start, args, prog)
    if flags.allow_new_data and flags.resume is None:
        raise UsageError("--allow-new-data: needs a run to --resume")
    if flags.resume == _AUTO:
        flags, notes = _resume_or_start(flags, _config(flags, start))
    if flags.step is not None and flags.resume is None:
        raise refuse("step", flags.step, "needs the run to --resume")
    if flags.resume is None:
        config = _config(flags, start)
        _check_idle(config, start)
        _check_unused(flags.run_dir)
    else:
        _check_smallest(flags, {"step": 0})
        start = _stored_config(flags, preset)
        config = _config(_parse_flags(start, args, prog), start)
        check_resumed(config, start)
        if config.dataset == start.dataset:
            check_not_moved(config.dataset)
    check_dataset_name(config.dataset)
    if flags.resume is None and is_folder(config.dataset):
        _check_apart(flags.run_dir, config)
    check_threads(flags.threads)
    check_devices(config, _all_devices(flags.devices, prog))
    check_limits(config, flags.device)
    if flags.check_reference and flags.resume is not None:
        raise UsageError(
            "--check-reference: looks at the first steps, which a run to --resume has"
            " behind it"
        )
    figures.prepare()  # or a whole run would be trained before it is drawn
    if flags.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard: needs the package tensorboard; install it with"
            " pip install tensorboard"
        )
    return handed_on(flags, TrainOptions, config=config, notes=notes)


def parse_sample(argv: Sequence[str] | None, prog: str) -> SampleOptions:
    """Options of ``sample RUN [--flags]``; arguments and errors as `parse_train`."""
    options = parse(
        SampleOptions,
        _words(argv, prog),
        prog=prog,
        description="Draw images from a run of either twin.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    _hear_of_processes(options, prog)
    least = {"num": 1, "columns": 1, "devices": 1, "standing_stats": 1}
    _check_smallest(options, {**least, "seed": 0, "step": 0})
    if options.interpolate and (options.num or 0) % options.columns:
        raise refuse(
            "num",
            options.num,
            f"must be a multiple of --columns {options.columns} with --interpolate",
        )
    return options


def parse_evaluate(argv: Sequence[str] | None, prog: str) -> EvaluateOptions:
    """Options of ``evaluate RUN [--flags]``; arguments and errors as `parse_train`."""
    options = parse(
        EvaluateOptions,
        _words(argv, prog),
        prog=prog,
        description="Score the samples of a run of either twin.",
    )
    _hear_of_processes(options, prog)
    least = {"draws": 1, "devices": 1, "image_size": 8, "standing_stats": 1}
    _check_smallest(options, {"num": FEWEST_SCORED, **least, "seed": 0, "step": 0})
    _check_scored(options, prog)
    return options


def parse_export(argv: Sequence[str] | None, prog: str) -> ExportOptions:
    """Options of ``export RUN [--flags]``; arguments and errors as `parse_train`."""
    _have_one_do_it(prog)
    options = parse(
        ExportOptions,
        _words(argv, prog),
        prog=prog,
        description="Write the generator of a run of either twin, for others to load.",
    )
    _check_smallest(options, {"step": 0, "standing_stats": 1})
    check_format(options.format, twin_of(prog))
    return options


def parse_data(
    argv: Sequence[str] | None, prog: str
) -> tuple[DataOptions, TrainConfig]:
    """Options of ``data DATASET [--flags]``, and how a run would read the data.

    Arguments and errors as `parse_train`.
    """
    _have_one_do_it(prog)
    options = parse(
        DataOptions,
        _words(argv, prog),
        prog=prog,
        description="Show a data set as a run sees it, and what is changed of it.",
    )
    with named_as(options.dataset, f"DATASET {options.dataset}"):
        check_dataset_name(options.dataset)
    is_points = options.dataset in POINTS
    if is_points and options.image_size != DataOptions.image_size:
        rule = f"is for images, which points of {options.dataset} are not"
        raise refuse("image_size", options.image_size, rule)
    start = PRESETS[options.dataset if is_points else DEFAULT_PRESET]
    return options, dataclasses.replace(
        start,
        dataset=options.dataset,
        image_size=start.image_size if is_points else options.image_size,
        channels=options.channels,
        crop=options.crop,
        pixel_bits=options.pixel_bits,
    )


def parse_compare(argv: Sequence[str] | None, prog: str) -> CompareOptions:
    """Options of ``compare RUN [RUN ...]``; arguments and errors as `parse_train`."""
    _have_one_do_it(prog)
    options = parse(
        CompareOptions,
        _words(argv, prog),
        prog=prog,
        description="Compare runs of either twin: a table, and their curves.",
    )
    if not options.runs:
        raise UsageError(f"RUN: name one run or more; see {prog} --help")
    return options


def _check_scored(options: EvaluateOptions, prog: str) -> None:
    """Refuse what is said of a run where there are images, and the reverse."""
    if options.samples is None:
        if options.run is None:
            raise UsageError(
                f"RUN: name a run, or images as --samples FOLDER; see {prog} --help"
            )
        names = ("reference", "image_size", "channels")
        rule = "is for --samples; a run knows its own"
    else:
        if options.run is not None:
            raise refuse("samples", options.samples, "give a run or images, not both")
        if options.reference is None:
            raise refuse(
                "samples",
                options.samples,
                "needs --reference: what the images are compared with",
            )
        if processes().count > 1:
            rule = "are judged by one process; start it alone"
            raise refuse("samples", options.samples, rule)
        names = ("draws", "step", "dataset", "plugin", "devices", "standing_stats")
        rule = "is for a run, and --samples are images"
    for name in names:
        if (value := getattr(options, name)) is not None:
            raise refuse(name, value, rule)


def _hear_of_processes(
    options: TrainFlags | SampleOptions | EvaluateOptions, prog: str
) -> None:
    """Have `processes` know what flags say or, in JAX, SLURM.

    Raises:
        UsageError: as `hear_flags` and `find_processes`.
    """
    hear_flags(options.coordinator_address, options.num_processes, options.process_id)
    _hear_slurm(prog)
    if find_processes().count > 1:
        # PyTorch would show the stack of each message that fails, before our one line.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _have_one_do_it(prog: str) -> None:
    """End in silence what follows, where there is nothing to share.

    Raises:
        SystemExit: another process does it all.
        UsageError: as `find_processes`.
    """
    _hear_slurm(prog)
    if find_processes().follows:
        sys.exit(0)


def _hear_slurm(prog: str) -> None:
    if twin_of(prog) == "gans_jax":  # in PyTorch, SLURM starts torchrun
        hear_slurm()


def _all_devices(asked: int | None, prog: str) -> int:
    """How many devices share each batch."""
    count = processes().count
    if asked is None:
        return count
    # In PyTorch each process has one: their number can only be said again.
    return asked * count if twin_of(prog) == "gans_jax" else asked


def _words(argv: Sequence[str] | None, prog: str) -> list[str]:
    """The arguments; their plugin has been loaded, for they may name what it brings."""
    words = arguments(argv)
    if words[:1] == ["--"]:  # as torchrun, which takes no flag for its own after it
        del words[0]
    for word, following in itertools.pairwise([*words, ""]):
        name, is_whole, value = word.partition("=")
        if name == "--plugin" and (path := value if is_whole else following):
            plugins.load(Path(path), twin_of(prog))
    return words


def _preset_first(words: list[str], prog: str) -> tuple[str | None, list[str]]:
    """The preset that comes first, if one does; and the flags."""
    has_preset = bool(words) and not words[0].startswith("-")
    preset, args = (words[0], words[1:]) if has_preset else (None, words)
    if preset is not None and preset not in PRESETS:
        hint = ""
        if os.path.lexists(Path(preset, "config.json")):
            hint = f"; a run goes on by --resume {shlex.quote(preset)}"
        elif meant := folder_meant(preset):
            hint = f"; a data set is --dataset {shlex.quote(meant)}"
        raise UsageError(
            f"preset {preset!r}: must be one of {', '.join(PRESETS)}"
            + (hint or suggestion(preset, PRESETS))
        )
    if any(word.partition("=")[0] == "--preset" for word in args):
        raise UsageError(
            f"--preset: the name stands alone and comes first, as in {prog} wgan-gp"
        )
    return preset, args


def _check_smallest(options: Any, smallest: dict[str, int]) -> None:
    for name, least in smallest.items():
        value = getattr(options, name)
        sides = value if isinstance(value, tuple) else (value,)
        if any(isinstance(x, int) and not least <= x < 2**63 for x in sides):
            raise refuse(name, value, f"must be {least} or more, and below 2**63")


def _parse_flags(start: TrainConfig, args: list[str], prog: str) -> TrainFlags:
    return parse(
        TrainFlags,
        args,
        prog=f"{prog} [PRESET]",
        groups=help_text.GROUPS,
        description="Train a GAN. The presets, each changed by the flags below:\n"
        + "\n".join(f"- {name}: {SUMMARIES[name]}" for name in PRESETS)
        + f"\n\nWithout a preset: {DEFAULT_PRESET}. Shown are {start.preset}'s"
        " defaults; PRESET --help shows another's.",
        default=TrainFlags(**_values(start)),
    )


def _settings_of(
    path: Path, preset: str | None, flags: Mapping[str, Any]
) -> TrainConfig:
    from shared.run.settings import read_settings

    return read_settings(path, preset, DEFAULT_PRESET, flags)


def _config(flags: TrainFlags, start: TrainConfig) -> TrainConfig:
    return dataclasses.replace(start, **_changed(flags, start))


def _changed(flags: TrainFlags, start: TrainConfig) -> dict[str, Any]:
    """The settings that flags change."""
    values, before = _values(flags), _values(start)
    changed = {name: x for name, x in values.items() if x != before[name]}
    # Giving one measure of the length replaces the other.
    if "epochs" in changed:
        changed["steps"] = None
    elif "steps" in changed:
        changed["epochs"] = None
    return changed


def _values(config: TrainConfig) -> dict[str, Any]:
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(TrainConfig)
    }


def _check_idle(config: TrainConfig, start: TrainConfig) -> None:
    """Refuse a flag that does nothing; a run that has the setting may go on with it."""
    for name, (other, off, needed) in _IDLE_WHERE.items():
        value = getattr(config, name)
        if getattr(config, other) == off and value != getattr(start, name):
            raise refuse(name, value, f"needs {needed}")


def _check_unused(run_dir: Path | None) -> None:
    from shared.run.run_dir import RunDir

    if run_dir is not None:
        RunDir(run_dir).check_unused()


def _check_apart(run_dir: Path | None, config: TrainConfig) -> None:
    from shared.run.outputs import check_apart
    from shared.run.run_dir import default_path

    path = run_dir or default_path(config.preset, config.dataset)
    check_apart("run_dir", path, config.dataset)


def _resume_or_start(
    flags: TrainFlags, config: TrainConfig
) -> tuple[TrainFlags, tuple[str, ...]]:
    """What ``--resume auto`` means now, and how to say it."""
    from shared.run.run_dir import RunDir
    from shared.run.unfinished import newest_unfinished

    if flags.run_dir is None:
        plugin = plugins.read(flags.plugin)
        found = newest_unfinished(config, plugin, locks=not processes().follows)
    else:
        found = flags.run_dir if RunDir(flags.run_dir).is_run() else None
    if found is None:
        note = "--resume auto: there is no such run yet; starting one"
        return dataclasses.replace(flags, resume=None, step=None), (note,)
    note = f"--resume auto: {legible(found)}"
    return dataclasses.replace(flags, resume=found, run_dir=None), (note,)


def _stored_config(flags: TrainFlags, preset: str | None) -> TrainConfig:
    """What the run to resume was started with."""
    from shared.run.run_dir import RunDir

    if flags.run_dir is not None:
        raise refuse("run_dir", flags.run_dir, "a resumed run stays in its own folder")
    assert flags.resume is not None, "there is a run to resume"
    plugin = plugins.read(flags.plugin)
    with about("--resume"):
        run = RunDir.open(flags.resume)
        needed = run.config_file.plugin()
    # First: without its plugin, the configuration may name what nobody knows.
    plugins.check_same(plugin, needed)
    with about("--resume"):
        stored, _ = run.config_file.read()
    if preset not in (None, stored.preset):
        raise UsageError(
            f"preset {preset!r}: the run was started with {stored.preset!r}"
        )
    return stored
