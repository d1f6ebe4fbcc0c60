"""Images on their way into the cache, and the data sets that have a name."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shared import terminal
from shared.config.choices import Crop, Split
from shared.data.image_data import digest
from shared.data.reading import Reading
from shared.data.survey import Survey
from shared.errors import UsageError
from shared.files.fetching import impatiently
from shared.randomness import noise
from shared.sizes import ImageSize, height_and_width
from shared.words import one_line


class Pictures(NamedTuple):
    """Resized images, one at a time, so that they need not fit in memory."""

    channels: int
    """1 (grey) or 3 (colour)."""
    class_names: tuple[str, ...]
    """One for each class; empty without labels."""
    total: int
    """How many there are at most; unreadable ones may be left out."""
    pairs: Iterator[tuple[NDArray[np.uint8], int]]
    """Image of shape [height, width, channels] and class id (0 without labels)."""
    survey: Callable[[], Survey] | None = None
    """What was seen of them, once all are taken; None: there is nothing to say."""


class Source(NamedTuple):
    """Where images come from, cheap to make: nothing is read before `open`."""

    name: str
    """Of the cache's files: the same for the same origin."""
    fingerprint: str
    """Changes when the images change."""
    open: Callable[[ImageSize], Pictures]
    """From the image size in pixels to the images."""
    notes: Sequence[str] = ()
    """What is left out or strange, as far as is known before, a line each."""
    flags: Mapping[str, Any] = MappingProxyType({})
    """Settings that would suit them better."""


def resize(
    image: Image.Image, image_size: ImageSize, crop: Crop = "centre"
) -> NDArray[np.uint8]:
    """A grey or RGB image in this size, antialiased.

    Args:
        image: mode L or RGB, of any size.
        image_size: height and width of the result in pixels.
        crop: how it gets this shape: by its centre, padded with black, or stretched.

    Returns:
        Shape [height, width, channels].
    """
    # Bicubic: the smoothest of Pillow's filters without visible ringing.
    make: dict[Crop, Callable[..., Image.Image]] = {
        "centre": ImageOps.fit,
        "pad": ImageOps.pad,
        "stretch": Image.Image.resize,
    }
    height, width = height_and_width(image_size)
    resized = make[crop](image, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized).reshape(height, width, -1)


def in_channels(source: Source, reading: Reading) -> Source:
    """A source whose images are grey, or in colour, as they are to be read.

    Args:
        source: of images in either.
        reading: of which the channels count.
    """
    if reading.channels == "auto":
        return source

    def open_converted(image_size: ImageSize) -> Pictures:
        pictures = source.open(image_size)
        channels = reading.count_channels(pictures.channels == 3)
        pairs = ((_convert(x, channels), number) for x, number in pictures.pairs)
        return pictures._replace(channels=channels, pairs=pairs)

    return source._replace(name=source.name + reading.tag, open=open_converted)


