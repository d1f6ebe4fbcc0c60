"""Which files of a folder or a .zip are images, and what is passed over, by name."""

import os
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from shared.data import folder_files
from shared.data.folder_files import Listing, list_files
from shared.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def save(path: Path, value: int = 90, format: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 9), value).save(path, format=format)
    return path


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.HEIC", "HEIC, which need the package pillow-heif (pip install pillow-heif"),
        ("a.heif", "HEIF, which need the package pillow-heif"),
        ("a.CR2", "CR2, which are not read (convert them to PNG)"),
        ("a.svg", "SVG, which are not read (convert them to PNG)"),
        ("a.tar", "TAR, archives (unpack them)"),
        ("Thumbs.db", "DB, no images"),
        ("a.mp4", "MP4, no images"),
        ("a.safetensors", "SAFETENSORS, no images"),
        ("README", "no images, and without an extension"),
        ("a.png~", "no images, and without an extension"),
        ("._a.png", "hidden"),
        (".DS_Store", "hidden"),
    ],
)
def test_what_is_no_image_is_passed_over_and_named(
    name: str, what: str, folder: Path
) -> None:
    save(folder / "good.png")
    (folder / name).write_bytes(b"\0\0\0\x18ftypheic")
    listing = list_files(str(folder))
    assert names(listing) == ["good.png"]
    (line,) = listing.notes()
    assert line.startswith(f"passed over 1 of 2 files, {what}")
    assert line.endswith(f": {name}")


def test_there_is_a_line_for_each_kind_however_many_files(folder: Path) -> None:
    save(folder / "a.png")
    for number in range(40):
        (folder / f"IMG_{number:04d}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
        (folder / f"{number}.txt").write_text("a caption")
    lines = list_files(str(folder)).notes()
    assert len(lines) == 2
    assert lines[0].startswith("passed over 40 of 81 files, HEIC, ")
    assert lines[0].endswith(": IMG_0000.HEIC, IMG_0001.HEIC, IMG_0002.HEIC, ...")


@pytest.mark.parametrize(
    "name", ["0a1b2c3d", "photo.jpg_large", "frame.0001", "photo.jpg!d", "x" * 255]
)
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_without_an_extension_the_content_tells(
    name: str, format: str, folder: Path
) -> None:
    save(folder / name, format=format)
    listing = list_files(str(folder))
    assert names(listing) == [name]
    assert listing.notes() == []


@pytest.mark.parametrize("content", [b"", b"P", b"text", b"#!/bin/sh\n", b"\n\n\n"])
def test_other_content_without_an_extension_is_no_image(
    content: bytes, folder: Path
) -> None:
    (folder / "file").write_bytes(content)
    assert names(list_files(str(folder))) == []


def test_a_raw_photo_is_not_taken_for_the_picture_within(folder: Path) -> None:
    save(folder / "a.nef", format="TIFF")
    assert names(list_files(str(folder))) == []


def test_neither_pipes_nor_links_to_themselves_hold_anybody_up(folder: Path) -> None:
    save(folder / "good.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "to-pipe.jpg").symlink_to(folder / "pipe.png")
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "up").symlink_to(folder)
    listing = list_files(str(folder))
    assert names(listing) == ["good.png"]
    assert listing.passed_over == {
        "cannot be opened (Too many levels of symbolic links)": [
            *("itself", "itself.png")
        ],
        "links to a folder that they are in": ["up"],
        "pipes, sockets or devices": ["pipe.png", "to-pipe.jpg"],
    }


def test_a_folder_that_may_not_be_read_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "good.png")
    save(folder / "lost+found" / "a.png")
    scandir = os.scandir

    def refuse(path: Path) -> Iterator[os.DirEntry[str]]:
        if path.name == "lost+found":  # permissions do not bind the root user
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_files(str(folder))
    assert names(listing) == ["good.png"]
    assert listing.folders == []
    assert listing.passed_over == {
        "cannot be opened (Permission denied)": ["lost+found"]
    }
    with pytest.raises(UsageError, match=r"\(Permission denied\)$"):
        list_files(str(folder / "lost+found"))


