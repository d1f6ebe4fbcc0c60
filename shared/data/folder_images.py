"""``folder:PATH``: anybody's images as a data set.

Every file below the folder counts, however deep, that has an extension which Pillow
reads; hidden files and folders are left out, links are followed. The immediate
subfolders are the classes, sorted by name. Images in the folder itself belong to no
class: where there are any, the whole set has no labels. The set is in colour if one of
its images is, else grey. An image is turned upright (EXIF), laid on white where it is
transparent, cut to its central square and resized. Of an animation the first frame is
taken; 16-bit grey is scaled by its full range. Files that cannot be read are reported
and skipped.
"""

import contextlib
import functools
import hashlib
import os
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from shared import terminal
from shared.data.image_sources import Pictures, Source, resize
from shared.errors import UsageError

# Images that are decoded ahead of the writer: enough to keep every thread busy.
_AHEAD = 64
_REPORTED = 10


class _File(NamedTuple):
    path: Path
    size: int
    mtime_ns: int


def source(path: str) -> Source:
    """The images below a folder.

    Args:
        path: the folder; ``~`` is expanded.

    Raises:
        UsageError: there is no such folder, it cannot be listed, or it holds no images.
    """
    try:
        folder = Path(path).expanduser().resolve(strict=True)
        files = sorted(_find(folder), key=lambda file: file.path.parts)
    # RuntimeError: a home directory of nobody, or links in a circle.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"--dataset folder:{path}: must be a folder of images ({reason})"
        ) from error
    if not files:
        raise UsageError(f"--dataset folder:{path}: holds no image files")
    fingerprint = hashlib.sha256()
    for file in files:
        line = (os.fsencode(file.path), file.size, file.mtime_ns)
        fingerprint.update(repr(line).encode())
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Source(
        f"folder-{name}",
        fingerprint.hexdigest(),
        functools.partial(_open, folder, files),
    )


@functools.cache
def _extensions() -> frozenset[str]:
    """Extensions that Pillow can read, in lower case."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in Image.OPEN)


def _find(folder: Path, parents: frozenset[str] = frozenset()) -> Iterator[_File]:
    """Image files below ``folder``; links back to one of ``parents`` end there."""
    real = os.path.realpath(folder)
    if real in parents:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _find(path, parents | {real})
            elif path.suffix.lower() not in _extensions():
                continue
            elif entry.is_file():
                stat = entry.stat()
                yield _File(path, stat.st_size, stat.st_mtime_ns)
            elif entry.is_symlink():  # to nowhere; reported when it cannot be opened
                yield _File(path, -1, -1)


def _open(folder: Path, files: list[_File], image_size: int) -> Pictures:
    paths = [file.path for file in files]
    loose = [path for path in paths if path.parent == folder]
    class_names: tuple[str, ...] = ()
    ids = [0] * len(paths)
    if not loose:
        of_path = [path.relative_to(folder).parts[0] for path in paths]
        class_names = tuple(sorted(set(of_path)))
        id_of = {name: i for i, name in enumerate(class_names)}
        ids = [id_of[name] for name in of_path]
    elif len(loose) < len(paths):
        terminal.say(
            f"{folder}: {len(loose)} of {len(paths)} images lie beside the subfolders,"
            " so the data set has no labels"
        )
    with _quiet_pillow():
        channels = 3 if any(map(_is_colour, paths)) else 1
    pairs = _decode_all(folder, paths, ids, image_size, channels)
    return Pictures(channels, class_names, len(paths), pairs)


@contextlib.contextmanager
def _quiet_pillow() -> Iterator[None]:
    """No warnings about what is odd in a file but does not keep it from being read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _is_colour(path: Path) -> bool:
    """Whether the file's header says so; a palette is colour if one entry is."""
    try:
        with Image.open(path) as image:
            if image.mode in {"P", "PA"}:
                palette = np.reshape(image.getpalette("RGB") or [], (-1, 3))
                return bool((palette != palette[:, :1]).any())
            return Image.getmodebase(image.mode) == "RGB"
    except Exception:  # reported when it is decoded
        return False


def _decode_all(
    folder: Path, paths: list[Path], ids: list[int], image_size: int, channels: int
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Images and class ids in order; files that cannot be read are reported.

    Raises:
        UsageError: no file could be read.
    """
    skipped = 0
    futures = _decode_ahead(paths, image_size, channels)
    for path, label, future in zip(paths, ids, futures, strict=True):
        if error := future.exception():
            skipped += 1
            if skipped <= _REPORTED:
                terminal.say(f"skipped {path.relative_to(folder)}: {_reason(error)}")
        else:
            yield future.result(), label
    if skipped:
        terminal.say(
            f"{folder}: {skipped} of {len(paths)} image files could not be read and"
            " were skipped"
        )
    if skipped == len(paths):
        raise UsageError(f"--dataset folder:{folder}: none of its images can be read")


def _decode_ahead(
    paths: list[Path], image_size: int, channels: int
) -> Iterator[Future[NDArray[np.uint8]]]:
    """Decode in order, a bounded number ahead of whoever takes the images."""
    pending: deque[Future[NDArray[np.uint8]]] = deque()
    # Threads are enough: Pillow decodes and resizes outside the interpreter's lock.
    with _quiet_pillow(), ThreadPoolExecutor() as pool:
        for path in paths:
            pending.append(pool.submit(decode, path, image_size, channels))
            if len(pending) == _AHEAD:
                yield pending.popleft()
        yield from pending


def _reason(error: BaseException) -> str:
    """What is wrong with a file, in one line that does not repeat its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(reason.split())


def decode(path: Path, image_size: int, channels: int) -> NDArray[np.uint8]:
    """One image file, upright, opaque, square and resized.

    Args:
        path: the file.
        image_size: height and width of the result in pixels.
        channels: 1 (grey) or 3 (colour).

    Returns:
        Shape [image_size, image_size, channels].

    Raises:
        Exception: the file is damaged or no image: whatever Pillow's plugins raise.
    """
    with Image.open(path) as image:
        # Lets a JPEG decoder leave out what is far finer than the result: several times
        # as fast on photographs; a factor of 3 leaves no visible difference.
        image.draft(None, (3 * image_size, 3 * image_size))
        ImageOps.exif_transpose(image, in_place=True)
        opaque = _opaque(image).convert("RGB" if channels == 3 else "L")
    return resize(opaque, image_size)


def _opaque(image: Image.Image) -> Image.Image:
    """The image in 8 bits for each channel, laid on white where it is transparent."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode.startswith("I"):  # 16-bit grey, some of which Pillow keeps in 32 bits
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("pixels of more than 16 bits")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
