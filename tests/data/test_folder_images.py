"""Data sets of anybody's images: what counts, what is made of it, what is refused."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from shared.data import datasets, image_file
from shared.data.image_data import ImageData
from shared.data.reading import Reading
from shared.errors import UsageError
from shared.sizes import ImageSize

RED, GREY = (200, 30, 40), 90


def save(
    path: Path,
    size: tuple[int, int] = (12, 12),
    colour: int | tuple[int, ...] = GREY,
    mode: str = "L",
    format: str | None = None,
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, format=format)
    return path


def load(folder: Path, tmp_path: Path, size: ImageSize = 8) -> ImageData:
    return datasets.load(f"folder:{folder}", size, tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    return path


def test_subfolders_are_classes_and_nested_files_belong_to_them(
    folder: Path, tmp_path: Path
) -> None:
    save(folder / "dogs" / "a.png", colour=10)
    save(folder / "cats" / "deep" / "deeper" / "b.png", colour=20)
    save(folder / "cats" / "c.png", colour=30)
    (folder / "empty").mkdir()
    data = load(folder, tmp_path)
    assert data.class_names == ("cats", "dogs")
    assert data.labels is not None
    assert data.labels.dtype == np.int32
    assert data.labels.tolist() == [0, 0, 1]
    assert data.images[:, 0, 0, 0].tolist() == [30, 20, 10]
    assert (data.info.channels, data.info.num_classes, data.info.count) == (1, 2, 3)


def test_images_without_subfolders_have_no_labels(folder: Path, tmp_path: Path) -> None:
    save(folder / "b.png", colour=2)
    save(folder / "a.png", colour=1)
    data = load(folder, tmp_path)
    assert data.labels is None
    assert data.class_names == ()
    assert data.info.num_classes == 0
    assert data.images[:, 0, 0, 0].tolist() == [1, 2]


def test_images_beside_subfolders_take_the_labels_away(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(folder / "loose.png")
    save(folder / "cats" / "a.png")
    data = load(folder, tmp_path)
    assert data.labels is None
    assert data.info.count == 2
    assert "1 of 2 images lie beside the subfolders" in capsys.readouterr().err


def test_hidden_files_and_other_extensions_do_not_count(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(folder / "a.PNG", format="PNG")
    save(folder / "b.JpEg", format="JPEG")
    save(folder / ".hidden.png")
    save(folder / ".thumbnails" / "a.png")
    (folder / "._a.png").write_bytes(b"resource fork")
    (folder / "notes.txt").write_text("no image")
    assert load(folder, tmp_path).info.count == 2
    said = capsys.readouterr().err
    hidden = "._a.png, .hidden.png, .thumbnails"
    assert f"passed over 3 of 6 files, hidden: {hidden}\n" in said
    assert "passed over 1 of 6 files, TXT, no images: notes.txt\n" in said


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "elsewhere" / "a.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    save(folder / "own" / "b.png")
    (folder / "own" / "back").symlink_to(folder)
    data = load(folder, tmp_path)
    assert data.class_names == ("linked", "own")
    assert data.info.count == 2


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "channels"),
    [
        ("L", GREY, ".png", 1),
        ("1", 1, ".png", 1),
        ("LA", (GREY, 255), ".png", 1),
        ("I;16", 257 * GREY, ".png", 1),
        ("RGB", (GREY, GREY, GREY), ".png", 3),
        ("RGBA", (*RED, 255), ".png", 3),
        ("CMYK", (0, 255, 255, 0), ".jpg", 3),
    ],
)
def test_the_mode_decides_between_grey_and_colour(
    folder: Path,
    tmp_path: Path,
    mode: str,
    colour: int | tuple[int, ...],
    suffix: str,
    channels: int,
) -> None:
    save(folder / f"a{suffix}", mode=mode, colour=colour)
    assert load(folder, tmp_path).images.shape == (1, 8, 8, channels)


def test_an_image_in_lab_becomes_grey(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.tif", mode="LAB", colour=(128, 0, 0))
    data = datasets.load(f"folder:{folder}", 8, tmp_path / "data", channels="grey")
    assert data.images.shape == (1, 8, 8, 1)
    assert 100 < data.images[0, 0, 0, 0] < 140  # of half the lightness


@pytest.mark.parametrize(("colours", "channels"), [([GREY] * 3, 1), (RED, 3)])
def test_a_palette_is_grey_if_all_its_entries_are(
    folder: Path, tmp_path: Path, colours: tuple[int, ...], channels: int
) -> None:
    image = Image.new("P", (9, 9), 0)
    image.putpalette(list(colours))
    image.save(folder / "a.png")
    data = load(folder, tmp_path)
    assert data.images[0, 4, 4].tolist() == list(colours)[:channels]


def test_one_colour_image_makes_the_set_colour(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.png", colour=GREY)
    save(folder / "b.png", mode="RGB", colour=RED)
    data = load(folder, tmp_path)
    assert data.images[:, 4, 4].tolist() == [[GREY] * 3, list(RED)]


def test_the_central_square_is_kept(folder: Path, tmp_path: Path) -> None:
    pixels = np.zeros((20, 60), np.uint8)
    pixels[:, 20:40] = 255
    Image.fromarray(pixels).save(folder / "wide.png")
    Image.fromarray(pixels.T).save(folder / "tall.png")
    images = load(folder, tmp_path).images
    # The filter of the outermost pixels reaches a little beyond the square.
    assert images[:, 1:-1, 1:-1].min() == 255
    assert images.min() > 230


def corners(width: int, height: int) -> Image.Image:
    """In four colours, each in a corner: what lies where can be told."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[: height // 2, width // 2 :] = 80
    pixels[height // 2 :, : width // 2] = 160
    pixels[height // 2 :, width // 2 :] = 240
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(12, 16), (16, 12), (8, 32)])
def test_rectangles_keep_what_is_up_and_what_is_left(
    folder: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    shapes = (160, 120), (120, 160), (300, 60), (100, 100)
    for width, height in shapes:
        corners(width, height).save(folder / f"{width}x{height}.png")
    # On its side, to be turned by 90 degrees clockwise.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = corners(160, 120).transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "turned.jpg", exif=exif, quality=100)
    data = load(folder, tmp_path, size)
    assert data.images.shape == (5, *size, 1)
    found = data.images[:, [2, 2, -3, -3], [2, -3, 2, -3], 0].astype(int)
    assert abs(found - [0, 80, 160, 240]).max() <= 4
    again = load(folder, tmp_path, size)
    assert isinstance(again.images, np.memmap)
    np.testing.assert_array_equal(again.images, data.images)
    assert list(tmp_path.glob(f"data/cache/folder-*-{size[0]}x{size[1]}"))


@pytest.mark.parametrize(
    ("shape", "size", "is_told"),
    [
        ((160, 90), (12, 16), False),  # 16:9 of 4:3
        ((90, 160), (12, 16), True),
        ((64, 16), (8, 32), False),
    ],
)
def test_what_is_cut_is_told_by_the_shape_that_is_asked_for(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shape: tuple[int, int],
    size: tuple[int, int],
    is_told: bool,
) -> None:
    save(folder / "a.png", shape)
    load(folder, tmp_path, size)
    told = "cut by more than a third to their centre (crop pad or stretch keeps all)"
    assert (told in capsys.readouterr().err) == is_told


def test_a_rectangle_is_padded_or_stretched_to_its_shape(
    folder: Path, tmp_path: Path
) -> None:
    save(folder / "a.png", (40, 40), colour=200)
    for crop, columns in (("pad", 12), ("stretch", 24)):
        data = datasets.load(f"folder:{folder}", (12, 24), tmp_path, crop=crop)
        assert (data.images[0, 6, :, 0] > 100).sum() == columns


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 1000)])
def test_extreme_sizes_are_resized_too(
    folder: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    save(folder / "a.png", size=size)
    np.testing.assert_array_equal(load(folder, tmp_path).images, GREY)


def test_shrinking_is_antialiased(folder: Path, tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(folder / "board.png")
    inner = load(folder, tmp_path).images[0, 1:-1, 1:-1].astype(int)
    assert abs(inner - 127).max() <= 2


def test_a_large_jpeg_is_as_a_full_decode_would_have_it(
    folder: Path, tmp_path: Path
) -> None:
    y, x = np.mgrid[0:600, 0:600] / 600
    wave = 127 + 100 * np.sin(60 * x * x + 50 * y * y)
    pixels = np.stack([wave, 255 * x, 255 * y], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "a.jpg", quality=95)
    got = load(folder, tmp_path, size=64).images[0].astype(int)
    with Image.open(folder / "a.jpg") as image:
        full = image.resize((64, 64), Image.Resampling.BICUBIC)
    # Measured: 2; it would be 12 if the decoder left out as much as it could.
    assert abs(got - np.asarray(full)).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda filed: filed),
        (2, np.fliplr),
        (3, lambda filed: np.rot90(filed, 2)),
        (4, np.flipud),
        (5, lambda filed: np.swapaxes(filed, 0, 1)),
        (6, lambda filed: np.rot90(filed, -1)),
        (7, lambda filed: np.swapaxes(np.rot90(filed, 2), 0, 1)),
        (8, np.rot90),
    ],
)
def test_each_orientation_is_turned_upright(
    orientation: int,
    upright: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    filed = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(filed).save(tmp_path / "a.png", exif=exif)
    expected = upright(filed)
    image, seen = image_file.decode(
        tmp_path / "a.png", expected.shape[:2], 3, Reading()
    )
    np.testing.assert_array_equal(image, expected)
    assert seen.changes == (("turned",) if orientation > 1 else ())


def test_exif_orientation_is_honoured(folder: Path, tmp_path: Path) -> None:
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8] = 255  # the upper half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(folder / "a.jpg", exif=exif, quality=100)
    image = load(folder, tmp_path).images[0, :, :, 0]
    assert image[:, 6:].min() > 250
    assert image[:, :2].max() < 5


