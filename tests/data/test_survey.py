"""What is changed of images on the way in is said by kind and count, or chosen."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from shared.data import datasets
from shared.data.image_data import ImageData
from shared.data.survey import Survey

_RNG = np.random.default_rng(0)
NOISE = _RNG.integers(100, 256, (16, 16, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    # Two images of which nothing is to be said.
    for name in ("ordinary", "other"):
        Image.fromarray(_RNG.integers(0, 256, (16, 16, 3), np.uint8)).save(
            path / f"{name}.png"
        )
    return path


def load(folder: Path, size: int = 8, **reading: Any) -> ImageData:
    return datasets.load(f"folder:{folder}", size, folder.parent / "data", **reading)


def survey(folder: Path, size: int = 8, **reading: Any) -> Survey:
    found = load(folder, size, **reading).survey
    assert found is not None
    return found


def png16(values: NDArray[Any], *more: NDArray[Any]) -> bytes:
    """A PNG of 16 bits: grey; grey and alpha; or red, green, blue."""
    planes = [values, *more]
    rows = np.stack(planes, -1).astype(">u2").reshape(len(values), -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = values.shape
    kind = {1: 0, 2: 4, 3: 2}[len(planes)]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE).save(path, "JPEG", exif=exif)


def transparent(path: Path) -> None:
    alpha = np.full((16, 16, 1), 200, np.uint8)
    Image.fromarray(np.concatenate([NOISE, alpha], axis=2)).save(path, "PNG")


def animated(path: Path) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:], lossless=True)


def paged(path: Path) -> None:
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    frames[0].save(path, "TIFF", save_all=True, append_images=frames[1:])


def cmyk(path: Path) -> None:
    Image.fromarray(NOISE).convert("CMYK").save(path, "JPEG")


def profiled(path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    Image.fromarray(NOISE).save(path, "PNG", icc_profile=lab)


def deep(path: Path) -> None:
    path.write_bytes(png16(*(NOISE.transpose(2, 0, 1).astype(int) * 257)))


def grey(path: Path) -> None:
    Image.fromarray(NOISE[..., 0]).save(path, "PNG")


def wide(path: Path) -> None:
    Image.fromarray(NOISE[:10]).save(path, "PNG")


def small(path: Path) -> None:
    Image.fromarray(NOISE[:7, :7]).save(path, "PNG")


def plain(path: Path) -> None:
    Image.new("RGB", (16, 16), (50, 60, 70)).save(path, "PNG")


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (turned, "turned upright, as their EXIF orientation says"),
        (transparent, "laid on white, as they are transparent"),
        (animated, "taken at their first picture, as they hold several"),
        (paged, "taken at their first picture, as they hold several"),
        (cmyk, "made RGB from CMYK, without their colour profile"),
        (profiled, "taken without their colour profile, which is another than sRGB"),
        (deep, "taken at the upper 8 of their 16 bits, as they have colour or"),
        (grey, "made colour, as others have colour (channels grey makes all grey)"),
        (wide, "cut by more than a third to the central square (crop pad or"),
        (small, "enlarged, as they are smaller than image_size"),
        (plain, "of a single colour throughout"),
    ],
)
def test_a_change_is_said_with_its_count_and_names(
    draw: Any, words: str, folder: Path
) -> None:
    assert survey(folder).notes == []
    # By content: what is said does not depend on what a file is called.
    draw(folder / "one")
    draw(folder / "two")
    lines = [line for line in survey(folder).notes if "the same as another" not in line]
    assert lines[0].startswith(f"2 of 4 images {words}")
    assert lines[0].endswith(": one, two")
    assert len(lines) == 1


def test_what_is_said_is_said_again_from_the_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned(folder / "a")
    first = survey(folder)
    monkeypatch.setattr(Image, "open", None)
    assert survey(folder) == first


def test_sizes_and_kinds_of_pixels_are_counted(folder: Path) -> None:
    grey(folder / "a")
    wide(folder / "b")
    found = survey(folder)
    assert found.modes == {"RGB": 3, "L": 1}
    assert found.sizes == [[16, 16, 3], [16, 10, 1]]
    assert (found.smallest, found.median, found.largest) == ([16, 10], 16, [16, 16])


def test_copies_are_counted_and_named(folder: Path) -> None:
    grey(folder / "a")
    grey(folder / "b")
    paged(folder / "c")
    animated(folder / "d")
    notes = survey(folder).notes
    assert "2 of 6 images are the same as another, once resized: b = a, d = c" in notes


def test_a_copy_in_another_class_is_a_contradiction(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        grey(tmp_path / name / "a.png")
    wide(tmp_path / "dog" / "b.png")
    found = datasets.load(f"folder:{tmp_path}", 8, tmp_path / ".data").survey
    assert found is not None
    line = "1 of 3 images are in another class too: dog/a.png = cat/a.png"
    assert line in found.notes


def test_one_image_over_and_over_is_said(tmp_path: Path) -> None:
    for number in range(5):
        grey(tmp_path / f"{number}.png")
    assert survey(tmp_path).notes == ["all 5 images are one and the same"]


@pytest.mark.parametrize("quality", [20, 95])
def test_grey_scans_in_colour_files_are_noticed(quality: int, tmp_path: Path) -> None:
    scan = Image.fromarray(NOISE[..., 0]).convert("RGB")
    scan.save(tmp_path / "a.jpg", quality=quality)
    found = survey(tmp_path)
    assert found.flags == {"channels": "grey"}
    assert any(line.startswith("all images are grey, though") for line in found.notes)
    data = load(tmp_path, channels="grey")
    assert data.info.channels == 1
    assert data.survey is not None
    assert data.survey.flags == {}


def test_channels_are_as_they_are_asked_for(folder: Path) -> None:
    grey(folder / "a")
    auto, chosen = load(folder), load(folder, channels="grey")
    assert (auto.info.channels, chosen.info.channels) == (3, 1)
    expected = np.asarray(Image.fromarray(np.asarray(auto.images[0])).convert("L"))
    assert abs(expected.astype(int) - chosen.images[0, ..., 0]).max() <= 1
    assert load(folder, channels="colour").info == auto.info
    grey(folder.parent / "alone.png")
    alone = folder.parent / "alone"
    alone.mkdir()
    grey(alone / "a.png")
    assert load(alone).info.channels == 1
    assert load(alone, channels="colour").info.channels == 3


@pytest.mark.parametrize(
    ("channels", "mode"), [("auto", "L"), ("grey", "L"), ("colour", "RGB")]
)
def test_named_sets_have_channels_too(
    channels: Any, mode: str, data_dir: Path, tmp_path: Path
) -> None:
    usual = datasets.load("digits", 8, data_dir)
    data = datasets.load("digits", 8, tmp_path, channels=channels)
    picture = Image.fromarray(np.asarray(usual.images[3, ..., 0])).convert(mode)
    np.testing.assert_array_equal(data.images[3].squeeze(), np.asarray(picture))
    assert (data.info == usual.info) == (mode == "L")


def test_ways_to_become_square(tmp_path: Path) -> None:
    pixels = np.full((16, 48), 200, np.uint8)
    pixels[:, 16:32] = 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    centre = load(tmp_path, 16, crop="centre").images[0, ..., 0]
    pad = load(tmp_path, 16, crop="pad").images[0, ..., 0]
    stretch = load(tmp_path, 16, crop="stretch").images[0, ..., 0]
    assert set(np.unique(centre[:, 1:-1])) == {100}
    assert not pad[:5].any()
    assert not pad[-5:].any()
    assert pad[8, [1, 8, 14]].tolist() == [200, 100, 200]
    assert stretch[[0, 8, 15]][:, [1, 8, 14]].tolist() == [[200, 100, 200]] * 3


@pytest.mark.parametrize(("planes", "bits"), [(1, 12), (2, 12), (3, 12), (1, 11)])
def test_16_bit_images_that_hold_fewer_are_noticed_and_scaled(
    planes: int, bits: int, tmp_path: Path
) -> None:
    values = np.linspace(0, 2**bits - 1, 16 * 16).astype(int).reshape(16, 16)
    alpha = [np.full((16, 16), 65535)] if planes == 2 else [values] * (planes - 1)
    (tmp_path / "a.png").write_bytes(png16(values, *alpha))
    found = survey(tmp_path, 16)
    assert found.flags["pixel_bits"] == bits
    share = {12: "1/16 of the range", 11: "1/32 of the range"}[bits]
    assert any(f"use {bits} of 16 bits, {share}" in line for line in found.notes)
    assert load(tmp_path, 16).images.max() <= 16
    scaled = load(tmp_path, 16, pixel_bits=bits)
    expected = values / (2**bits - 1) * 255
    # Of more than one plane, the upper 8 of 16 bits are all that is read.
    allowed = 1 if planes == 1 else 17
    assert abs(scaled.images[0, ..., 0] - expected).max() <= allowed
    assert scaled.images.max() == 255
    assert scaled.survey is not None
    assert "pixel_bits" not in scaled.survey.flags


def test_masks_of_zero_and_one_are_noticed_and_scaled(tmp_path: Path) -> None:
    mask = (NOISE[..., 0] > 200).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "a.png")
    assert survey(tmp_path, 16).flags == {"pixel_bits": 1}
    np.testing.assert_array_equal(
        load(tmp_path, 16, pixel_bits=1).images[0, ..., 0], 255 * mask
    )


def test_values_beyond_the_bits_are_clipped_and_said(tmp_path: Path) -> None:
    values = np.full((16, 16), 4095)
    values[0, 0] = 5000
    (tmp_path / "a.png").write_bytes(png16(values))
    data = load(tmp_path, 16, pixel_bits=12)
    assert data.images.min() == 255
    assert data.survey is not None
    assert any("1 of 1 images clipped" in line for line in data.survey.notes)


def test_bits_do_not_change_what_has_no_more(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    Image.fromarray(NOISE[..., 0] > 180).save(tmp_path / "b.png")
    usual = load(tmp_path, 16)
    np.testing.assert_array_equal(
        load(tmp_path, 16, pixel_bits=12).images, usual.images
    )
    one = load(tmp_path, 16, pixel_bits=1)
    np.testing.assert_array_equal(one.images[1], usual.images[1])


def test_an_impossible_number_of_bits_is_a_reason_to_skip(folder: Path) -> None:
    deep(folder / "a.png")
    notes = survey(folder, pixel_bits=8).notes
    assert notes[0].startswith("skipped a.png: only the upper 8 of 16 bits are read")


def test_ways_of_reading_have_caches_of_their_own(folder: Path) -> None:
    wide(folder / "a")
    ways: list[dict[str, Any]] = [
        *({}, {"channels": "grey"}, {"crop": "pad"}, {"pixel_bits": 4})
    ]
    digests = {load(folder, **reading).info.sha256 for reading in ways}
    assert len(digests) == 4
    assert load(folder).reading.tag == ""
