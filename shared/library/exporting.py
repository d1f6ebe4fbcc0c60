"""A run's generator, written for others to load."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from shared import plugins
from shared.config.choices import WhichStep
from shared.config.flags import refuse
from shared.config.limits import truncation_rule
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.errors import UsageError
from shared.evaluation.score import STANDING, standing_words
from shared.export import hub
from shared.export.formats import FORMATS, check_format
from shared.files.atomic import write_atomically
from shared.library.generators import GeneratorT, Run, find_generator, load_standing
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.evaluations import StoredEvaluation
from shared.run.exported import is_exported
from shared.run.generator import GeneratorState, generator_of
from shared.run.outputs import check_file, check_folder, placed
from shared.run.run_dir import RunDir
from shared.run.truncation import truncated
from shared.training.driver import TrainedRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How `export` writes, besides what and where."""

    format: str
    step: WhichStep | None
    truncation: float | None
    standing_stats: int | None
    plugin: Path | None = None
    """That the command was given, which must be the run's."""


def export(
    twin: str,
    load: Callable[[Checkpoint | GeneratorState, str], GeneratorT],
    convert: Callable[[GeneratorT, str], bytes],
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
    return checkpoint.root_of(checkpoint.resolve_checkpoint(Path(run), step))