def test_odd_names_are_printed_in_one_line(folder: Path) -> None:
    (folder / os.fsdecode(b"a\nb\xff.txt")).write_text("")
    save(folder / "good.png")
    (line,) = list_files(str(folder)).notes()
    assert line.endswith("TXT, no images: a\ufffdb\ufffd.txt")


def test_heic_is_read_where_its_library_is_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("pillow_heif")
    # A reader of PNG under that name will do.
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]

    def register() -> None:
        Image.register_extension("PNG", ".heic")

    module.register_heif_opener = register  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    monkeypatch.setattr(Image, "EXTENSION", Image.EXTENSION.copy())
    folder_files._extensions.cache_clear()
    try:
        save(folder / "a.HEIC", format="PNG")
        assert names(list_files(str(folder))) == ["a.HEIC"]
    finally:
        folder_files._extensions.cache_clear()
    assert PngImagePlugin.PngImageFile.format == "PNG"


def zipped(path: Path, members: dict[str, bytes | Path]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            archive.writestr(name, data)
    return path


def test_a_zip_is_as_a_folder(tmp_path: Path) -> None:
    png = save(tmp_path / "a.png")
    members = {
        "cats/b.png": png,
        "cats/a.png": png,
        "dogs/0a1b": png,
        "dogs/a.txt": b"a caption",
        "empty/": b"",
        "__MACOSX/cats/._a.png": b"",
        ".hidden/a.png": png,
    }
    listing = list_files(str(zipped(tmp_path / "x.zip", members)))
    assert names(listing) == ["cats/a.png", "cats/b.png", "dogs/0a1b"]
    assert listing.folders == ["cats", "dogs", "empty"]
    assert listing.passed_over == {
        "TXT, no images": ["dogs/a.txt"],
        "hidden": [".hidden/a.png", "__MACOSX/cats/._a.png"],
    }


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_the_last_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.png": save(tmp_path / "a.png", 50)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a.png", save(tmp_path / "b.png", 123).read_bytes())
    listing = list_files(str(path))
    assert names(listing) == ["a.png"]
    assert listing.notes() == [
        "passed over 1 of 2 files, of a name that comes once more: a.png"
    ]
    with listing.open() as archive, Image.open(listing.files[0].open(archive)) as image:
        assert image.getpixel((0, 0)) == 123


def test_a_folder_around_all_of_a_zip_is_no_class(tmp_path: Path) -> None:
    png = save(tmp_path / "a.png")
    members = {"set/": b"", "set/cats/a.png": png, "set/dogs/a.png": png}
    path = zipped(tmp_path / "x.zip", {**members, "__MACOSX/._a": b""})
    listing = list_files(str(path), frozenset({"dataset.json"}))
    assert names(listing) == ["cats/a.png", "dogs/a.png"]
    assert listing.folders == ["cats", "dogs"]
    labelled = zipped(tmp_path / "y.zip", {**members, "set/dataset.json": b"{}"})
    assert list_files(str(labelled), frozenset({"dataset.json"})).kept == {
        "dataset.json": b"{}"
    }


def test_the_members_of_a_zip_can_be_opened(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"a.png": save(tmp_path / "a.png", 123)})
    listing = list_files(str(path))
    with listing.open() as archive, Image.open(listing.files[0].open(archive)) as image:
        assert image.getpixel((0, 0)) == 123
    huge = listing.files[0]._replace(size=2**31)
    with (
        listing.open() as archive,
        pytest.raises(ValueError, match="larger than 1 GiB"),
    ):
        huge.open(archive)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "(a file that is no whole .zip)"),
        (b"PK\x05\x06" + bytes(18), "holds no image files"),
        (b"PK\x03\x04 cut", "(a file that is no whole .zip)"),
    ],
)
def test_a_file_that_is_no_zip_of_images_is_refused(
    content: bytes, rule: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    from shared.data import folder_images
    from shared.data.reading import Reading

    with pytest.raises(UsageError) as caught:
        folder_images.source(str(path), Reading())
    message = str(caught.value)
    assert message.startswith(f"--dataset folder:{path}: ")
    assert message.endswith(rule)
    assert "\n" not in message
