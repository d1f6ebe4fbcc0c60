"""New images from a run of either twin."""

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import plugins, terminal
from shared.backend import Backend, MakeBackend
from shared.commands.options import SampleOptions
from shared.config.choices import POINTS
from shared.config.flags import refuse
from shared.config.limits import check_drawn, truncation_rule
from shared.config.values import printable
from shared.data import points
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.drawing.samples import draw_images, draw_points
from shared.errors import UsageError
from shared.files.atomic import make_folder
from shared.randomness.latents import draw_latents, great_circle, latent_truncation
from shared.run import checkpoint
from shared.run.outputs import check_file, check_folder, placed
from shared.run.restore import load_backend
from shared.words import legible, suggestion

# Of a grid, unless the user says otherwise or there are classes.
_ROWS = 8


def sample(options: SampleOptions, make_backend: MakeBackend) -> None:
    """Draw images from a checkpoint and write a grid, or one file for each.

    Points in the plane are drawn over their density, beside D's landscape.

    Args:
        options: what the user asked for.
        make_backend: makes the twin's backend.

    Raises:
        UsageError: there is no such checkpoint, class, device or batch norm, there are
            fewer images than classes, latents are cut off too near to 0, points are to
            be written to a file each, or ``--out`` names what it must not.
    """
    path, stored = checkpoint.find(options.run, options.step)
    plugins.check_drawn_with(options.plugin, stored.plugin)
    config = stored.config
    if (rule := truncation_rule(config, options.truncation)) is not None:
        raise refuse("truncation", options.truncation, rule)
    if config.dataset in POINTS and options.separate:
        raise UsageError("--separate: points in the plane are drawn in one picture")
    if options.out is not None:
        _check_out(options.out, options.separate)
    classes = _classes(options, stored)
    rows = len(classes) if classes else _ROWS
    num = options.num or rows * options.columns
    check_drawn(num, config)
    truncation = latent_truncation(config, options.truncation)
    z = _latents(options, num, config.z_dim, truncation)
    labels = _labels(options, num, classes)
    backend = load_backend(
        stored,
        str(path),
        make_backend,
        options.device,
        devices=options.devices,
        standing_stats=options.standing_stats,
        truncation=options.truncation,
    )
    with backend.helped() as leads:
        if leads:
            _say_which(options, stored.data)
            _draw(options, stored, path, backend, z, labels)


def _check_out(out: Path, separate: bool) -> None:
    if separate:
        check_folder(out)
    else:
        check_file(out, ".png")


def _draw(
    options: SampleOptions,
    stored: checkpoint.Checkpoint,
    path: Path,
    backend: Backend,
    z: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
) -> None:
    config, name = stored.config, _usual_name(options, stored.step)
    place = placed(options.out, checkpoint.root_of(path) / "drawn" / name)
    if config.dataset in POINTS:
        real = points.load(config.dataset).points
        write = draw_points(backend, config, real, z, labels, stored.step)
    else:
        write = functools.partial(_save, draw_images(backend, z, labels), options)
    with place as out:
        write(out)
    terminal.say(f"drawn: {legible(out)}")


def _save(drawn: NDArray[np.uint8], options: SampleOptions, out: Path) -> None:
    if options.separate:
        make_folder(out)
        for number, image in enumerate(drawn):
            images.save_png(out / f"{number:06d}.png", image)
    else:
        images.save_png(out, images.grid(drawn, columns=options.columns))


def _latents(
    options: SampleOptions, num: int, z_dim: int, truncation: float | None
) -> NDArray[np.float32]:
    """Independent latents or, with --interpolate, rows of paths between pairs."""
    rows = num // options.columns
    ends = draw_latents(
        options.seed,
        "drawn samples",
        0,
        2 * rows if options.interpolate else num,
        z_dim,
        truncation,
    )
    if not options.interpolate:
        return ends
    paths = [
        great_circle(start, end, options.columns)
        for start, end in zip(ends[::2], ends[1::2], strict=True)
    ]
    return np.concatenate(paths)


def _classes(options: SampleOptions, stored: checkpoint.Checkpoint) -> tuple[int, ...]:
    """The classes to draw: those asked for, or all; none of an unconditional run."""
    if not stored.config.conditional:
        if options.labels:
            raise UsageError(
                f"--labels {printable(options.labels)}: the run is not conditional, its"
                " generator takes no labels"
            )
        return ()
    chosen = tuple(_class_id(x, stored.data) for x in _chosen(options, stored.data))
    return chosen or tuple(range(stored.data.num_classes))


def _chosen(options: SampleOptions, data: DataInfo) -> list[str]:
    """Ids and names that were asked for: one name whole, else what commas join."""
    if not options.labels or options.labels in data.class_names:
        return [options.labels] if options.labels else []
    return [label.strip() for label in options.labels.split(",")]


def _class_id(label: str, data: DataInfo) -> int:
    """The id of a class, which is given as such or by name."""
    number = _number(label)
    if number is not None and number < data.num_classes:
        return number
    if number is not None:
        named = "".join(f"; {x}" for x in _named(number, data))
        raise UsageError(
            f"--labels {number}: must be below {data.num_classes}, the number of"
            f" classes{named}"
        )
    if label in data.class_names:
        return data.class_names.index(label)
    names = ", ".join(data.class_names) or "none"
    raise UsageError(
        f"--labels {printable(label)}: must be class ids from 0 up, as in 3,7, or"
        f" names; has {names}{suggestion(label, data.class_names)}"
    )


def _number(text: str) -> int | None:
    """The number that a text is; None of other names, and of what no id can be."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _named(number: int, data: DataInfo) -> list[str]:
    """What is to be said of classes that have this number as their name, not as id."""
    return [
        f"the class named {name} is id {id_}"
        for id_, name in enumerate(data.class_names)
        if id_ != number and _number(name) == number
    ]


def _say_which(options: SampleOptions, data: DataInfo) -> None:
    """Say what a number stands for, where it is another class's name."""
    for number in dict.fromkeys(map(_number, _chosen(options, data))):
        if number is not None and (named := _named(number, data)):
            words = [f"id {number}, the class named {data.class_names[number]}", *named]
            terminal.say(f"--labels {number}: {'; '.join(words)}")


def _labels(
    options: SampleOptions, num: int, classes: tuple[int, ...]
) -> NDArray[np.int32] | None:
    """A class for each row, in turn; with fewer rows than that, even shares.

    Of all classes some may be left out, of those that were asked for none.
    """
    if not classes:
        return None
    rows = -(-num // options.columns)
    if rows >= len(classes):
        turns = np.arange(num) // options.columns % len(classes)
    else:
        # A path between latents stays within its class.
        unit = options.columns if options.interpolate else 1
        least = len(classes) * unit
        if options.labels and num < least:
            each = "a path" if options.interpolate else "one"
            raise refuse("num", num, f"must be {least} or more, {each} for each class")
        turns = np.arange(num) // unit * least // num
    return np.asarray(classes, np.int32)[turns]


def _usual_name(options: SampleOptions, step: int) -> str:
    kind = "interpolation" if options.interpolate else "samples"
    suffix = "" if options.separate else ".png"
    return f"{step:06d}-{kind}-seed{options.seed}{suffix}"
