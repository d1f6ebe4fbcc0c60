"""``folder:PATH``: anybody's images as a data set.

Which files count, says `folder_files`; which classes they have, `folder_labels`. The
set is in colour if one of its images is, else grey. An image is turned upright (EXIF),
laid on white where it is transparent, cut to its centre and resized; of several
pictures in a file the first is taken; 16-bit grey is scaled by its full range. All of
that may be chosen otherwise: `reading`. What is left out or changed is told: `survey`.
"""

import contextlib
import functools
import hashlib
import os
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from shared.data import folder_labels
from shared.data.folder_files import File, Listing, list_files
from shared.data.folder_labels import Labelled
from shared.data.image_file import Decoded, decode
from shared.data.image_sources import Pictures, Source
from shared.data.reading import Reading
from shared.data.survey import Surveyor
from shared.errors import UsageError
from shared.sizes import ImageSize
from shared.words import listed, one_line, reason_of

# Images that are decoded ahead of the writer: enough to keep every thread busy.
_AHEAD = 64
# Raised when folders are read otherwise, so that caches of folders are made anew.
_VERSION = 3


def source(path: str, reading: Reading) -> Source:
    """The images below a folder, or in a .zip.

    Args:
        path: the folder or .zip; ``~`` is expanded.
        reading: how they are read.

    Raises:
        UsageError: there is no such folder, it cannot be listed, holds no images, or
            its file of labels cannot be read.
    """
    listing = list_files(path, frozenset(folder_labels.READERS))
    if not listing.files:
        found = "; ".join(
            f"{len(names)} {what}: {listed(names, 1)}"
            for what, names in listing.passed_over.items()
        )
        found = f" ({found})" if found else ""
        raise UsageError(f"--dataset folder:{path}: holds no image files{found}")
    labelled = folder_labels.label(listing, path)
    fingerprint = hashlib.sha256(repr((_VERSION, labelled.digest)).encode())
    for file, number in zip(labelled.files, labelled.ids, strict=True):
        place = (os.fsencode(file.path), file.member or "")
        line = (*place, file.size, file.mtime_ns, number)
        if not os.access(file.path, os.R_OK):  # which nothing else of it tells
            line += ("unreadable",)
        fingerprint.update(repr(line).encode())
    name = hashlib.sha256(os.fsencode(listing.root)).hexdigest()[:16]
    return Source(
        f"folder-{name}{reading.tag}",
        fingerprint.hexdigest(),
        functools.partial(_open, path, listing, labelled, reading),
        [*listing.notes(), *labelled.notes],
        labelled.flags,
    )


def _open(
    path: str,
    listing: Listing,
    labelled: Labelled,
    reading: Reading,
    image_size: ImageSize,
) -> Pictures:
    files = labelled.files
    with listing.open() as archive, _quiet_pillow():
        has_colour = reading.channels == "auto" and any(
            _is_colour(file, archive) for file in files
        )
    channels = reading.count_channels(has_colour)
    surveyor = Surveyor(reading, channels)

    def pairs() -> Iterator[tuple[NDArray[np.uint8], int]]:
        with listing.open() as archive:

            def read(file: File) -> Decoded:
                return decode(file.open(archive), image_size, channels, reading)

            yield from _told(
                zip(labelled.ids, _ahead(read, files), strict=True), surveyor
            )
        if not surveyor.count:
            raise UsageError(f"--dataset folder:{path}: none of its images can be read")

    return Pictures(
        channels, labelled.class_names, len(files), pairs(), surveyor.finish
    )


def _told(
    read: Iterable[tuple[int, tuple[File, Future[Decoded]]]], surveyor: Surveyor
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Images and class ids in order, of the files that can be read."""
    for number, (file, future) in read:
        if error := future.exception():
            surveyor.skip(file.name, _reason(error))
            continue
        image, seen = future.result()
        surveyor.add(file.name, number, image, seen)
        yield image, number


def _ahead(
    read: Callable[[File], Decoded], files: list[File]
) -> Iterator[tuple[File, Future[Decoded]]]:
    """Read in order, a bounded number ahead of whoever takes the images."""
    pending: deque[tuple[File, Future[Decoded]]] = deque()
    # Threads are enough: Pillow decodes and resizes outside the interpreter's lock.
    with _quiet_pillow(), ThreadPoolExecutor() as pool:
        for file in files:
            pending.append((file, pool.submit(read, file)))
            if len(pending) == _AHEAD:
                yield pending.popleft()
        yield from pending


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """No warnings about what is odd in a file but does not keep it from being read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _is_colour(file: File, archive: zipfile.ZipFile | None) -> bool:
    """Whether the file's header says so; a palette is colour if one entry is."""
    try:
        with Image.open(file.open(archive)) as image:
            if image.mode in {"P", "PA"}:
                palette = np.reshape(image.getpalette("RGB") or [], (-1, 3))
                return bool((palette != palette[:, :1]).any())
            return Image.getmodebase(image.mode) == "RGB"
    except Exception:  # told when it is decoded
        return False


def _reason(error: BaseException) -> str:
    """What is wrong with a file, in one line that does not repeat its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return one_line(reason_of(error)) or type(error).__name__
