"""Pictures: from numbers to pixels, grids, animations."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.files.atomic import write_atomically
from shared.files.reading import check_regular

MOST_CLASS_ROWS = 32
"""Of a grid with a class in each row: not a thousand rows."""

# Pixels around each image of a grid.
_PADDING = 2

_GIF_SECONDS = 9.0
_GIF_LAST_FRAME_SECONDS = 2.0
_GIF_LONGEST_FRAME_SECONDS = 0.5
_GIF_FRAMES = 100
# Grids of colour photographs hardly compress; this keeps an animation near ten MB.
_GIF_PIXELS = 10_000_000


def to_uint8(images: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Pixels 0..255 of images in [-1, 1].

    (x + 1) * 127.5, rounded half to even and clipped; NaN becomes 0. Inverse of
    x = pixel / 127.5 - 1.

    Args:
        images: any shape; values outside [-1, 1] are clipped.
    """
    scaled = np.rint((np.clip(images, -1, 1) + 1) * 127.5)
    return np.nan_to_num(scaled).astype(np.uint8)


def grid(images: NDArray[np.uint8], columns: int | None = None) -> NDArray[np.uint8]:
    """Images side by side, row by row, on black.

    Args:
        images: shape [count, height, width, channels].
        columns: images in a row; None makes the grid as square as it gets.

    Returns:
        Shape [rows * (height + 2) + 2, likewise, channels].
    """
    count, height, width, channels = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    size = (height + _PADDING, width + _PADDING)
    cells = np.zeros((rows * columns, *size, channels), np.uint8)
    cells[:count, _PADDING:, _PADDING:] = images
    cells = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    joined = cells.reshape(rows * cells.shape[1], -1, channels)
    return np.pad(joined, ((0, _PADDING), (0, _PADDING), (0, 0)))


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one picture.

    Args:
        path: the file.
        image: shape [height, width, channels]; 1 channel (grey) or 3 (RGB).

    Raises:
        UsageError: the file cannot be written.
    """
    buffer = io.BytesIO()
    _picture(image).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def save_gif(path: Path, frames: Sequence[Path | NDArray[np.uint8]]) -> list[Path]:
    """Write an animation of some nine seconds that repeats for ever.

    Of many or large frames it shows some, evenly chosen, always the first and the
    last; the last stays longer. A file that is no picture, or not of the first one's
    size, is left out.

    Args:
        path: the file.
        frames: pictures of one size, as files or as in `save_png`.

    Returns:
        The files that were left out; where nothing is left, nothing is written.

    Raises:
        UsageError: the file cannot be written.
    """
    size = next(filter(None, map(_size, frames)), (1, 1))
    shown = max(2, min(len(frames), _GIF_FRAMES, _GIF_PIXELS // math.prod(size)))
    chosen = np.unique(np.linspace(0, len(frames) - 1, shown).round().astype(int))
    pictures, damaged = [], []
    for frame in (frames[i] for i in chosen):
        picture = _open_frame(frame)
        if picture is not None and picture.size == size:
            pictures.append(_quantised(picture))
        elif isinstance(frame, Path):
            damaged.append(frame)
    if not pictures:
        return damaged
    moving = (_GIF_SECONDS - _GIF_LAST_FRAME_SECONDS) / len(pictures)
    each = round(1000 * min(moving, _GIF_LONGEST_FRAME_SECONDS))
    durations = [each] * (len(pictures) - 1) + [round(1000 * _GIF_LAST_FRAME_SECONDS)]
    first, *rest = pictures
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
    )
    write_atomically(path, buffer.getvalue())
    return damaged


def _size(frame: Path | NDArray[np.uint8]) -> tuple[int, int] | None:
    """Width and height; None of what is no picture."""
    picture = _open_frame(frame)
    return None if picture is None else picture.size


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _open_frame(frame: Path | NDArray[np.uint8]) -> Image.Image | None:
    """A picture; None where a file is none."""
    if not isinstance(frame, Path):
        return _picture(frame)
    try:
        check_regular(frame)
        with Image.open(frame) as image:
            image.load()
            return image
    except Exception:  # damage has as many faces as Pillow has errors
        return None


def _quantised(image: Image.Image) -> Image.Image:
    # Grey pictures fit a GIF as they are.
    if image.mode == "L":
        return image
    # A palette from a part of the pixels is as good and ten times as fast. Dithering
    # would flicker and not compress.
    part = image.resize((128, 128), Image.Resampling.NEAREST)
    return image.quantize(palette=part.quantize(256), dither=Image.Dither.NONE)
