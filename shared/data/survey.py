"""What the images of a data set are, and what is changed of them on the way in.

Everything is counted by kind, with some names, to be said in a line each.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.data.reading import Reading
from shared.words import NAMED, legible, listed

_REPORTED = 10
_SIZES = 5
# Half of the range is unused in many a dim picture.
_UNUSED_BITS = 2

# What may become of an image, in the order in which it is said.
CHANGES = {
    "turned": "turned upright, as their EXIF orientation says",
    "transparent": "laid on white, as they are transparent",
    "several": "taken at their first picture, as they hold several",
    "cmyk": "made RGB from CMYK, without their colour profile",
    "profile": "taken without their colour profile, which is another than sRGB",
    "halved": "taken at the upper 8 of their 16 bits, as they have colour or"
    " transparency",
    "clipped": "clipped, as they have values of more than --pixel-bits",
    "cut": "cut by more than a third to the central square (--crop pad or stretch"
    " keeps all)",
    "trimmed": "cut by more than a third to their centre (--crop pad or stretch keeps"
    " all)",
    "enlarged": "enlarged, as they are smaller than --image-size",
    "coloured": "made colour, as others have colour (--channels grey makes all grey)",
    "plain": "of a single colour throughout",
}


class Seen(NamedTuple):
    """What was seen of one image, while it was read."""

    size: tuple[int, int]
    """Width and height in its file."""
    mode: str
    """Pillow's word for its kind of pixels."""
    bits: int
    """Of each value in its file: 8 or 16."""
    brightest: int
    """The highest value in its file."""
    changes: tuple[str, ...]
    """Keys of `CHANGES`."""
    has_colour: bool
    """Whether a pixel of the result is not grey."""


class Survey(NamedTuple):
    """What was seen of all images, in JSON's types."""

    smallest: list[int]
    """Width and height in the file, of the image with the shortest side."""
    median: int
    """Of the shorter sides."""
    largest: list[int]
    """Likewise, with the longest side."""
    sizes: list[list[int]]
    """Width, height and count of the most frequent sizes."""
    modes: dict[str, int]
    """How many images have which kind of pixels, in Pillow's words."""
    notes: list[str]
    """What is left out or changed, or strange, a line each."""
    flags: dict[str, Any]
    """Settings that would suit the images better."""

    def after(self, notes: Sequence[str], flags: Mapping[str, Any]) -> "Survey":
        """The same, with notes in front, and flags that count more."""
        return self._replace(notes=[*notes, *self.notes], flags={**self.flags, **flags})


class _Names:
    """How many there are, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= NAMED + 1:  # one more than is shown says that there are more
            self._first.append(name)

    def __str__(self) -> str:
        return listed(self._first)


class Surveyor:
    """Takes in what is seen of each image.

    Args:
        reading: how the images are read.
        channels: of the result.
    """

    def __init__(self, reading: Reading, channels: int) -> None:
        self._reading = reading
        self._channels = channels
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._modes: Counter[str] = Counter()
        self._brightest: Counter[int] = Counter()
        self._changed = {change: _Names() for change in CHANGES}
        self._skipped: list[str] = []
        self._coloured = 0
        self._first: dict[bytes, tuple[str, int]] = {}
        self._copies = _Names()
        self._contradictions = _Names()

    @property
    def count(self) -> int:
        """Images that were read."""
        return self._sizes.total()

    def skip(self, name: str, reason: str) -> None:
        """Take in a file that cannot be read."""
        self._skipped.append(f"skipped {legible(name)}: {reason}")

    def add(self, name: str, label: int, image: NDArray[np.uint8], seen: Seen) -> None:
        """Take in an image.

        Args:
            name: of its file.
            label: its class.
            image: the result.
            seen: what was seen on the way.
        """
        self._sizes[seen.size] += 1
        self._modes[seen.mode] += 1
        self._coloured += seen.has_colour
        self._brightest[seen.bits] = max(self._brightest[seen.bits], seen.brightest)
        for change in seen.changes:
            self._changed[change].add(name)
        key = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        first, label_of_first = self._first.setdefault(key, (name, label))
        if first != name:
            self._copies.add(f"{name} = {first}")
            if label != label_of_first:
                self._contradictions.add(f"{name} = {first}")

    def finish(self) -> Survey:
        """What was seen, in all."""
        shorter = sorted(min(size) for size in self._sizes.elements())
        flags: dict[str, Any] = {}
        return Survey(
            smallest=list(min(self._sizes, key=min, default=())),
            median=shorter[len(shorter) // 2] if shorter else 0,
            largest=list(max(self._sizes, key=max, default=())),
            sizes=[[*size, n] for size, n in self._sizes.most_common(_SIZES)],
            modes=dict(self._modes.most_common()),
            notes=[
                *self._told_skipped(),
                *self._told_changes(),
                *self._told_range(flags),
                *self._told_copies(),
            ],
            flags=flags,
        )

    def _told_skipped(self) -> list[str]:
        if not self._skipped:
            return []
        count = len(self._skipped)
        were = "was" if count == 1 else "were"
        return [
            *self._skipped[:_REPORTED],
            f"{count} of {self.count + count} image files could not be read and {were}"
            " skipped",
        ]

    def _told_changes(self) -> list[str]:
        total = self.count
        return [
            f"{names.count} of {total} images {CHANGES[change]}: {names}"
            for change, names in self._changed.items()
            if names.count
        ]

    def _told_range(self, flags: dict[str, Any]) -> list[str]:
        """What the images do not use: colour, or part of their values' range."""
        lines = []
        is_coloured = self._channels == 3 and self._reading.channels == "auto"
        if is_coloured and self._sizes and not self._coloured:
            flags["channels"] = "grey"
            lines.append(
                "all images are grey, though their files have colour (--channels grey"
                " trains on one channel)"
            )
        bits = max(self._brightest, default=0)
        used = self._brightest[bits].bit_length()
        if self._reading.pixel_bits is None and 0 < used <= bits - _UNUSED_BITS:
            flags["pixel_bits"] = used
            lines.append(
                f"the brightest value is {self._brightest[bits]} of {2**bits - 1}: the"
                f" images use {used} of {bits} bits, 1/{2 ** (bits - used)} of the"
                f" range, and come out dark (--pixel-bits {used} scales them)"
            )
        return lines

    def _told_copies(self) -> list[str]:
        total = self.count
        lines = []
        if total > 1 and len(self._first) == 1:
            lines.append(f"all {total} images are one and the same")
        elif self._copies.count:
            lines.append(
                f"{self._copies.count} of {total} images are the same as another, once"
                f" resized: {self._copies}"
            )
        if self._contradictions.count:
            lines.append(
                f"{self._contradictions.count} of {total} images are in another class"
                f" too: {self._contradictions}"
            )
        return lines


def without_advice(line: str) -> str:
    """A line of a survey for who has not the flags that it names in brackets."""
    return re.sub(r" \(--[^)]*\)", "", line)
