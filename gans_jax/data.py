"""Data to train on: by name, from a folder of images, or arrays in memory."""

from shared.data.datasets import from_folder, load
from shared.data.image_data import DataInfo, ImageData
from shared.data.memory import from_arrays

__all__ = ["DataInfo", "ImageData", "from_arrays", "from_folder", "load"]
