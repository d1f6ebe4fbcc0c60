"""What is measured: published experiments, on images of the right size."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared import sizes
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData

_COUNT = 2048


@dataclasses.dataclass(frozen=True)
class Case:
    """One training configuration, and the images that it trains on."""

    config: TrainConfig
    channels: int
    """Channels of the images: 1 (grey) or 3 (colour)."""
    original_size: int
    """Height and width of the images before they are resized."""

    @property
    def data_info(self) -> DataInfo:
        """What the backends must know of the data."""
        return DataInfo(self.channels, 0, max(_COUNT, self.config.batch_size), "")

    def originals(self) -> NDArray[np.uint8]:
        """Images before resizing, of random pixels: [count, size, size, channels]."""
        shape = (self.data_info.count, *[self.original_size] * 2, self.channels)
        return np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def data(self) -> ImageData:
        """The images as the twins hold them: resized once, before training."""
        height, width = sizes.height_and_width(self.config.image_size)
        resized = [
            np.asarray(to_image(pixels).resize((width, height)))
            for pixels in self.originals()
        ]
        images = np.stack(resized).reshape(-1, height, width, self.channels)
        return ImageData(images, None, (), self.data_info)


def to_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """A Pillow image of [height, width, channels], grey or colour."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


CASES: dict[str, Case] = {
    # The default run: 32x32, width 32, batch 64.
    "small": Case(PRESETS["dcgan"], channels=1, original_size=28),
    # 64x64, width 64: three channels and batch 128; grey and 64; five critic updates.
    "dcgan-64": Case(PRESETS["dcgan-cifar10"], channels=3, original_size=32),
    "gan-64": Case(PRESETS["gan-mnist"], channels=1, original_size=28),
    "wgan-gp-64": Case(PRESETS["wgan-gp-mnist"], channels=1, original_size=28),
    # The small ones: 32x32, 16x16 and 32x32, as their presets have them.
    "sngan-32": Case(PRESETS["sngan"], channels=1, original_size=28),
    "r3gan": Case(PRESETS["r3gan"], channels=1, original_size=28),
    "stylegan2": Case(PRESETS["stylegan2"], channels=1, original_size=28),
}
