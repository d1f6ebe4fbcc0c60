"""Resized images on disk: written once, atomically, then mapped into memory.

``data_dir/cache/NAME-SIZE`` holds ``images.npy`` (uint8, [count, height, width,
channels]), ``labels.npy`` (int32, where there are classes) and ``info.json``.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np

from shared import sizes, terminal
from shared.config.values import conform, printable
from shared.data import caches
from shared.data.image_data import DataInfo, ImageData, digest, names_beyond_ids
from shared.data.image_sources import Pictures, Source
from shared.data.survey import Survey
from shared.errors import UsageError
from shared.files import locks
from shared.files.atomic import make_folder, new_folder, sync
from shared.files.reading import check_regular, read_object
from shared.sizes import ImageSize
from shared.words import legible, listed, one_line, reason_of

# Raised when resizing or the files' layout change, so that old caches are rebuilt.
FORMAT_VERSION = 1


def load(
    source: Source,
    image_size: ImageSize,
    data_dir: Path,
    cache_dir: Path | None = None,
    say: Callable[[str], None] = terminal.say,
    *,
    trust: bool = False,
) -> ImageData:
    """The images of ``source``, from the cache, which is built where there is none.

    A cache that is damaged is built anew, with a line on stderr.

    Args:
        source: where the images come from.
        image_size: height and width in pixels.
        data_dir: as for `caches.places`.
        cache_dir: likewise.
        say: is told where the images are kept, if nobody has said it, and that what
            was kept is damaged.
        trust: leave out the digest where size and time of the files are as they were.

    Raises:
        UsageError: the cache cannot be written, or the source cannot be read.
    """
    image_size = sizes.normal(image_size)
    key = hashlib.sha256(
        repr((FORMAT_VERSION, source.name, source.fingerprint, image_size)).encode()
    ).hexdigest()
    name = f"{source.name}-{sizes.text(image_size)}"
    places = caches.places(data_dir, cache_dir)
    for place in places:
        try:
            if data := _read(place / name, key, image_size, trust):
                return data
        except _SpoiltError:
            pass  # said by who repairs it
    cache = caches.first_writable(places)
    if cache != places[0]:
        say(
            f"{legible(data_dir)} may only be read: resized images are kept in"
            f" {legible(cache)}"
        )
    try:
        make_folder(cache)
        # One process builds, the others wait and read; a lock dies with its process.
        with locks.acquire(cache / f"{source.name}.lock", say):
            folder = cache / name
            try:
                if data := _read(folder, key, image_size, trust):
                    return data
            except _SpoiltError as error:
                say(
                    f"{legible(folder)}: the cached images are damaged ({error}); made"
                    " anew from the originals"
                )
            return _build(folder, key, source, image_size)
    except OSError as error:
        where, hint = f"--data-dir {data_dir}", "; --cache-dir names another"
        if cache_dir is not None:
            where, hint = f"--cache-dir {cache_dir}", ""
        raise UsageError(
            f"{where}: must be a folder that can hold the cache of resized images"
            f" ({reason_of(error)}){hint}"
        ) from error


class _Stamp(NamedTuple):
    """Changes whenever a file does."""

    size: int
    mtime_ns: int


def _stamps(folder: Path) -> list[_Stamp]:
    stats = [path.stat() for path in sorted(folder.glob("*.npy"))]
    return [_Stamp(stat.st_size, stat.st_mtime_ns) for stat in stats]


class _Info(TypedDict):
    """What ``info.json`` holds."""

    key: str
    """Of the source and the format."""
    class_names: list[str]
    sha256: str
    """As `digest` gives it."""
    stamps: list[tuple[int, int]]
    """Of the other files, in the order of their names."""
    survey: NotRequired[Survey]
    """Of a folder's images."""


class _SpoiltError(Exception):
    """The cache is not what was built."""


