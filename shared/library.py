"""What both twins offer to Python, with the twin's own part handed in."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared import plugins, sizes
from shared.backend import Backend, MakeBackend
from shared.config.arguments import AnyArray, about, about_path, as_array, without_flags
from shared.config.choices import (
    ARRAYS,
    FEWEST_SCORED,
    POINTS,
    DataPlace,
    Features,
    Keep,
    OnNan,
    WhichStep,
    is_keep,
)
from shared.config.flags import refuse
from shared.config.limits import check_threads, truncation_rule
from shared.config.resume import check_resumed
from shared.config.run_options import handed_on
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.data.image_data import ImageData
from shared.data.reading import Reading, reading_of
from shared.drawing import figures
from shared.errors import UsageError
from shared.evaluation import evaluation
from shared.evaluation.evaluation import Evaluation
from shared.evaluation.evaluators import make_evaluator
from shared.evaluation.samples import GivenSamples
from shared.evaluation.score import STANDING, standing_words
from shared.export import hub
from shared.export.formats import FORMATS, check_format
from shared.files.arrays import Arrays
from shared.files.atomic import write_atomically
from shared.report import page
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.evaluations import StoredEvaluation
from shared.run.exported import is_exported
from shared.run.generator import GeneratorState, generator_of
from shared.run.outputs import check_apart, check_file, check_folder, placed
from shared.run.restore import load_backend
from shared.run.run_dir import RunDir, resolve_checkpoint, root_of
from shared.run.standing import stand
from shared.run.truncation import truncated
from shared.training import driver
from shared.training.driver import TrainedRun
from shared.training.places import Keeping, Memory, NewFolder, OldFolder, Place
from shared.training.progress import Progress, TerminalProgress

# A run's folder, a checkpoint file, or what `fit` has returned.
Run = str | Path | TrainedRun


@runtime_checkable  # for the type checks while tests run
class _Generator(Protocol):
    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays: ...


_GeneratorT = TypeVar("_GeneratorT", bound=_Generator)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How `export` writes, besides what and where."""

    format: str
    step: WhichStep | None
    truncation: float | None
    standing_stats: int | None
    plugin: Path | None = None
    """That the command was given, which must be the run's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How `fit` trains, besides what and where."""

    resume: Run | None
    allow_new_data: bool
    step: WhichStep | None
    keep: Keep | None
    device: str
    data_on: DataPlace
    data_dir: str | Path | None
    threads: int | None
    devices: int | None
    deterministic: bool
    on_nan: OnNan
    tensorboard: bool
    plugin: str | Path | None
    on_record: Callable[[dict[str, Any]], object] | None
    progress: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How `evaluate` scores."""

    features: Features
    num: int | None
    draws: int
    seed: int
    step: WhichStep | None
    against: ImageData | None
    device: str
    data_dir: str | Path | None
    standing_stats: int | None


def find_state(twin: str, run: Run, step: WhichStep | None) -> Checkpoint:
    """A run's state.

    Args:
        twin: the package that draws.
        run: a run's folder, a checkpoint file, or what `fit` has returned.
        step: which checkpoint; the one with the best scores; None: the last.

    Raises:
        UsageError: there is no such file, it is damaged, or the run's plugin has been
            loaded as another.
    """
    state = _find_state(run, step)
    plugins.check_loaded(twin, state.plugin)
    return state


def _find_state(run: Run, step: WhichStep | None) -> Checkpoint:
    if isinstance(run, TrainedRun):
        if run.path is None and step is None:
            return run.state
        if run.path is None:
            raise UsageError(f"step {step}: only the last is kept without a folder")
        run = run.path
    _, state = checkpoint.find(Path(run), step)
    return state


def find_generator(
    twin: str, run: Run, step: WhichStep | None
) -> Checkpoint | GeneratorState:
    """What draws for a run: its state, or what an exported folder holds.

    Args:
        twin: as for `find_state`.
        run: as for `find_state`, or a folder that `export` has written.
        step: as for `find_state`.

    Raises:
        UsageError: as `find_state`; or there is a step where there are no checkpoints.
    """
    with about_path("run", _path_of(run)):
        if isinstance(run, TrainedRun) or not is_exported(Path(run)):
            return find_state(twin, run, step)
        if step is not None:
            raise UsageError(
                f"--step {step}: {run} is an exported generator, of one step"
            )
        state = hub.read(Path(run))
    plugins.check_loaded(twin, state.plugin)
    return state


def _path_of(run: Run | os.PathLike[str]) -> Path | None:
    return run.path if isinstance(run, TrainedRun) else Path(run)


def load_standing(
    load: Callable[[Checkpoint | GeneratorState, str], _GeneratorT],
    state: Checkpoint | GeneratorState,
    device: str,
    standing_stats: int | None,
) -> tuple[_GeneratorT, Checkpoint | GeneratorState]:
    """A twin's generator, and the state that it is of.

    Args:
        load: makes the generator of a state, on a device.
        state: of a run, or of its generator.
        device: name of a device, or auto.
        standing_stats: batches whose statistics its batch norm is to go by; None: those
            of training.

    Raises:
        UsageError: the number is not positive, or there is no batch norm.
    """
    generator = load(state, device)
    if standing_stats is None:
        return generator, state
    if standing_stats < 1:
        raise UsageError(f"standing_stats {standing_stats}: must be 1 or more")
    state = stand(generator_of(state), generator.batch_statistics, standing_stats)
    return load(state, device), state


def export(
    twin: str,
    load: Callable[[Checkpoint | GeneratorState, str], _GeneratorT],
    convert: Callable[[_GeneratorT, str], bytes],
    run: Run,
    out: str | Path | None,
    options: ExportOptions,
) -> Path:
    """Write a run's generator; as the twins' ``export``.

    Args:
        twin: the package that writes.
        load: makes the twin's generator of a state, on a device.
        convert: the content of its file of a format.
        run: as for `find_generator`.
        out: file to write, or new folder; None: a new one in the run.
        options: as for the twins' ``export``.

    Raises:
        UsageError: as the twins' ``export`` says; or the plugin is another.
    """
    format, truncation = options.format, options.truncation
    check_format(format, twin)
    out = None if out is None else Path(out)
    if out is not None:
        _check_out(out, format)
    state = find_generator(twin, run, options.step)
    home = _folder_of(run, options.step)
    if out is None and home is None:
        raise UsageError("--out: must name a place, as there is no run's folder")
    plugins.check_drawn_with(options.plugin, state.plugin)
    if truncation is not None:
        _check_truncation(truncation, state.config, format)
    # First: whatever is not fit to be drawn with stays here.
    generator, state = load_standing(load, state, "cpu", options.standing_stats)
    name = f"{state.step:06d}"
    if truncation is not None:
        near = state._replace(arrays=truncated(state.arrays, truncation))
        generator, name = load(near, "cpu"), f"{name}-truncation-{truncation}"
    name += FORMATS[format].suffix
    place = placed(out, None if home is None else home / "exported" / name)
    content = b"" if format == "hub" else convert(generator, format)
    with place as path:
        if format == "hub":
            exported = generator_of(state)
            card = _card_of(run) if options.standing_stats is None else None
            scored = [] if home is None else _evaluations(home, exported)
            hub.write(path, exported, scored, card)
        else:
            write_atomically(path, content)
    return path


def _check_truncation(truncation: float, config: TrainConfig, format: str) -> None:
    """Refuse a truncation that is no part of what is exported."""
    rule = truncation_rule(config, truncation)
    if rule is None and format == "hub":
        rule = (
            "--format hub has the generator whole, and whoever loads it draws by"
            f" sample(n, truncation={truncation})"
        )
    elif rule is None and not ARCHITECTURES[config.architecture].has_styles:
        rule = (
            f"{config.architecture} has no styles; truncate the latents, which the file"
            " is given: draw each of their numbers anew until it is at most"
            f" {truncation} from 0"
        )
    if rule is not None:
        raise refuse("truncation", truncation, rule)


def _card_of(run: Run) -> bytes | None:
    """The card of what was exported before, which has scores, and its owner's words."""
    if isinstance(run, TrainedRun) or not is_exported(Path(run)):
        return None
    return hub.read_card(Path(run))


