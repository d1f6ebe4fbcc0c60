"""A data set in memory, and what a run must know of it."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from shared.config.choices import Split
from shared.config.values import Mismatch, conform, plain
from shared.data.reading import Reading
from shared.data.survey import Survey
from shared.errors import UsageError


class DataInfo(NamedTuple):
    """What a run must know of its data without having them."""

    channels: int
    """1 (grey) or 3 (colour); 2 for points in the plane."""
    num_classes: int
    """Number of classes; 0 where the data have no labels."""
    count: int
    """Number of images."""
    sha256: str
    """Digest of images and labels, so that a resumed run sees the same data."""
    class_names: tuple[str, ...] = ()
    """By id; empty where the names are but the ids, or where there are none."""

    def to_json(self) -> dict[str, Any]:
        """JSON's types; without names where there are none."""
        values = self._asdict()
        if not self.class_names:
            del values["class_names"]
        return values

    def broken_rule(self) -> tuple[str, str] | None:
        """A field that makes no sense, and what it must be; None where all do."""
        if self.channels not in (1, 2, 3):
            return "channels", "must be 1, 2 or 3"
        for name in ("num_classes", "count"):
            if getattr(self, name) < 0:
                return name, "must be 0 or more"
        if self.class_names and len(self.class_names) != self.num_classes:
            return "class_names", f"must be {self.num_classes} names, or none"
        return None

    def has_images_of(self, other: "DataInfo") -> bool:
        """Whether the images and labels are another's; class names don't count."""
        return self._replace(class_names=()) == other._replace(class_names=())

    def described(self) -> str:
        """How many images there are, and of which digest, to tell data apart."""
        return f"{self.count} of digest {self.sha256[:8]}"

    def named_classes(self) -> list[str]:
        """``ID NAME`` of each class that has a name; MNIST's begin with the id."""
        return [
            name if name.startswith(f"{id_} ") else f"{id_} {name}"
            for id_, name in enumerate(self.class_names)
        ]


class ImageData(NamedTuple):
    """A data set in memory, or mapped from a file."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    """Shape [count, height, width, channels]; floats are used as they are."""
    labels: NDArray[np.int32] | None
    """Class ids, shape [count]; None without labels."""
    class_names: tuple[str, ...]
    """One for each class; empty without labels."""
    info: DataInfo
    name: str = ""
    """What ``--dataset`` calls it."""
    reading: Reading = Reading()
    """How the images were read."""
    survey: Survey | None = None
    """What was seen of a folder's images."""
    split: Split = "train"
    """Which images of the data set these are."""

    def __repr__(self) -> str:
        # Not its pixels, as the last line of a notebook's cell.
        count, height, width, channels = self.images.shape
        classes = f", {self.info.num_classes} classes" if self.info.num_classes else ""
        size = f"{height}x{width}x{channels}"
        return f"ImageData({self.name}, {count} of {size}{classes})"

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The images of data that are no points."""
        assert self.images.dtype == np.uint8, "points have no pixels"
        return cast("NDArray[np.uint8]", self.images)

    @property
    def points(self) -> NDArray[np.float32]:
        """Points in the plane, as [count, 2]."""
        return np.asarray(self.images, np.float32).reshape(-1, 2)


def check_info(info: DataInfo) -> None:
    """Refuse what no data are like, where a user has written it.

    Raises:
        UsageError: a field is of another type, or makes no sense.
    """
    values = {name: plain(value) for name, value in info._asdict().items()}
    try:
        conform(values, DataInfo, "data")
    except Mismatch as error:
        raise UsageError(str(error)) from error


def check_whole(data: ImageData, argument: str) -> None:
    """Refuse a part of a data set that passes for the whole, as by ``_replace``.

    Args:
        data: from a user.
        argument: what the error calls it.

    Raises:
        UsageError: it holds more or fewer images or labels than it says.
    """
    count = data.info.count
    for what in ("images", "labels"):
        held = getattr(data, what)
        if held is not None and len(held) != count:
            raise UsageError(
                f"{argument} of {len(held)} {what}: must be of {count}, as its info"
                " says; make a part of it a data set by data.from_arrays"
            )


def names_beyond_ids(class_names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes; none where they are the ids."""
    are_ids = list(class_names) == list(map(str, range(len(class_names))))
    return () if are_ids else tuple(class_names)


def digest(images: NDArray[Any], labels: NDArray[np.int32] | None) -> str:
    """SHA-256 over the bytes and shapes of images and labels."""
    sha256 = hashlib.sha256(images.data)
    if labels is not None:
        sha256.update(labels.astype("<i4").data)
    sha256.update(repr((images.dtype.str, images.shape, labels is not None)).encode())
    return sha256.hexdigest()