def test_transparent_pixels_become_white(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.png", mode="RGBA", colour=(255, 0, 0, 0))
    save(folder / "b.png", mode="RGBA", colour=(255, 0, 0, 51))  # one fifth red
    images = load(folder, tmp_path).images[:, 4, 4]
    assert images.tolist() == [[255, 255, 255], [255, 204, 204]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_is_scaled_by_its_full_range(
    folder: Path, tmp_path: Path, suffix: str
) -> None:
    values = np.repeat(np.array([0, 257 * 77, 65535], np.uint16), 8)
    for name, value in zip("abc", values[::8], strict=True):
        Image.fromarray(np.full((8, 8), value)).save(folder / f"{name}{suffix}")
    assert load(folder, tmp_path).images[:, 4, 4, 0].tolist() == [0, 77, 255]


def test_what_is_transparent_in_16_bit_grey_becomes_white(
    folder: Path, tmp_path: Path
) -> None:
    for name, value in (("a", 1000), ("b", 257 * 77)):
        image = Image.fromarray(np.full((8, 8), value, np.uint16))
        image.save(folder / f"{name}.png", transparency=1000)
    data = load(folder, tmp_path)
    assert data.images[:, 4, 4, 0].tolist() == [255, 77]
    assert data.survey is not None
    assert (
        "1 of 2 images laid on white, as they are transparent: a.png"
        in data.survey.notes
    )


def test_the_first_frame_of_an_animation_is_taken(folder: Path, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in (RED, (0, 0, 255))]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    data = load(folder, tmp_path)
    assert data.images.shape == (1, 8, 8, 3)
    assert data.images[0, 4, 4].tolist() == list(RED)


def damaged(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for suffix in ("png", "jpg"):
        path = folder / f"truncated.{suffix}"
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (folder / "text.png").write_text("no image at all")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    Image.fromarray(np.ones((8, 8), np.float32)).save(folder / "float.tif")
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(folder / "wide.tif")


def test_unreadable_files_are_reported_and_skipped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(folder)
    save(folder / "good.png", mode="RGB", colour=RED)
    data = load(folder, tmp_path)
    assert data.images[:, 4, 4].tolist() == [list(RED)]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        "passed over 1 of 8 files, cannot be opened (No such file or directory):"
        " nowhere.png"
    )
    assert "skipped text.png: not an image" in lines
    assert "skipped float.tif: floating-point pixels have no fixed range" in lines
    assert "skipped wide.tif: pixels of more than 16 bits" in lines
    assert any(line.startswith("skipped truncated.jpg: ") for line in lines)
    assert lines[7] == "6 of 7 image files could not be read and were skipped"


def test_the_report_is_short_however_many_files_are_damaged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(200):
        (folder / f"{i:03}.png").write_bytes(b"x")
    save(folder / "good.png")
    assert load(folder, tmp_path).info.count == 1
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("skipped ") for line in lines) == 10
    assert "200 of 201 image files could not be read and were skipped" in lines


def test_a_class_of_unreadable_files_is_no_class(folder: Path, tmp_path: Path) -> None:
    save(folder / "a" / "1.png", colour=1)
    (folder / "b").mkdir()
    (folder / "b" / "2.png").write_bytes(b"x")
    save(folder / "c" / "3.png", colour=3)
    data = load(folder, tmp_path)
    assert data.class_names == ("a", "c")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 1]