def _convert(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    picture = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    converted = np.asarray(picture.convert("RGB" if channels == 3 else "L"))
    return converted.reshape(*image.shape[:2], channels)


def digits() -> Source:
    """The 1,797 handwritten digits of 8x8 pixels that come with scikit-learn."""

    def open_digits(image_size: ImageSize) -> Pictures:
        from sklearn.datasets import load_digits

        data: Any = load_digits()
        images = np.rint(data.images * (255 / 16)).astype(np.uint8)
        names = tuple(str(name) for name in data.target_names)
        return _from_arrays(images, data.target, names, image_size)

    return Source("digits", "scikit-learn", open_digits)


# Of the names of cached files.
_TAGS: dict[Split, str] = {"train": "", "test": "-test"}


class _Files(NamedTuple):
    """What torchvision calls a data set, and the files that it takes."""

    class_name: str
    files: str
    folder: str
    sha256: Mapping[Split, str]
    """`image_data.digest` of the published images and labels."""


_IDX_FILES = ", ".join(
    f"{split}-{kind}-ubyte.gz"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
_FETCHED = {
    "mnist": _Files(
        "MNIST",
        _IDX_FILES,
        "MNIST/raw",
        {
            "train": "7df31034f8770a950e2a25015082acf39bc1d6d1f5f30ada353f9068d3f973ee",
            "test": "1c2b5ccc864506a905e1f43996cf889c7833ff3d87128174a9b5a3499e2fcae9",
        },
    ),
    "fashion-mnist": _Files(
        "FashionMNIST",
        _IDX_FILES,
        "FashionMNIST/raw",
        {
            "train": "f7cca0d89c4a87e733c946850aa86a149e5211d3177f9303d292dca39c0743c3",
            "test": "2884e0efb1c0dfea2207d3211adc855306723e02bc0f93185bf296f82ca80911",
        },
    ),
    "cifar10": _Files(
        "CIFAR10",
        "cifar-10-python.tar.gz",
        "",
        {
            "train": "e633839690108df661c3f938ab0e3c3d85ec6155a8c67b9af3043757ec9a5492",
            "test": "10e37259e21c91ee03930e3a902b7e0f9df626e2c66b3be78e828029173bd254",
        },
    ),
}


def fetched(name: str, data_dir: Path, split: Split) -> Source:
    """A data set that torchvision fetches and checks.

    Args:
        name: mnist, fashion-mnist or cifar10.
        data_dir: torchvision's ``root``.
        split: which of its images.
    """

    def open_fetched(image_size: ImageSize) -> Pictures:
        return _from_arrays(*_fetch(name, data_dir, split), image_size)

    return Source(name + _TAGS[split], "torchvision", open_fetched)


def stacked_mnist(data_dir: Path, split: Split) -> Source:
    """Images of three digits of MNIST, one in each colour; always the same.

    There are as many as digits, 60,000, and each occurs once in each channel. The class
    is the number that red, green and blue digit spell, 0 to 999: one of 1,000 modes.

    Args:
        data_dir: torchvision's ``root``, with MNIST.
        split: of which digits.

    References:
        Metz et al. 2017, arXiv:1611.02163, section 3.3.
    """

    def open_stacked(image_size: ImageSize) -> Pictures:
        digits, labels, _ = _fetch("mnist", data_dir, split)
        count = len(digits)
        orders = [noise.batch_indices(0, i, count, count) for i in range(3)]
        images = np.stack([digits[order] for order in orders], axis=-1)
        hundreds, tens, ones = (labels[order].astype(np.int64) for order in orders)
        names = tuple(f"{number:03d}" for number in range(1000))
        spelled = 100 * hundreds + 10 * tens + ones
        return _from_arrays(images, spelled, names, image_size)

    return Source("stacked-mnist" + _TAGS[split], "torchvision-1", open_stacked)


def _fetch(
    name: str, data_dir: Path, split: Split
) -> tuple[NDArray[np.uint8], NDArray[Any], tuple[str, ...]]:
    """Images, labels and class names by torchvision, which fetches what is missing.

    Raises:
        UsageError: torchvision is missing, or can neither fetch nor read the files, or
            they do not hold what was published.
    """
    wanted = _FETCHED[name]
    if terminal.is_watched():
        terminal.say(f"{name}: reading; fetching what {data_dir} lacks ...")
    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(action="ignore"),
            impatiently(),
        ):
            from torchvision import datasets

            data = getattr(datasets, wanted.class_name)(
                root=data_dir, train=split == "train", download=True
            )
            images, labels = np.asarray(data.data), np.asarray(data.targets)
        # Torchvision checks what it fetches, Fashion-MNIST without encryption, but not
        # what lies in the folder already.
        found = digest(np.ascontiguousarray(images), labels)
        published = wanted.sha256[split]
        if found != published:
            raise ValueError(
                f"images and labels of digest {found[:8]}, where the published ones"
                f" have {published[:8]}"
            )
        return images, labels, tuple(data.classes)
    except ImportError as error:
        raise UsageError(
            f"--dataset {name}: needs torchvision once, to fetch and check the files:"
            " pip install torchvision"
        ) from error
    except Exception as error:  # sockets, archives, pickles: each has errors of its own
        raise UsageError(
            f"--dataset {name}: cannot be fetched or read"
            f" ({one_line(error)}); delete any damaged files and put"
            f" {wanted.files} into {data_dir / wanted.folder}"
        ) from error


def _from_arrays(
    images: NDArray[np.uint8],
    labels: NDArray[Any],
    class_names: tuple[str, ...],
    image_size: ImageSize,
) -> Pictures:
    """Pictures of grey [count, h, w] or colour [count, h, w, 3] images in memory."""
    # One thread: such small images spend more time waiting for the interpreter's lock
    # than a second thread could save.
    pairs = (
        (resize(Image.fromarray(image), image_size), int(label))
        for image, label in zip(images, labels, strict=True)
    )
    return Pictures(3 if images.ndim == 4 else 1, class_names, len(images), pairs)