def _evaluations(home: Path, state: GeneratorState) -> list[StoredEvaluation]:
    """Those of a generator: of other statistics they would be of other images."""
    standing = standing_words(state.config, state.standing_stats)
    return [
        evaluation
        for evaluation in RunDir(home).read_evaluations().values()
        if evaluation["step"] == state.step
        and evaluation["protocol"].get(STANDING) == standing
    ]


def _check_out(out: Path, format: str) -> None:
    """Refuse a place that a format is not written to."""
    suffix = FORMATS[format].suffix
    for name, traits in FORMATS.items():
        if name != format and traits.suffix and traits.suffix == out.suffix.lower():
            words = f"ends in {suffix}" if suffix else "is a folder"
            raise UsageError(f"--out {out}: needs --format {name}; {format} {words}")
    if suffix:
        check_file(out, suffix)
    else:
        check_folder(out)


def _folder_of(run: Run, step: WhichStep | None) -> Path | None:
    """The folder of the run, if it has one."""
    if isinstance(run, TrainedRun):
        return run.path
    if is_exported(Path(run)):
        return None
    return root_of(resolve_checkpoint(Path(run), step))


def fit(
    twin: str,
    make_backend: MakeBackend,
    config: TrainConfig,
    data: ImageData,
    run_dir: str | Path | None,
    options: FitOptions,
) -> TrainedRun:
    """Train; as the twins' ``fit``, with the twin's name and backend."""
    plugin = None
    if options.plugin is not None:  # first: what is stored may name what it registers
        plugin = plugins.load(Path(options.plugin), twin)
    stored = None if options.resume is None else _stored_config(options.resume)
    # That the data are the same as before is told by their digest, not by their name.
    name = data.name if stored is None else stored.dataset
    config = _reading_as(config, data)
    config = dataclasses.replace(config, dataset=name or config.dataset)
    if stored is not None:
        check_resumed(config, stored)
    height, width = data.images.shape[1:3]
    if (size := sizes.normal((height, width))) != config.image_size:
        rule = f"the data's images have size {sizes.text(size)}"
        raise refuse("image_size", config.image_size, rule)
    check_threads(options.threads)
    progress = _PythonProgress() if options.progress else Progress()
    how = handed_on(
        options,
        driver.Options,
        data_dir=None if options.data_dir is None else Path(options.data_dir),
        progress=progress,
        plugin=plugin,
    )
    keeping = Keeping(
        twin=twin,
        write_report=lambda run: _write_report(run, twin, config),
        say=progress.say,
        tensorboard=options.tensorboard,
        plugin=plugin,
        keep=options.keep,
    )
    place = _place(run_dir, options, keeping, config.dataset)
    return driver.train(config, data, make_backend, place, how)


