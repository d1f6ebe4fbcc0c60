"""Arrays in memory as a data set."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared import sizes
from shared.config.arguments import as_array
from shared.config.choices import ARRAYS
from shared.config.values import in_line, shown
from shared.data.image_data import DataInfo, ImageData, digest, names_beyond_ids
from shared.errors import UsageError


def from_arrays(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    class_names: Sequence[str] = (),
) -> ImageData:
    """Images in memory as a data set; nothing is copied that need not be, or written.

    Args:
        images: uint8, grey [count, height, width] or, with channels last and 1 (grey)
            or 3 (colour) of them, [count, height, width, channels]; of a size of
            `shared.sizes`: squares of 4, 5, 6 or 7 times 2, 4, 8, ... pixels, or
            rectangles; from floats in [-1, 1]:
            ``numpy.rint(127.5 * x.clip(-1, 1) + 127.5).astype(numpy.uint8)``.
        labels: class ids, whole numbers [count] from 0 up, each class with an image;
            None: without classes.
        class_names: one for each class, no two alike; without them, their ids.

    Raises:
        UsageError: an array is of another type, shape or range.
    """
    pixels = _check_images(as_array("images", images))
    ids, names = None, _texts(class_names)
    if labels is not None:
        ids = _check_labels(as_array("labels", labels), len(pixels))
        names = _check_names(names, int(ids.max()) + 1)
    elif names:
        raise UsageError(f"class_names {in_line(names)}: there are no labels")
    info = DataInfo(
        pixels.shape[3],
        len(names),
        len(pixels),
        digest(pixels, ids),
        names_beyond_ids(names),
    )
    return ImageData(pixels, ids, names, info, ARRAYS)


def _texts(class_names: object) -> tuple[str, ...]:
    """Names in an order: not those of a set or a dictionary, nor a text's letters."""
    is_list = isinstance(class_names, Iterable) and not isinstance(
        class_names, str | bytes | Set | Mapping
    )
    if not is_list:
        kind = type(class_names).__name__
        raise UsageError(f"class_names of type {kind}: must be a list of texts")
    return tuple(map(str, class_names))


def _check_images(images: NDArray[Any]) -> NDArray[np.uint8]:
    found = f"images of type {images.dtype} and shape {list(images.shape)}"
    if images.dtype != np.uint8:
        raise UsageError(f"{found}: must be uint8, 0 to 255{_made_uint8(images)}")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        first = images.ndim == 4 and images.shape[1] in (1, 3)
        made = "numpy.asarray(x).transpose(0, 2, 3, 1)"
        turned = f"; of these, x: {made}" if first else ""
        raise UsageError(
            f"{found}: must be [count, height, width] or [count, height, width,"
            f" channels] with 1 or 3 channels{turned}"
        )
    count, height, width, _ = images.shape
    size = sizes.normal((height, width))
    if not sizes.fits(size):
        raise UsageError(f"{found}, size {sizes.text(size)}: {sizes.rule(size)}")
    if count < 2:
        raise UsageError(f"{found}: must be two or more")
    return np.ascontiguousarray(images)


def _made_uint8(x: NDArray[Any]) -> str:
    """How values become uint8, in the ranges that images usually have.

    Of whatever was given: lists and tensors know less than arrays.
    """
    made = ""
    if x.ndim >= 3 and x.size and x.dtype.kind in "iuf":
        low, high = x.min(), x.max()
        if x.dtype.kind != "f":
            made = "numpy.asarray(x)" if low >= 0 and high <= 255 else ""
        elif low >= 0 and high <= 1:
            made = "numpy.rint(255 * numpy.asarray(x))"
        elif low >= -1 and high <= 1:
            made = "numpy.rint(127.5 * numpy.asarray(x).clip(-1, 1) + 127.5)"
    return made and f"; of these, x: {made}.astype(numpy.uint8)"


def _check_labels(labels: NDArray[Any], count: int) -> NDArray[np.int32]:
    found = f"labels of type {labels.dtype} and shape {list(labels.shape)}"
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        names = "class_names, labels = numpy.unique(labels, return_inverse=True)"
        are_texts = labels.size and all(isinstance(x, str | bytes) for x in labels.flat)
        of_texts = f"; of texts: {names}" if are_texts else ""
        raise UsageError(
            f"{found}: must be whole numbers, one for each image: [{count}]{of_texts}"
        )
    there = np.unique(labels)
    if not np.array_equal(there, np.arange(len(there))):
        some = ", ".join(map(str, there[:10])) + (", ..." if len(there) > 10 else "")
        raise UsageError(
            f"labels {some}: must be class ids from 0 up, each of an image or more;"
            " of other numbers: _, labels = numpy.unique(labels, return_inverse=True)"
        )
    return np.ascontiguousarray(labels, np.int32)


def _check_names(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    if names and len(names) != classes:
        raise UsageError(
            f"class_names {in_line(names)}: must be one for each of {classes} classes"
        )
    for name in names:
        if not name.strip() or not name.isprintable():
            raise UsageError(
                f"class_names {in_line(names)}: {shown(name)} must be one line of text"
            )
        if names.count(name) > 1:
            raise UsageError(
                f"class_names {in_line(names)}: {shown(name)} must be of one class"
            )
    return names or tuple(map(str, range(classes)))
