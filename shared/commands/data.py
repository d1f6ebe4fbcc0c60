"""The command ``data``: what a data set is to a run, in words and in a picture."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.commands.options import DEFAULT_PRESET, DataOptions
from shared.config.arguments import named_as
from shared.config.choices import POINTS
from shared.config.flags import given, twin_of
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.data.image_data import ImageData
from shared.data.reading import Reading
from shared.data.survey import Survey
from shared.drawing import images
from shared.files.atomic import make_folder
from shared.run.outputs import check_apart, check_file, writing

_COLUMNS = 8
_ROWS = 8
_MOST_CLASSES = 100
# Small images are enlarged, so that the picture can be looked at.
_LEAST_PIXELS = 48
_BINS = 128


def describe(options: DataOptions, config: TrainConfig, prog: str) -> None:
    """Print what a run sees of a data set, and write a picture of it.

    Args:
        options: what the user asked for.
        config: how a run would read the data.
        prog: how the user calls the program, to say how to train.

    Raises:
        UsageError: the data cannot be read, or the picture cannot be written where it
            is to be.
    """
    said: list[str] = []
    check_file(options.out, ".png")
    with named_as(config.dataset, f"DATASET {config.dataset}"):
        check_apart("out", options.out, config.dataset)
        data = datasets.load_for(
            config, options.data_dir, options.cache_dir, said.append
        )
    if data.survey is None:
        said += _told_copies(data)
    rows = [*_described(data), ("picture", _draw(data, options))]
    lines = [data.name, ""]
    lines += [f"{title:<9}{text}" for title, text in rows]
    if said:
        lines += ["", *said]
    lines += ["", *_next_command(data, options, config, prog)]
    sys.stdout.write("\n".join(lines) + "\n")


def _described(data: ImageData) -> Iterator[tuple[str, str]]:
    info, (height, width) = data.info, data.images.shape[1:3]
    order = "" if height == width else " (height x width)"
    if data.name in POINTS:
        yield "points", f"{info.count} in the plane"
    else:
        kind = "grey" if info.channels == 1 else "in colour"
        yield "images", f"{info.count} of {height}x{width}{order}, {kind}"
    if data.survey is not None:
        yield from _described_files(data.survey)
    low, high, mean = data.images.min(), data.images.max(), float(data.images.mean())
    yield "values", f"{low:.4g} to {high:.4g}, {mean:.4g} on average"
    if data.labels is None:
        yield "classes", "none"
        return
    names = info.class_names or tuple(map(str, range(info.num_classes)))
    counts = np.bincount(data.labels, minlength=info.num_classes)
    yield "classes", f"{info.num_classes}: id, images, name"
    for number in range(min(info.num_classes, _MOST_CLASSES)):
        yield "", f"{number:>4} {counts[number]:>8}  {names[number]}"
    if info.num_classes > _MOST_CLASSES:
        yield "", f" ... {info.num_classes - _MOST_CLASSES} more"


def _described_files(survey: Survey) -> Iterator[tuple[str, str]]:
    def shown(size: list[int]) -> str:
        return "x".join(map(str, size))

    modes = ", ".join(f"{mode} ({n})" for mode, n in survey.modes.items())
    yield "pixels", f"{modes}, as Pillow calls them"
    sizes = [f"{shown(size)} ({n})" for *size, n in survey.sizes]
    total = sum(survey.modes.values())
    if sum(n for *_, n in survey.sizes) < total:
        yield (
            "sizes",
            f"{shown(survey.smallest)} to {shown(survey.largest)}, the shorter side"
            f" {survey.median} in the middle; most often {', '.join(sizes)}",
        )
    else:
        yield "sizes", ", ".join(sizes)


def _told_copies(data: ImageData) -> list[str]:
    """How many images there are twice, of data that are no files."""
    count = data.info.count
    rows = np.ascontiguousarray(data.images).reshape(count, -1)
    copies = count - len({row.tobytes() for row in rows})
    return [f"{copies} of {count} images are the same as another"] if copies else []


def _draw(data: ImageData, options: DataOptions) -> str:
    """Write the picture; returns what it shows."""
    if data.name in POINTS:
        _save(options.out, _density(data.points.astype(np.float64)))
        return f"{options.out}: where the points lie"
    chosen, words = _choose(data)
    some = np.asarray(data.images[chosen], np.uint8)
    factor = -(-_LEAST_PIXELS // min(some.shape[1:3]))
    large = some.repeat(factor, axis=1).repeat(factor, axis=2)
    _save(options.out, images.grid(large, columns=_COLUMNS))
    return f"{options.out}: {words}, as a run sees them"


def _save(out: Path, picture: NDArray[np.uint8]) -> None:
    with writing(out):
        make_folder(out.parent)
        images.save_png(out, picture)


def _choose(data: ImageData) -> tuple[NDArray[np.intp], str]:
    """Places of some images: evenly, or a row of each class."""
    if data.labels is None:
        most = min(_ROWS * _COLUMNS, data.info.count)
        chosen = np.linspace(0, data.info.count - 1, most).round().astype(np.intp)
        return chosen, f"{most} of {data.info.count} images"
    rows = min(data.info.num_classes, images.MOST_CLASS_ROWS)
    found = [np.flatnonzero(data.labels == label) for label in range(rows)]
    # Of a class with few, some more than once.
    chosen = [
        row[np.linspace(0, len(row) - 1, _COLUMNS).round().astype(int)] for row in found
    ]
    ids = "id 0" if rows == 1 else f"ids 0 to {rows - 1}"
    return np.concatenate(chosen), f"a row of each class, of {ids}"


def _density(points: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """How many points lie where, as an image; y points up."""
    counts, _, _ = np.histogram2d(*points.T, bins=_BINS)
    share = np.sqrt(counts / counts.max()).T[::-1]
    small = np.rint(255 * share).astype(np.uint8)[..., np.newaxis]
    return small.repeat(4, axis=0).repeat(4, axis=1)


def _next_command(
    data: ImageData, options: DataOptions, config: TrainConfig, prog: str
) -> list[str]:
    """The command that trains on the data, with the flags that suit them.

    If these are rather other data, the command that looks at those.
    """
    train = ["python", "-m", f"{twin_of(prog)}.train"]
    if data.name in POINTS:
        return ["A run on it:", f"  {shlex.join([*train, data.name])}"]
    default = PRESETS[DEFAULT_PRESET]
    wished = {} if data.survey is None else data.survey.flags
    names = ("image_size", *Reading._fields)
    reading = {x: wished.get(x, getattr(config, x)) for x in names}
    places = {x: getattr(options, x) for x in ("data_dir", "cache_dir")}
    words = [*given(reading, default), *given(places, DataOptions)]
    if other := wished.get("dataset"):
        look = ["python", "-m", prog, str(other), *words]
        return ["What to look at next:", f"  {shlex.join(look)}"]
    if data.info.count < 2:
        return ["No run on it: a run takes 2 images or more."]
    if data.name != default.dataset:
        words = ["--dataset", data.name, *words]
    if data.info.count < default.batch_size:
        # As large as it can be, of the powers of two.
        words += ["--batch-size", str(1 << (data.info.count.bit_length() - 1))]
    if data.info.num_classes > 1:
        words.append("--conditional")
    return ["A run on it:", f"  {shlex.join([*train, *words])}"]