class _PythonProgress(TerminalProgress):
    """In which warnings, too, speak of arguments, not of flags."""

    def say(self, line: str) -> None:
        """Write a line."""
        super().say(without_flags(line))


def _reading_as(config: TrainConfig, data: ImageData) -> TrainConfig:
    """The configuration with the way that the data were read in."""
    asked = reading_of(config)
    if asked not in (Reading(), data.reading):
        raise UsageError(f"config: asks for {asked}, the data are of {data.reading}")
    values = data.reading._asdict()
    return dataclasses.replace(config, dataset=data.name or config.dataset, **values)


def evaluate(
    twin: str,
    make_backend: MakeBackend,
    samples: Run | AnyArray,
    reference: ImageData,
    options: EvaluateOptions,
) -> Evaluation:
    """Score a run's samples, or images; as the twins' ``evaluate``."""
    least_numbers = {
        "num": FEWEST_SCORED,
        "draws": 1,
        "seed": 0,
        "standing_stats": 1,
    }
    for name, least in least_numbers.items():
        value = getattr(options, name)
        if value is not None and not least <= value < 2**63:
            raise UsageError(f"{name} {value}: must be {least} or more, below 2**63")
    _check_against(options, reference)
    if not isinstance(samples, str | os.PathLike | TrainedRun):
        images = as_array("samples", samples)
        return _evaluate_images(make_backend, images, reference, options)
    with about_path("samples", _path_of(samples)):
        state = find_state(twin, samples, options.step)
    if not state.data.has_images_of(reference.info):
        raise UsageError(
            "reference: must be the images that the run was trained on; to compare with"
            " others, give the images of load_generator(run).sample(...)"
        )
    config = state.config
    backend = load_backend(
        state,
        "run",
        make_backend,
        options.device,
        standing_stats=options.standing_stats,
    )
    return _score(backend, config, reference, options, given=None)


