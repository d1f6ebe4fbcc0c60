"""What D sees instead of images: DiffAugment's transformations, and mirroring.

Pure functions of images and of what was drawn for each of them: no image looks at
another. Each is affine in the image, so that gradients go through it to G, and those of
a gradient penalty through it twice. Values are never clipped into [-1, 1].

References:
    Zhao et al. 2020, arXiv:2006.10738, section 3; the numbers are those of the authors'
    code, DiffAugment_pytorch.py.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gans_torch.shapes import Images
from shared.randomness.augmentation import Record, box_side

Drawn = Float[Tensor, " batch"]


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
    mean = images.mean(dim=1, keepdim=True)
    return (images - mean) * _each(factor) + mean


def contrast(images: Images, factor: Drawn) -> Images:
    """All values of an image, away from or towards their mean.

    c (x - m) + m,  m the mean over the whole image

    Args:
        images: in [-1, 1].
        factor: c, one for each image; in [0.5, 1.5).
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * _each(factor) + mean


def translation(images: Images, rows: Drawn, columns: Drawn) -> Images:
    """Images moved by whole pixels, with zeros where nothing was.

    y[r, c] = x[r + t, c + u],  0 outside x

    Args:
        images: in [-1, 1].
        rows: t, one for each image; whole numbers, at most `largest_shift`.
        columns: u, one for each image; whole numbers, at most `largest_shift`.
    """
    height, width = images.shape[2:]
    row = rows.long()[:, None] + torch.arange(height, device=images.device)
    column = columns.long()[:, None] + torch.arange(width, device=images.device)
    within_rows = (row >= 0) & (row < height)
    within_columns = (column >= 0) & (column < width)
    inside = within_rows[:, None, :, None] & within_columns[:, None, None, :]
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    pixel = (row[:, :, None] * width + column[:, None, :]).flatten(1)
    # Pixel by pixel, as convolutions read images: no copy in another order is made.
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    moved = pixels.gather(1, pixel[:, :, None].expand_as(pixels))
    moved = moved.unflatten(1, (height, width)).permute(0, 3, 1, 2)
    return torch.where(inside, moved, 0.0)


def cutout(images: Images, row: Drawn, column: Drawn) -> Images:
    """Images with a box of zeros, half as high and half as wide, that may hang over.

    y[r, c] = 0  where  o - k // 2 <= r < o - k // 2 + k,  and columns likewise

    Args:
        images: in [-1, 1].
        row: o, the row of the box's centre, one for each image; whole numbers.
        column: the column of the centre, one for each image; whole numbers.
    """
    height, width = images.shape[2:]
    in_rows = _is_in_box(row, height)[:, None, :, None]
    in_columns = _is_in_box(column, width)[:, None, None, :]
    return torch.where(in_rows & in_columns, 0.0, images)


def mirror(images: Images, mirrored: Bool[Tensor, " batch"]) -> Images:
    """Images, some of them with left and right exchanged.

    Args:
        images: in [-1, 1].
        mirrored: which.
    """
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


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
    policies: tuple[str, ...], images: Images, records: Float[Tensor, "batch fields"]
) -> Images:
    """T(x): the policies of ``--augment``, one after the other, on each image.

    Args:
        policies: some of `POLICIES`, in any order.
        images: in [-1, 1].
        records: rows of `shared.randomness.augmentation.Record`.
    """
    record = Record(*records.unbind(dim=1))
    for policy in policies:
        images = POLICIES[policy](images, record)
    return images


def _each(drawn: Drawn) -> Float[Tensor, "batch 1 1 1"]:
    return drawn[:, None, None, None]


def _is_in_box(centre: Drawn, size: int) -> Bool[Tensor, "batch size"]:
    """Which rows, or columns, of so many the box covers."""
    side = box_side(size)
    first = centre.long()[:, None] - side // 2
    place = torch.arange(size, device=centre.device)
    return (first <= place) & (place < first + side)
