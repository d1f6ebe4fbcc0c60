"""The files of a folder, or of a .zip: which are images, and what is passed over.

A file counts as an image by its extension; without one, as a download that is named by
a digest, by its first bytes. Hidden files and folders are passed over; links are
followed. Whatever is passed over is kept by kind, with names, to be said.
"""

import contextlib
import functools
import importlib
import importlib.util
import io
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from PIL import Image

from shared.errors import UsageError
from shared.words import listed, reason_of

# As much of a file's beginning as the readers of formats look at.
_BEGINNING = 16
# Of a file in a .zip, which is unpacked into memory; no camera's comes near it.
_MOST_BYTES = 2**30
_EXTENSION = re.compile(r"\.[a-z][a-z0-9]{0,4}")
_HEIF = {".heic", ".heif", ".hif"}
# Formats of pictures that Pillow does not read.
_PICTURES = {
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".raw"),
    *(".svg", ".jxl", ".exr", ".hdr", ".dcm", ".czi", ".nd2", ".lif", ".npy", ".npz"),
}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
# What macOS puts into the .zip files that it makes.
_MACOS = "__MACOSX"


def normal(name: str) -> str:
    """A name whose letters are written in one way: é as one sign, where macOS has two.

    Args:
        name: of a file.
    """
    return unicodedata.normalize("NFC", name)


class File(NamedTuple):
    """An image file, in a folder or in a .zip."""

    parts: tuple[str, ...]
    """Its place below the folder."""
    path: Path
    """Where it is; of one in a .zip, the .zip."""
    size: int
    mtime_ns: int
    member: str | None = None
    """What the .zip calls it."""

    @property
    def name(self) -> str:
        """Its place, for people and for files of labels; see `normal`."""
        return normal("/".join(self.parts))

    def open(self, archive: zipfile.ZipFile | None) -> Path | io.BytesIO:
        """What Pillow opens.

        Args:
            archive: the .zip that it is in; None: it is in a folder.

        Raises:
            Exception: the .zip is damaged: whatever Python's library raises.
        """
        if archive is None or self.member is None:
            return self.path
        if self.size > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES >> 30} GiB")
        return io.BytesIO(archive.read(self.member))


class Listing:
    """What a folder or a .zip holds.

    Args:
        root: the folder, or the .zip.
        wanted: names of files in the folder itself whose content is kept.
    """

    def __init__(self, root: Path, wanted: frozenset[str]) -> None:
        self.root = root
        self.wanted = wanted
        self.files: list[File] = []
        """The images, in the order that they are numbered in."""
        self.folders: list[str] = []
        """The immediate subfolders that can be opened."""
        self.passed_over: dict[str, list[str]] = {}
        """The names of what is no image, by what is said of it."""
        self.kept: dict[str, bytes] = {}
        """The content of those that are wanted."""

    @contextlib.contextmanager
    def open(self) -> Iterator[zipfile.ZipFile | None]:
        """The .zip to read files from; None: they lie in a folder."""
        if self.root.is_dir():
            yield None
            return
        with zipfile.ZipFile(self.root) as archive:
            yield archive

    def notes(self) -> list[str]:
        """What is passed over, a line for each kind."""
        total = len(self.files) + sum(map(len, self.passed_over.values()))
        return [
            f"passed over {len(names)} of {total} files, {what}: {listed(names)}"
            for what, names in self.passed_over.items()
        ]

    def pass_over(self, what: str, parts: tuple[str, ...]) -> None:
        """Take in what is no image."""
        self.passed_over.setdefault(what, []).append("/".join(parts))

    def take(self, file: File, read: Callable[[int], bytes]) -> None:
        """Take in a file.

        Args:
            file: the file.
            read: gives so many bytes of its beginning; -1: all of it.
        """
        try:
            if len(file.parts) == 1 and file.parts[0] in self.wanted:
                self.kept[file.parts[0]] = read(-1)
                return
            what = _refusal(file.parts[-1], read)
        except Exception as error:  # of the file system, or of a damaged .zip
            what = _cannot_be_opened(error)
        if what:
            self.pass_over(what, file.parts)
        else:
            self.files.append(file)


