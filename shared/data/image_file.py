"""One image file: from its pixels to those that are trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from shared.data.image_sources import resize
from shared.data.reading import Reading
from shared.data.survey import Seen
from shared.sizes import ImageSize, height_and_width

# What is kept is less than two thirds of an image whose shape is further from its own.
_LONGEST = 1.5
# A JPEG of grey pixels may be off by so much.
_GREY_TOLERANCE = 2
_MODES = {1: "L", 3: "RGB"}


class Decoded(NamedTuple):
    """An image as it is trained on."""

    image: NDArray[np.uint8]
    """Shape [height, width, channels]."""
    seen: Seen
    """What was seen on the way."""


class _Values(NamedTuple):
    """An image in 8 bits, and what its file had."""

    image: Image.Image
    bits: int
    brightest: int


def decode(
    file: Path | IO[bytes], image_size: ImageSize, channels: int, reading: Reading
) -> Decoded:
    """One image file, upright, opaque, in one shape and size.

    Args:
        file: the file.
        image_size: height and width of the result in pixels.
        channels: 1 (grey) or 3 (colour).
        reading: how it is read.

    Raises:
        Exception: the file is damaged or no image: whatever Pillow's plugins raise.
    """
    with Image.open(file) as image:
        size, mode = image.size, image.mode
        changes = [change for change, test in _BY_HEADER.items() if test(image)]
        # As the file has it, which may lie on its side.
        height, width = height_and_width(image_size)
        as_filed = (height, width) if _lies_on_side(image) else (width, height)
        # Lets a JPEG decoder leave out what is far finer than the result: several times
        # as fast on photographs; a factor of 3 leaves no visible difference.
        image.draft(None, (3 * as_filed[0], 3 * as_filed[1]))
        ImageOps.exif_transpose(image, in_place=True)
        if mode.startswith("I"):  # 16-bit grey, some of which Pillow keeps in 32 bits
            values, is_transparent = _grey16(image, reading.pixel_bits or 16)
        else:
            halved = "halved" in changes
            opaque, is_transparent = _opaque(image)
            flat = opaque.convert(_MODES[channels])
            values = _eight_bits(flat, mode, halved, reading.pixel_bits)
        if is_transparent:
            changes.append("transparent")
        resized = resize(
            values.image.convert(_MODES[channels]), image_size, reading.crop
        )
        # Last of all, as it may go to the next picture and back.
        if getattr(image, "is_animated", False):
            changes.append("several")
    changes += _changes_by_result(size, as_filed, mode, resized, values, reading)
    has_colour = channels == 3 and int(np.ptp(resized, axis=2).max()) > _GREY_TOLERANCE
    seen = Seen(size, mode, values.bits, values.brightest, tuple(changes), has_colour)
    return Decoded(resized, seen)


def _changes_by_result(
    size: tuple[int, int],
    wanted: tuple[int, int],
    mode: str,
    resized: NDArray[np.uint8],
    values: _Values,
    reading: Reading,
) -> list[str]:
    """What became of an image by what is known when it is done.

    Args:
        size: width and height in its file.
        wanted: likewise, of the result.
        mode: of its file.
        resized: the result.
        values: the image before, and what its file had.
        reading: how it is read.
    """
    # The ratios of width to height, times the same number.
    short, long = sorted((size[0] * wanted[1], size[1] * wanted[0]))
    is_cut = reading.crop == "centre" and long > _LONGEST * short
    is_square = wanted[0] == wanted[1]
    in_use = 2 ** min(reading.pixel_bits or 16, values.bits)
    found = {
        "clipped": values.brightest >= in_use,
        "cut": is_cut and is_square,
        "trimmed": is_cut and not is_square,
        "enlarged": size[0] < wanted[0] or size[1] < wanted[1],
        "coloured": resized.shape[2] == 3
        and reading.channels == "auto"
        and Image.getmodebase(mode) == "L",
        "plain": (resized == resized[0, 0]).all(),
    }
    return [change for change, is_so in found.items() if is_so]


def _grey16(image: Image.Image, pixel_bits: int) -> tuple[_Values, bool]:
    """Grey of 16 bits laid on white, and whether a pixel was transparent."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels of more than 16 bits")
    top = 2**pixel_bits - 1
    scaled = np.rint(np.minimum(values, top) / (top / 255)).astype(np.uint8)
    # A PNG may name one value that is transparent; Pillow leaves it to the reader.
    is_clear = values == image.info.get("transparency", -1)
    scaled[is_clear] = 255
    brightest = int(values[~is_clear].max(initial=0))
    return _Values(Image.fromarray(scaled), 16, brightest), bool(is_clear.any())


def _opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image laid on white, and whether a pixel was transparent."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode == "LAB":
        return image.convert("RGB"), False  # from which alone Pillow makes it grey
    if not image.has_transparency_data:
        return image, False
    image = image.convert("RGBA")
    is_transparent = int(np.min(image.getchannel("A").getextrema())) < 255
    on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return on_white, is_transparent


def _eight_bits(
    image: Image.Image, mode: str, halved: bool, pixel_bits: int | None
) -> _Values:
    """An image of 8 bits, scaled where fewer are in use.

    Args:
        image: grey or RGB.
        mode: of its file.
        halved: whether these are the upper 8 of 16 bits.
        pixel_bits: how many of all are in use; None: all.
    """
    lower = 8 if halved else 0
    brightest = int(np.max(image.getextrema()))
    of_file = (brightest << lower) + (255 if halved and brightest else 0)
    # A palette's entries and black and white are what they are.
    if (
        pixel_bits is not None
        and pixel_bits < 8 + lower
        and mode not in ("1", "P", "PA")
    ):
        if pixel_bits <= lower:
            raise ValueError(
                "only the upper 8 of 16 bits are read, of images in colour"
            )
        top = 2 ** (pixel_bits - lower) - 1
        table = [min(255, round(value * 255 / top)) for value in range(256)]
        image = image.point(table * len(image.getbands()))
    return _Values(image, 8 + lower, of_file)


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)


def _lies_on_side(image: Image.Image) -> bool:
    """Whether to turn it upright exchanges width and height."""
    return image.getexif().get(ExifTags.Base.Orientation, 1) in range(5, 9)


def _has_other_profile(image: Image.Image) -> bool:
    """Whether there is a colour profile, and it does not call itself sRGB."""
    profile = image.info.get("icc_profile") or b"sRGB"
    # A description is in ASCII, or in UTF-16.
    return b"sRGB" not in profile and "sRGB".encode("utf-16-be") not in profile


def _is_halved(image: Image.Image) -> bool:
    """Whether Pillow reads the upper 8 of 16 bits, as it does but for grey."""
    if image.mode.startswith("I"):
        return False
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


# What becomes of an image by what its header says; keys of `CHANGES`.
_BY_HEADER: dict[str, Callable[[Image.Image], bool]] = {
    # First: to look for EXIF decodes a PNG, which then forgets how it was coded.
    "halved": _is_halved,
    "turned": _is_turned,
    "cmyk": lambda image: image.mode == "CMYK",
    "profile": _has_other_profile,
}
