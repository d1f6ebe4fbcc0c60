"""Data to train on: by name, from a folder of images, or arrays in memory."""

import importlib
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What Python itself looks for, and no import of ours.
    return sorted({*__all__, *(x for x in globals() if x.startswith("__"))})