def _evaluate_images(
    make_backend: MakeBackend,
    images: NDArray[Any],
    reference: ImageData,
    options: EvaluateOptions,
) -> Evaluation:
    shape = reference.images.shape[1:]
    if reference.name in POINTS or reference.images.dtype != np.uint8:
        raise UsageError(
            "reference: of points in the plane only a run can be evaluated"
        )
    fits = images.dtype == np.uint8 and images.shape[1:] == shape
    if not fits or len(images) < FEWEST_SCORED:
        sides = ", ".join(map(str, shape))
        raise UsageError(
            f"samples of type {images.dtype} and shape {list(images.shape)}: must be"
            f" uint8 [{FEWEST_SCORED} or more, {sides}], as those of the reference"
        )
    if options.num is not None:
        raise UsageError(f"num {options.num}: is for a run; images are scored all")
    if options.step is not None:
        raise UsageError(f"step {options.step}: images have none")
    if options.standing_stats is not None:
        rule = "images have no batch norm"
        raise UsageError(f"standing_stats {options.standing_stats}: {rule}")
    # The smallest: of the backend only the device is needed, which judges.
    config = TrainConfig(
        dataset=reference.name or ARRAYS,
        image_size=shape[:2],
        width=1,
        z_dim=1,
        steps=1,
    )
    backend = make_backend(config, reference.info, options.device)
    options = dataclasses.replace(options, num=len(images), draws=1)
    return _score(backend, config, reference, options, GivenSamples(images))


def _check_against(options: EvaluateOptions, reference: ImageData) -> None:
    against = options.against
    if against is None:
        return
    if options.features == "none" or reference.name in POINTS:
        raise UsageError("against: needs features, by which images are compared")
    shape = reference.images.shape[1:]
    if against.images.dtype != np.uint8 or against.images.shape[1:] != shape:
        raise UsageError(
            f"against: images of shape {list(against.images.shape)}: must be uint8"
            f" {['count', *shape]}, as those of the reference"
        )
    if (count := len(against.images)) < FEWEST_SCORED:
        rule = f"must be {FEWEST_SCORED} or more"
        raise UsageError(f"against: {count} images: {rule}")


def _score(
    backend: Backend,
    config: TrainConfig,
    reference: ImageData,
    options: EvaluateOptions,
    given: GivenSamples | None,
) -> Evaluation:
    folder = None if options.data_dir is None else Path(options.data_dir)
    evaluator = make_evaluator(
        backend,
        config,
        reference,
        folder,
        options.features,
        samples=given,
        standing_stats=options.standing_stats,
        against=options.against,
    )
    num = options.num or evaluator.usual_num
    return evaluation.evaluate(evaluator, num, options.draws, options.seed)


def _stored_config(run: Run) -> TrainConfig:
    if isinstance(run, TrainedRun):
        return run.state.config
    with about("resume"):
        return RunDir.open(Path(run)).config_file.read()[0]


def _place(
    run_dir: str | Path | None, options: FitOptions, keeping: Keeping, dataset: str
) -> Place:
    resume, step, keep = options.resume, options.step, options.keep
    if keep is not None and not is_keep(keep):
        raise UsageError(f"keep {keep}: must be 1 or more, or 'all'")
    if resume is None:
        if step is not None:
            raise UsageError(f"step {step}: needs the run to resume")
        if run_dir is None:
            return _memory(options)
        check_apart("run_dir", Path(run_dir), dataset)
        figures.prepare()
        return NewFolder(Path(run_dir), keeping)
    if run_dir is not None:
        raise UsageError(f"--run-dir {run_dir}: a resumed run stays in its own folder")
    if isinstance(resume, TrainedRun):
        if resume.path is None:
            return _memory(options, find_state(keeping.twin, resume, step))
        resume = resume.path
    figures.prepare()
    return OldFolder(Path(resume), keeping, step, options.allow_new_data)


def _memory(options: FitOptions, state: Checkpoint | None = None) -> Memory:
    """Where nothing is written, to which nothing that is written belongs."""
    for name in ("keep", "tensorboard"):
        if value := getattr(options, name):
            raise UsageError(f"{name} {value}: needs a folder to write to, as run_dir")
    return Memory(state, options.allow_new_data)


def _write_report(run: RunDir, twin: str, config: TrainConfig) -> None:
    prog = f"{twin}.train"
    resume = f"python -m {prog} --resume RUN"
    if config.dataset == ARRAYS:  # which the command cannot have
        resume = f'{twin}.fit(config, data, resume="RUN")'
    page.write_report(run, resume, prog)
