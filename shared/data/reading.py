"""How the images of a data set are read: what a user may choose."""

from typing import NamedTuple

from shared.config.choices import Channels, Crop
from shared.config.train_config import TrainConfig


class Reading(NamedTuple):
    """How images are read, besides their size; fields as in `TrainConfig`."""

    channels: Channels = "auto"
    """Grey, colour, or as the files are."""
    crop: Crop = "centre"
    """How images get their shape."""
    pixel_bits: int | None = None
    """Bits that are in use of each value; None: all."""

    @property
    def tag(self) -> str:
        """Ends the name of the cache of images that are read so; often empty."""
        chosen = (x for x, usual in zip(self, Reading(), strict=True) if x != usual)
        return "".join(f"-{value}" for value in chosen)

    def count_channels(self, has_colour: bool) -> int:
        """Channels of the images: 1 (grey) or 3 (colour).

        Args:
            has_colour: whether one of them is in colour.
        """
        return {"auto": 3 if has_colour else 1, "grey": 1, "colour": 3}[self.channels]


def reading_of(config: TrainConfig) -> Reading:
    """How a run reads its images."""
    return Reading(*(getattr(config, name) for name in Reading._fields))
