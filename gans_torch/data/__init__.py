"""Data to train on: by name, from a folder of images, or arrays in memory."""

from typing import TYPE_CHECKING

from shared.lazy import front_door

if TYPE_CHECKING:
    from shared.data.arrays import from_arrays
    from shared.data.datasets import from_folder, load
    from shared.data.image_data import DataInfo, ImageData

__all__ = ["DataInfo", "ImageData", "from_arrays", "from_folder", "load"]

# Imported when they are asked for: the command's help and refusals need no NumPy.
_HOMES = {
    "shared.data.datasets": ("from_folder", "load"),
    "shared.data.image_data": ("DataInfo", "ImageData"),
    "shared.data.arrays": ("from_arrays",),
}

__getattr__, __dir__ = front_door(__name__, _HOMES)