def test_many_images_keep_their_order_and_labels(folder: Path, tmp_path: Path) -> None:
    for i in range(200):
        save(folder / f"class{i % 2}" / f"{i:03}.png", size=(40 - i % 30, 9), colour=i)
    data = load(folder, tmp_path)
    assert data.labels is not None
    assert data.labels.tolist() == [0] * 100 + [1] * 100
    expected: NDArray[np.int64] = np.concatenate(
        [np.arange(0, 200, 2), np.arange(1, 200, 2)]
    )
    np.testing.assert_array_equal(data.images[:, 4, 4, 0], expected)


def test_a_changed_folder_is_read_anew(folder: Path, tmp_path: Path) -> None:
    save(folder / "a.png", colour=1)
    first = load(folder, tmp_path)
    save(folder / "b.png", colour=2)
    second = load(folder, tmp_path)
    save(folder / "b.png", colour=3, size=(13, 12))
    third = load(folder, tmp_path)
    assert first.images[:, 0, 0, 0].tolist() == [1]
    assert second.images[:, 0, 0, 0].tolist() == [1, 2]
    assert third.images[:, 0, 0, 0].tolist() == [1, 3]
    assert len({data.info.sha256 for data in (first, second, third)}) == 3


def test_an_image_that_may_be_read_at_last_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "a.png")
    locked = save(folder / "b.png")
    open_image = Image.open

    def refuse(path: Path, *rest: object) -> Image.Image:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return open_image(path)

    # As for anybody but root, whom no mode keeps out.
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", refuse)
        patch.setattr(os, "access", lambda path, mode: path != locked)
        assert len(load(folder, tmp_path).images) == 1
    assert len(load(folder, tmp_path).images) == 2


