"""Command lines of both twins: argv to checked options, and mistakes to one line.

Nothing heavy is imported here, so that ``--help`` and refusals take a moment only.
"""

import contextlib
import dataclasses
import difflib
import importlib.util
import inspect
import io
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
)

from shared.backend import DataPlace
from shared.config import CHANGEABLE_ON_RESUME, TrainConfig, flag, refuse
from shared.datasets import is_folder, validate_name
from shared.errors import TrainingError, UsageError
from shared.presets import PRESETS
from shared.run_dir import RunDir

_DEFAULT_PRESET = "dcgan"

# What images are compared by.
Features = Literal["classifier", "inception", "none"]

# What PyTorch, XLA and NumPy say, on the CPU and on accelerators.
_OUT_OF_MEMORY = (
    "MemoryError|CUDA out of memory|can't allocate memory|RESOURCE_EXHAUSTED"
)

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What ``train`` was asked to do."""

    config: TrainConfig
    """Everything that changes the run's numbers."""
    data_dir: Path
    """Where data sets are kept."""
    run_dir: Path | None
    """Where to write; None: the next free folder, or the one that is resumed."""
    resume: Path | None
    """The run to continue; None: start a new one."""
    device: str
    """Name of a device, or auto."""
    data_on: DataPlace
    """Where the images are kept."""
    tensorboard: bool
    """Whether to write TensorBoard's event files too."""
    check_reference: bool
    """Whether to compare the first steps with those of other installations."""


def _parse_labels(texts: list[str]) -> tuple[int, ...]:
    try:
        labels = tuple(int(label) for label in texts[0].split(","))
    except ValueError:
        labels = (-1,)
    if min(labels) < 0:
        raise ValueError(f"{shlex.join(texts)}: must be class ids from 0 up, as in 3,7")
    return labels


def _parse_step(texts: list[str]) -> int | Literal["best"]:
    try:
        return "best" if texts[0] == "best" else int(texts[0])
    except ValueError:
        rule = "must be a whole number, or best"
        raise ValueError(f"{shlex.join(texts)}: {rule}") from None