def list_files(path: str, wanted: frozenset[str] = frozenset()) -> Listing:
    """What there is in a folder, or in a .zip.

    Args:
        path: the folder or .zip; ``~`` is expanded.
        wanted: names of files in the folder itself whose content is kept.

    Raises:
        UsageError: there is no such folder, it cannot be listed, or is another file.
    """
    try:
        root = Path(path).expanduser().resolve(strict=True)
        listing = Listing(root, wanted)
        if root.is_file():
            _list_zip(listing)
        else:
            _list_folder(listing, root, (), frozenset())
    # RuntimeError: a home directory of nobody, or links in a circle.
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        damaged = isinstance(error, zipfile.BadZipFile)
        reason = "a file that is no whole .zip" if damaged else reason_of(error)
        raise UsageError(
            f"--dataset folder:{path}: must be a folder of images, or a .zip of them"
            f" ({reason})"
        ) from error
    listing.files.sort(key=lambda file: file.parts)
    listing.folders.sort()
    kinds = sorted(listing.passed_over.items())
    listing.passed_over = {what: sorted(names) for what, names in kinds}
    return listing


def _list_folder(
    listing: Listing, folder: Path, place: tuple[str, ...], parents: frozenset[str]
) -> None:
    """Take in a folder, at its place; links back to one of ``parents`` end there."""
    real = os.path.realpath(folder)
    if real in parents:
        listing.pass_over("links to a folder that they are in", place)
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            parts, path = (*place, entry.name), Path(entry.path)
            if entry.name.startswith("."):
                listing.pass_over("hidden", parts)
            elif not _is_folder(entry):
                _take_path(listing, path, parts)
            else:
                try:
                    _list_folder(listing, path, parts, parents | {real})
                except OSError as error:
                    listing.pass_over(_cannot_be_opened(error), parts)
                else:
                    if not place:
                        listing.folders.append(entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _take_path(listing: Listing, path: Path, parts: tuple[str, ...]) -> None:
    try:
        found = path.stat()
    except OSError as error:  # a link to nowhere, or to itself
        listing.pass_over(_cannot_be_opened(error), parts)
        return
    if not stat.S_ISREG(found.st_mode):  # a pipe would wait for a writer
        listing.pass_over("pipes, sockets or devices", parts)
        return

    def read(count: int) -> bytes:
        with path.open("rb") as file:
            return file.read(count)

    listing.take(File(parts, path, found.st_size, found.st_mtime_ns), read)


def _list_zip(listing: Listing) -> None:
    """Take in a .zip; where one folder holds all of it, that is no class."""
    mtime_ns = listing.root.stat().st_mtime_ns
    with zipfile.ZipFile(listing.root) as archive:
        places = {x: PurePosixPath(x.filename).parts for x in archive.infolist()}
        # Of two with one name the last counts, as it does for who unpacks them.
        last = {parts: x for x, parts in places.items()}
        files = [parts for info, parts in places.items() if not info.is_dir()]
        outer = {x[:-1][:1] for x in files if not _is_hidden(x)}
        depth = 1 if len(outer) == 1 and () not in outer else 0
        folders = set()
        for info, place in places.items():
            parts = place[depth:]
            if _is_hidden(place):
                listing.pass_over("hidden", place)
            elif info.is_dir():
                folders.update(parts[:1])
            elif info is not last[place]:
                listing.pass_over("of a name that comes once more", place)
            elif parts:
                folders.update(parts[:-1][:1])
                file = File(
                    parts, listing.root, info.file_size, mtime_ns, info.filename
                )
                listing.take(file, functools.partial(_read_member, archive, info))
    listing.folders = list(folders)


def _is_hidden(place: tuple[str, ...]) -> bool:
    return place[:1] == (_MACOS,) or any(part.startswith(".") for part in place)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(info) as file:
        return file.read(count)


def _cannot_be_opened(error: Exception) -> str:
    return f"cannot be opened ({reason_of(error)})"


@functools.cache
def _extensions() -> frozenset[str]:
    """Extensions of images that can be read, in lower case."""
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in Image.OPEN)


def _refusal(name: str, read: Callable[[int], bytes]) -> str:
    """Why a file is no image; empty: it is one."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _extensions():
        return ""
    if not _EXTENSION.fullmatch(suffix):
        if _begins_like_image(read(_BEGINNING)):
            return ""
        if not suffix[1:].isalpha():  # a date, a digest, a copy's number
            return "no images, and without an extension"
    kind = suffix[1:].upper()
    if suffix in _HEIF:
        return f"{kind}, which need the package pillow-heif (pip install pillow-heif)"
    if suffix in _PICTURES:
        return f"{kind}, which are not read (convert them to PNG)"
    if suffix in _ARCHIVES:
        return f"{kind}, archives (unpack them)"
    return f"{kind}, no images"


def _begins_like_image(beginning: bytes) -> bool:
    def accepts(accept: Callable[[bytes], bool | str] | None) -> bool:
        try:
            return accept is not None and accept(beginning) is True
        except Exception:  # too short for what it looks for
            return False

    return any(accepts(accept) for _, accept in Image.OPEN.values())