def test_an_unchanged_folder_is_not_decoded_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder / "a.png")
    first = load(folder, tmp_path)
    monkeypatch.setattr(Image, "open", None)
    second = load(folder, tmp_path)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.info == second.info


@pytest.mark.parametrize(
    "path", ["missing", "a file.png", "x" * 300, "~nobody-of-this-name/images"]
)
def test_a_missing_folder_is_refused(tmp_path: Path, path: str) -> None:
    save(tmp_path / "a file.png")
    where = path if path.startswith("~") else str(tmp_path / path)
    with pytest.raises(UsageError, match="must be a folder of images") as caught:
        datasets.load(f"folder:{where}", 8, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_a_folder_without_images_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("no image")
    with pytest.raises(UsageError, match="holds no image files"):
        load(folder, tmp_path)


def test_a_folder_of_nothing_but_damaged_images_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    damaged(folder)
    with pytest.raises(UsageError, match="none of its images can be read"):
        load(folder, tmp_path)
    assert not list((tmp_path / "data" / "cache").glob("*/*"))


def test_odd_but_readable_files_make_no_noise(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Pillow warns from this size on, and refuses from twice as many pixels.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    save(folder / "large.png")
    save(folder / "too-large.png", size=(30, 30))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert load(folder, tmp_path).info.count == 1
    assert not caught
    said = capsys.readouterr().err
    assert said.count("skipped ") == 1
    assert said.startswith("skipped too-large.png: ")
    assert "1 of 2 image files could not be read and was skipped\n" in said


def test_decode_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no image")
    with pytest.raises(UnidentifiedImageError):
        image_file.decode(path, 8, 1, Reading())