_Step = Annotated[
    int | Literal["best"] | None,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT|best",
        instance_from_str=_parse_step,
        is_instance=lambda _: True,
        str_from_instance=lambda step: [str(step)],
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What ``sample`` was asked to do."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder of either twin, or one of its checkpoints (.safetensors)."""
    num: int | None = None
    """Images to draw; without it, eight rows or, of a conditional run, a row for each
    class. With fewer rows than classes, each class has an equal share."""
    seed: int = 0
    """Seed of the latents, from 0 up."""
    labels: Annotated[
        tuple[int, ...],
        PrimitiveConstructorSpec(
            nargs=1,
            metavar="ID,ID,...",
            instance_from_str=_parse_labels,
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda labels: [",".join(map(str, labels)) or "all"],
        ),
    ] = ()
    """Classes to draw, a row for each in turn; conditional runs only; without it,
    all."""
    interpolate: bool = False
    """Make each row a path between two latents."""
    separate: bool = False
    """Write one file for each image instead of a grid."""
    columns: int = 8
    """Images in a row of the grid, or on a path."""
    step: _Step = None
    """Checkpoint to draw from; best: by the scores of --evaluate-every; without it,
    the last."""
    out: Path | None = None
    """File to write, or folder with --separate; without it, a new one in the run."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What ``evaluate`` was asked to do."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder of either twin, or one of its checkpoints (.safetensors)."""
    num: int | None = None
    """Samples in each draw, from 16 up; without it, 2048 or, if that is less, as many
    as there are training images; 26000 of stacked-mnist, 2500 points in the plane,
    10000 with --features inception."""
    draws: int = 5
    """Independent draws, over which confidence intervals are made."""
    seed: int = 0
    """Seed of the samples, from 0 up."""
    features: Features = "classifier"
    """What images are compared by: a classifier that is trained on the data's labels;
    Inception v3 as for the published FID (PyTorch; fetched when first used); none:
    pixel by pixel only."""
    step: _Step = None
    """Checkpoint to evaluate; best: by the scores of --evaluate-every; without it, the
    last."""
    dataset: str | None = None
    """Where a folder of images is now, as folder:PATH, if it was moved since."""
    data_dir: Path = Path("data")
    """Folder of data sets, which also keeps the classifier."""
    out: Path | None = None
    """Folder to write into; without it, the run."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What ``compare`` was asked to do."""

    runs: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Run folders of either twin."""
    out: Path = Path("comparison.png")
    """Picture of the curves to write."""


# Flags of the run that exclude each other.
_LENGTH = tyro.conf.create_mutex_group(required=False, title="length of the run")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _TrainFlags(TrainConfig):
    """The flags of ``train``: the configuration's fields and where to run.

    Presets are positional. The rules are checked on the finished `TrainConfig`.
    """

    preset: tyro.conf.Suppress[str] = _DEFAULT_PRESET
    steps: Annotated[int | None, _LENGTH] = None
    epochs: Annotated[float | None, _LENGTH] = None
    data_dir: Path = Path("data")
    """Folder of data sets, where they are fetched to and cached."""
    run_dir: Path | None = None
    """Folder to write; without it, the next free runs/PRESET-DATASET-NNN."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Continue this run, of either twin, where it stopped."""
    device: str = "auto"
    """auto (the best there is), cpu, cuda, cuda:N, tpu, ..."""
    data_on: DataPlace = "auto"
    """Where the images are kept: on the device, or on the host, which sends each batch;
    auto: on an accelerator with room for them."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write event files for TensorBoard into the run's folder too."""
    check_reference: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say after the first steps of an unchanged preset whether its metrics are what
    they are on other machines."""

    def __post_init__(self) -> None:
        pass


@contextlib.contextmanager
def run_command(prog: str) -> Iterator[None]:
    """Turn a `UsageError` into one line on stderr and exit status 2.

    Ctrl-C, where nobody else takes it, ends the program without a traceback; so do too
    little memory, and a reader of its output that goes away, as in ``--help | head``.

    Args:
        prog: how the user calls the program.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except UsageError as error:
        # A value may hold line breaks; the message must not.
        sys.stderr.write(f"{prog}: error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except TrainingError as error:
        sys.stderr.write(f"{prog}: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # What is still to be written goes nowhere, when Python ends, without a word.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(141)  # what a shell says of SIGPIPE
    except Exception as error:
        # The frameworks' own errors, which have no class in common.
        if not re.search(_OUT_OF_MEMORY, f"{type(error).__name__}: {error}"):
            raise
        sys.stderr.write(
            f"{prog}: error: out of memory: try a smaller --batch-size, --width or"
            " --image-size, or --data-on host\n"
        )
        sys.exit(2)


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
    args = list(sys.argv[1:] if argv is None else argv)
    preset = args.pop(0) if args and not args[0].startswith("-") else None
    if preset is not None and preset not in PRESETS:
        raise UsageError(
            f"preset {preset!r}: must be one of {', '.join(PRESETS)}"
            + _suggestion(preset, PRESETS)
        )
    if any(word.partition("=")[0] == "--preset" for word in args):
        raise UsageError(
            f"--preset: the name stands alone and comes first, as in {prog} wgan-gp"
        )
    start = PRESETS[preset or _DEFAULT_PRESET]
    flags = _parse_flags(start, args, prog)
    if flags.resume is None:
        config = _config(flags, start)
        if flags.run_dir is not None:
            RunDir(flags.run_dir).check_unused()
    else:
        if flags.run_dir is not None:
            raise refuse(
                "run_dir", flags.run_dir, "a resumed run stays in its own folder"
            )
        start = _stored_config(flags.resume)
        config = _config(_parse_flags(start, args, prog), start)
        _check_resumed(preset, config, start)
    validate_name(config.dataset)
    if flags.check_reference and flags.resume is not None:
        raise UsageError(
            "--check-reference: looks at the first steps, which a run to --resume has"
            " behind it"
        )
    if flags.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "--tensorboard: needs the package tensorboard; install it with"
            " pip install tensorboard"
        )
    return TrainOptions(
        config=config,
        data_dir=flags.data_dir,
        run_dir=flags.run_dir,
        resume=flags.resume,
        device=flags.device,
        data_on=flags.data_on,
        tensorboard=flags.tensorboard,
        check_reference=flags.check_reference,
    )


def resume_command(options: TrainOptions, run: Path, prog: str) -> str:
    """The command that continues ``run``, which was trained with these options."""
    words = ["python", "-m", prog, "--resume", str(run)]
    for name in ("data_dir", "device", "data_on"):
        value = getattr(options, name)
        if value != getattr(_TrainFlags, name):
            words += [flag(name), str(value)]
    if options.tensorboard:
        words.append("--tensorboard")
    return shlex.join(words)


def parse_sample(argv: Sequence[str] | None, prog: str) -> SampleOptions:
    """Options of ``sample RUN [--flags]``; arguments and errors as `parse_train`."""
    args = list(sys.argv[1:] if argv is None else argv)
    options = _tyro(
        SampleOptions,
        args,
        prog=prog,
        description="Draw images from a run of either twin.",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    _check_smallest(options, {"num": 1, "seed": 0, "columns": 1, "step": 0})
    if options.interpolate and (options.num or 0) % options.columns:
        raise refuse(
            "num",
            options.num,
            f"must be a multiple of --columns {options.columns} with --interpolate",
        )
    return options


def parse_evaluate(argv: Sequence[str] | None, prog: str) -> EvaluateOptions:
    """Options of ``evaluate RUN [--flags]``; arguments and errors as `parse_train`."""
    options = _tyro(
        EvaluateOptions,
        list(sys.argv[1:] if argv is None else argv),
        prog=prog,
        description="Score the samples of a run of either twin.",
    )
    _check_smallest(options, {"num": 16, "draws": 1, "seed": 0, "step": 0})
    return options


def parse_compare(argv: Sequence[str] | None, prog: str) -> CompareOptions:
    """Options of ``compare RUN [RUN ...]``; arguments and errors as `parse_train`."""
    options = _tyro(
        CompareOptions,
        list(sys.argv[1:] if argv is None else argv),
        prog=prog,
        description="Compare runs of either twin: a table, and their curves.",
    )
    if not options.runs:
        raise UsageError(f"RUN: name one run or more; see {prog} --help")
    return options


def _check_smallest(options: Any, smallest: dict[str, int]) -> None:
    for name, least in smallest.items():
        value = getattr(options, name)
        if isinstance(value, int) and not least <= value < 2**63:
            raise refuse(name, value, f"must be {least} or more, and below 2**63")


def _parse_flags(start: TrainConfig, args: list[str], prog: str) -> _TrainFlags:
    return _tyro(
        _TrainFlags,
        args,
        prog=f"{prog} [PRESET]",
        description="Train a GAN. The presets, each changed by the flags below:\n"
        + "\n".join(map(_describe, PRESETS.values()))
        + f"\n\nWithout a preset: {_DEFAULT_PRESET}. Shown are {start.preset}'s"
        " defaults; PRESET --help shows another's.",
        default=_TrainFlags(**_values(start)),
    )


def _describe(config: TrainConfig) -> str:
    length = f"{config.steps} steps"
    if config.epochs is not None:
        length = f"{config.epochs:g} epochs"
    return (
        f"- {config.preset}: {config.objective} on {config.dataset},"
        f" {config.image_size}x{config.image_size}, batch {config.batch_size}, {length}"
    )


def _config(flags: _TrainFlags, start: TrainConfig) -> TrainConfig:
    values = _values(flags)
    # Giving one measure of the length replaces the other.
    if flags.epochs != start.epochs:
        values["steps"] = None
    elif flags.steps != start.steps:
        values["epochs"] = None
    return TrainConfig(**values)


def _values(config: TrainConfig) -> dict[str, Any]:
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(TrainConfig)
    }


def _stored_config(run: Path) -> TrainConfig:
    try:
        return RunDir.open(run).read_config()[0]
    except UsageError as error:
        raise UsageError(f"--resume {error}") from error


def _check_resumed(
    preset: str | None, config: TrainConfig, stored: TrainConfig
) -> None:
    if preset not in (None, stored.preset):
        raise UsageError(
            f"preset {preset!r}: the run was started with {stored.preset!r}"
        )
    old = _values(stored)
    changed = {name: v for name, v in _values(config).items() if v != old[name]}
    for name, value in changed.items():
        # A folder may have been moved; that its images are the same is checked later.
        if name == "dataset" and is_folder(str(value)) and is_folder(stored.dataset):
            continue
        if name not in CHANGEABLE_ON_RESUME:
            may = ", ".join(map(flag, sorted(CHANGEABLE_ON_RESUME)))
            rule = f"the run was started with {_text(old[name])}; only {may} may change"
            raise refuse(name, _text(value), rule)
    length = [name for name in ("steps", "epochs") if changed.get(name) is not None]
    if length and stored.lr_schedule != "constant":
        raise refuse(
            length[0],
            changed[length[0]],
            f"--lr-schedule {stored.lr_schedule} is spread over the length that the"
            " run was started with, which therefore may not change",
        )


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


_KINDS = {int: "a whole number", float: "a number", Path: "a path"}
_REGISTRY = ConstructorRegistry()


@_REGISTRY.primitive_rule
def _plain_values(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads T, T | None and tuple[T, T]; a refusal says in plain words what T is."""
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    kinds = kinds or [info.type]
    kind = kinds[0]
    if kind not in _KINDS or any(other is not kind for other in kinds):
        return None
    is_tuple = get_origin(info.type) is tuple

    def read(texts: list[str]) -> Any:
        try:
            values = tuple(kind(text) for text in texts)
        except ValueError:
            values = ()
        if not values or "" in texts:
            rule = f"must be {' and '.join([_KINDS[kind]] * len(texts))}"
            raise ValueError(f"{shlex.join(texts)}: {rule}")
        return values if is_tuple else values[0]

    return PrimitiveConstructorSpec(
        nargs=len(kinds),
        metavar=" ".join([kind.__name__.upper()] * len(kinds)),
        instance_from_str=read,
        is_instance=lambda _: True,
        str_from_instance=lambda value: _text(value).split(" "),
    )


def _tyro(flags: type[_T], args: list[str], *, prog: str, **options: Any) -> _T:
    """`tyro.cli`, with every refusal as a `UsageError` of one line."""
    options |= {"registry": _REGISTRY, "return_unknown_args": True}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            parsed, unknown = tyro.cli(flags, args=args, prog=prog, **options)
    except SystemExit as stop:
        if not stop.code:
            raise  # --help
        raise UsageError(_first_paragraph(printed.getvalue())) from None
    if unknown:
        option = unknown[0].partition("=")[0].replace("_", "-")
        if not option.startswith("-"):
            raise UsageError(f"unexpected argument {option!r}; see {prog} --help")
        known = map(flag, inspect.signature(flags).parameters)
        raise UsageError(f"unrecognized option {option}{_suggestion(option, known)}")
    return parsed


def _first_paragraph(box: str) -> str:
    """What tyro says in the first paragraph of its box, as one line."""
    lines = [line.strip(" │|") for line in box.splitlines()[1:]]
    is_text = [line.strip("─-") != "" for line in lines]
    start = is_text.index(True)
    end = [*is_text, False].index(False, start)
    text = " ".join(lines[start:end])
    return re.sub(r"^Error parsing (\S+): ", r"\1 ", text)
