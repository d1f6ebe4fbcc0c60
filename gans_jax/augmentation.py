"""What D sees instead of images: DiffAugment's transformations, and mirroring.

Pure functions of images and of what was drawn for each of them: no image looks at
another. Each is affine in the image, so that gradients go through it to G, and those of
a gradient penalty through it twice. Values are never clipped into [-1, 1].

References:
    Zhao et al. 2020, arXiv:2006.10738, section 3; the numbers are those of the authors'
    code, DiffAugment_pytorch.py.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from gans_jax.shapes import Images
from shared.randomness.augmentation import Record, box_side, largest_shift

Drawn = Float[Array, " batch"]


def brightness(images: Images, amount: Drawn) -> Images:
    """All values of an image, plus a number.

    x + b

    Args:
        images: in [-1, 1].
        amount: b, one for each image; in [-0.5, 0.5).
    """
    return images + _each(amount)


def saturation(images: Images, factor: Drawn) -> Images:
    """Each pixel's channels, away from or towards their mean.

    s (x - m) + m,  m the mean over the channels of a pixel

    Images of one channel stay what they are.

    Args:
        images: in [-1, 1].
        factor: s, one for each image; in [0, 2).
    """
    mean = images.mean(axis=3, keepdims=True)
    return (images - mean) * _each(factor) + mean


def contrast(images: Images, factor: Drawn) -> Images:
    """All values of an image, away from or towards their mean.

    c (x - m) + m,  m the mean over the whole image

    Args:
        images: in [-1, 1].
        factor: c, one for each image; in [0.5, 1.5).
    """
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return (images - mean) * _each(factor) + mean


def translation(images: Images, rows: Drawn, columns: Drawn) -> Images:
    """Images moved by whole pixels, with zeros where nothing was.

    y[r, c] = x[r + t, c + u],  0 outside x

    Args:
        images: in [-1, 1].
        rows: t, one for each image; whole numbers, at most `largest_shift`.
        columns: u, one for each image; whole numbers, at most `largest_shift`.
    """
    _, height, width, _ = images.shape
    # A window of an image between zeros: XLA copies it row by row, there and back.
    down, right = largest_shift(height), largest_shift(width)
    padded = jnp.pad(images, ((0, 0), (down, down), (right, right), (0, 0)))

    def window(image: Array, row: Array, column: Array) -> Array:
        start = (down + row, right + column, 0)
        return jax.lax.dynamic_slice(image, start, (height, width, image.shape[2]))

    return jax.vmap(window)(padded, rows.astype(int), columns.astype(int))


def cutout(images: Images, row: Drawn, column: Drawn) -> Images:
    """Images with a box of zeros, half as high and half as wide, that may hang over.

    y[r, c] = 0  where  o - k // 2 <= r < o - k // 2 + k,  and columns likewise

    Args:
        images: in [-1, 1].
        row: o, the row of the box's centre, one for each image; whole numbers.
        column: the column of the centre, one for each image; whole numbers.
    """
    _, height, width, _ = images.shape
    in_rows = _is_in_box(row, height)[:, :, None, None]
    in_columns = _is_in_box(column, width)[:, None, :, None]
    return jnp.where(in_rows & in_columns, 0.0, images)


def mirror(images: Images, mirrored: Bool[Array, " batch"]) -> Images:
    """Images, some of them with left and right exchanged.

    Args:
        images: in [-1, 1].
        mirrored: which.
    """
    return jnp.where(mirrored[:, None, None, None], jnp.flip(images, 2), images)


def _color(images: Images, record: Record) -> Images:
    images = brightness(images, record.brightness)
    images = saturation(images, record.saturation)
    return contrast(images, record.contrast)


POLICIES: dict[str, Callable[[Images, Record], Images]] = {
    "color": _color,
    "translation": lambda images, record: translation(
        images, record.rows, record.columns
    ),
    "cutout": lambda images, record: cutout(images, record.box_row, record.box_column),
}


def augment(
    policies: tuple[str, ...], images: Images, records: Float[Array, "batch fields"]
) -> Images:
    """T(x): the policies of ``--augment``, one after the other, on each image.

    Args:
        policies: some of `POLICIES`, in any order.
        images: in [-1, 1].
        records: rows of `shared.randomness.augmentation.Record`.
    """
    record = Record(*records.T)
    for policy in policies:
        images = POLICIES[policy](images, record)
    return images


def _each(drawn: Drawn) -> Float[Array, "batch 1 1 1"]:
    return drawn[:, None, None, None]


def _is_in_box(centre: Drawn, size: int) -> Bool[Array, "batch size"]:
    """Which rows, or columns, of so many the box covers."""
    side = box_side(size)
    first = centre.astype(int)[:, None] - side // 2
    place = jnp.arange(size)
    return (first <= place) & (place < first + side)