def _read(
    folder: Path, key: str, image_size: ImageSize, trust: bool
) -> ImageData | None:
    """What `_build` left, or None where it is missing or of another key.

    Raises:
        _SpoiltError: it is not what was built.
    """
    if not os.path.lexists(folder / "info.json"):
        return None
    try:
        info = conform(read_object(folder / "info.json"), _Info)
        if info["key"] != key:
            return None
        data = _map(folder, tuple(info["class_names"]), info["sha256"])
        if (wrong := _fault(data, image_size)) is not None:
            raise _SpoiltError(wrong)
        # Once a run: half a gigabyte a second or more, so 0.3 s for CIFAR-10 at 32x32
        # and 5 s for 200,000 photographs at 64x64; else a bit that has flipped on the
        # disk is trained on, and so is whatever keeps the files' size and time.
        untouched = info["stamps"] == _stamps(folder)
        if (trust and untouched) or digest(data.images, data.labels) == info["sha256"]:
            return data._replace(survey=info.get("survey"))
    except _SpoiltError:
        raise
    except Exception as error:  # damage has as many faces as the parsers have errors
        reason = printable(one_line(error), most=100)
        raise _SpoiltError(reason) from error
    raise _SpoiltError("contents and digest disagree")


def _fault(data: ImageData, image_size: ImageSize) -> str | None:
    """What no cache of such images can be; None: nothing."""
    images, labels = data.images, data.labels
    is_of_size = images.shape[1:3] == sizes.height_and_width(image_size)
    if images.dtype != np.uint8 or not is_of_size or images.shape[3] not in (1, 3):
        return f"images of type {images.dtype} and shape {images.shape}"
    if labels is None:
        return None
    if labels.dtype != np.int32 or labels.shape != (len(images),):
        return f"labels of type {labels.dtype} and shape {labels.shape}"
    if labels.min() < 0 or labels.max() >= len(data.class_names):
        return f"labels {labels.min()} to {labels.max()} of {data.info.num_classes}"
    return None


def _map(folder: Path, class_names: tuple[str, ...], sha256: str) -> ImageData:
    def open_array(name: str) -> np.ndarray:
        check_regular(folder / name)
        return np.load(folder / name, mmap_mode="r")

    images = open_array("images.npy")
    # A map first: a header may promise more than the file, and the memory, holds.
    labels = np.array(open_array("labels.npy")) if class_names else None
    info = DataInfo(
        channels=images.shape[3],
        num_classes=len(class_names),
        count=len(images),
        sha256=sha256,
        class_names=names_beyond_ids(class_names),
    )
    return ImageData(images, labels, class_names, info)


def _build(folder: Path, key: str, source: Source, image_size: ImageSize) -> ImageData:
    """Write the cache beside its place, then move it there in one step."""
    with new_folder(folder) as partial:
        pictures = source.open(image_size)
        class_names = _write(partial, source.name, pictures, image_size)
        data = _map(partial, class_names, "")
        info: dict[str, Any] = {
            "key": key,
            "class_names": class_names,
            "sha256": digest(data.images, data.labels),
            "stamps": _stamps(partial),
        }
        survey = None
        if pictures.survey is not None:
            survey = pictures.survey()
            survey.notes.extend(_told_lost(pictures.class_names, class_names))
            info["survey"] = survey._asdict()
        del data  # an open map would keep Windows from moving the folder
        with (partial / "info.json").open("wb") as file:
            file.write(json.dumps(info).encode())
            sync(file)
    return _map(folder, class_names, info["sha256"])._replace(survey=survey)


def _told_lost(names: tuple[str, ...], kept: tuple[str, ...]) -> list[str]:
    """Classes all of whose files are unreadable."""
    lost = [name for name in names if name not in kept]
    return [f"no class, as no image of it can be read: {listed(lost)}"] if lost else []


def _write(
    folder: Path, name: str, pictures: Pictures, image_size: ImageSize
) -> tuple[str, ...]:
    """Write images and labels; returns the names of the classes that occur."""

    def header(count: int) -> dict[str, Any]:
        shape = (count, *sizes.height_and_width(image_size), pictures.channels)
        return {"descr": "|u1", "fortran_order": False, "shape": shape}

    ids: list[int] = []
    with (folder / "images.npy").open("wb") as file:
        # The count is known only at the end. NumPy pads headers so that the first axis
        # can grow in place.
        np.lib.format.write_array_header_1_0(file, header(0))
        for image, label in terminal.bar(
            pictures.pairs,
            desc=f"resizing {name}",
            total=pictures.total,
            unit="image",
            delay=1,
            leave=False,
        ):
            file.write(image.data)
            ids.append(label)
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header(len(ids)))
        sync(file)
    if not pictures.class_names:
        return ()
    # A class all of whose files are unreadable is no class.
    kept, labels = np.unique(ids, return_inverse=True)
    with (folder / "labels.npy").open("wb") as file:
        np.save(file, labels.astype(np.int32))
        sync(file)
    return tuple(pictures.class_names[i] for i in kept)
