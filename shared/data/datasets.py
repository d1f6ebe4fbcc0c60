"""Data sets by name: where the images come from; each is resized once and cached."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from shared import sizes, terminal
from shared.config.arguments import from_python, named_as, without_flags
from shared.config.choices import (
    FOLDER,
    POINTS,
    STACKED,
    Channels,
    Crop,
    Split,
    check_dataset_name,
    check_split,
    is_folder,
)
from shared.config.flags import refuse
from shared.config.train_config import TrainConfig, check_pixel_bits, check_reading
from shared.data import folder_images, image_cache, image_sources, points
from shared.data.image_data import ImageData
from shared.data.reading import Reading, reading_of
from shared.errors import UsageError
from shared.sizes import ImageSize


@from_python
def load(
    dataset: str,
    image_size: ImageSize = 32,
    data_dir: str | Path = "data",
    *,
    channels: Channels = "auto",
    crop: Crop = "centre",
    pixel_bits: int | None = None,
    cache_dir: str | Path | None = None,
    trust_cache: bool = False,
    split: Split = "train",
) -> ImageData:
    """The images of a data set, resized, with their labels.

    The first call reads the originals (mnist, fashion-mnist and cifar10 are fetched
    into ``data_dir`` where they are missing) and writes the resized images under
    ``data_dir/cache``; later calls only check that file and map it into memory. What is
    left out or changed of a folder's images is said on stderr, and stands in the
    survey's notes.

    Args:
        dataset: one of `choices.NAMES`, one of `choices.POINTS` (see `points`), or
            ``folder:PATH`` (see `folder_images`).
        image_size: height and width of the images in pixels, as `shared.sizes` has
            them: of squares one number, else a pair.
        data_dir: folder of the fetched files and of the cache; made where missing.
        channels: ``grey``, ``colour``, or ``auto``: in colour if one image is.
        crop: how a folder's images get their shape: by their ``centre``, by ``pad``, in
            black, or by ``stretch``.
        pixel_bits: bits that a folder's images use of each value; None: all.
        cache_dir: folder of the cache; None: as above or, where ``data_dir`` may only
            be read, the user's own.
        trust_cache: leave out the check of the cached images' digest.
        split: ``train``; or ``test``, of which only scores are made.

    Raises:
        UsageError: ``image_size`` is none of `shared.sizes`, ``pixel_bits`` not from 1
            to 16; points are asked for in a size, or other images than a folder's in a
            way of reading; there is no such data set or split, it cannot be fetched or
            holds no readable image, or the cache cannot be written.
    """
    if dataset in POINTS and sizes.normal(image_size) != TrainConfig.image_size:
        rule = f"is for images, which points of {dataset} are not"
        raise refuse("image_size", image_size, rule)
    reading = Reading(channels, crop, pixel_bits)
    caching = Caching(data_dir, cache_dir, trust_cache)
    return _without_flags(read(dataset, image_size, caching, reading, _say, split))


def load_for(
    config: TrainConfig,
    data_dir: Path,
    cache_dir: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    *,
    trust_cache: bool = False,
    split: Split = "train",
) -> ImageData:
    """The training images of a run, or those to test it by; as `load`.

    Args:
        config: the run's configuration.
        data_dir: as for `load`.
        cache_dir: as for `load`.
        say: is told what is left out or changed.
        trust_cache: as for `load`.
        split: as for `load`.
    """
    caching = Caching(data_dir, cache_dir, trust_cache)
    reading = reading_of(config)
    return read(config.dataset, config.image_size, caching, reading, say, split)


class Caching(NamedTuple):
    """Where resized images are kept, and whether they are believed."""

    data_dir: str | Path
    """As for `load`."""
    cache_dir: str | Path | None = None
    """As for `load`."""
    trust_cache: bool = False
    """As for `load`."""


def read(
    dataset: str,
    image_size: ImageSize,
    caching: Caching,
    reading: Reading = Reading(),  # noqa: B008  (it never changes)
    say: Callable[[str], None] = lambda line: None,
    split: Split = "train",
) -> ImageData:
    """The images of a data set, for what names it by a flag; as `load`.

    Args:
        dataset: as for `load`.
        image_size: as for `load`.
        caching: where they are kept.
        reading: how they are read.
        say: is told what is left out or changed.
        split: as for `load`.
    """
    check_dataset_name(dataset)
    check_pixel_bits(reading.pixel_bits)
    check_reading(dataset, reading._asdict())
    check_split(split, dataset)
    if dataset in POINTS:
        return points.load(dataset)._replace(name=dataset)
    image_size = sizes.normal(image_size)
    if not sizes.fits(image_size):
        raise refuse("image_size", image_size, sizes.rule(image_size))

    data_dir = Path(caching.data_dir)
    if is_folder(dataset):
        source = folder_images.source(dataset.removeprefix(FOLDER), reading)
    else:
        if dataset == "digits":
            source = image_sources.digits()
        elif dataset == STACKED:
            source = image_sources.stacked_mnist(data_dir, split)
        else:
            source = image_sources.fetched(dataset, data_dir, split)
        source = image_sources.in_channels(source, reading)
    cache = None if caching.cache_dir is None else Path(caching.cache_dir)
    data = image_cache.load(
        source, image_size, data_dir, cache, say, trust=caching.trust_cache
    )
    # What learns from test images learns from arrays in memory: no command finds them.
    name = dataset if split == "train" else ""
    data = data._replace(name=name, reading=reading, split=split)
    if data.survey is None:
        return data
    survey = data.survey.after(source.notes, source.flags)
    for note in survey.notes:
        say(note)
    return data._replace(survey=survey)


@from_python
def from_folder(
    path: str | Path,
    image_size: ImageSize = 32,
    data_dir: str | Path = "data",
    *,
    channels: Channels = "auto",
    crop: Crop = "centre",
    pixel_bits: int | None = None,
    cache_dir: str | Path | None = None,
) -> ImageData:
    """The images below a folder, as ``--dataset folder:PATH`` reads them.

    Args:
        path: the folder, or a .zip; its subfolders are the classes (see
            `folder_images`).
        image_size: height and width of the images in pixels, as `shared.sizes` has
            them: of squares one number, else a pair.
        data_dir: folder of the cache; made where missing.
        channels: as for `load`.
        crop: as for `load`.
        pixel_bits: as for `load`.
        cache_dir: as for `load`.

    Raises:
        UsageError: ``image_size`` is none of `shared.sizes`, ``pixel_bits`` not from 1
            to 16; there is no such folder, it holds no readable image, or the cache
            cannot be written.
    """
    dataset = f"{FOLDER}{path}"
    reading = Reading(channels, crop, pixel_bits)
    if is_folder(str(path)):
        raise UsageError(f"path {path}: must be without {FOLDER}")
    with named_as(dataset, f"path {path}"):
        caching = Caching(data_dir, cache_dir)
        return _without_flags(read(dataset, image_size, caching, reading, _say))


def _say(line: str) -> None:
    terminal.say(without_flags(line))


def _without_flags(data: ImageData) -> ImageData:
    """The same data, whose survey speaks of arguments."""
    if data.survey is None:
        return data
    notes = list(map(without_flags, data.survey.notes))
    return data._replace(survey=data.survey._replace(notes=notes))
