"""PyTorch's convolutions, and where they are slow the same sums as a matrix product."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gans_torch._stated import Weighted
from gans_torch.shapes import Features, Images
from shared.statements import KERNEL, TRANSPOSED_KERNEL


class Conv2d(Weighted, nn.Conv2d):
    """`torch.nn.Conv2d`, which is slow where its kernel covers the whole image.

    There it is one matrix product.
    """

    kind = KERNEL

    def forward(self, input: Images) -> Features:
        """Convolve, as `torch.nn.functional.conv2d` does."""
        return self.convolve(input, self.weight)

    def convolve(self, input: Images, weight: Tensor) -> Features:
        """The same with another weight.

        Args:
            input: images.
            weight: of the shape of the layer's own.
        """
        covers = self.padding == (0, 0) and input.shape[2:] == self.kernel_size
        if not covers or self.groups > 1:
            return self._conv_forward(input, weight, self.bias)
        y = linear(_flat_pixels(input), _flat_pixels(weight), self.bias)
        return y[:, :, None, None]


class ConvTranspose2d(Weighted, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d`, which is slow where its image is a single pixel.

    There it is one matrix product.
    """

    kind = TRANSPOSED_KERNEL

    def forward(self, input: Images, output_size: list[int] | None = None) -> Features:
        """Convolve, as `torch.nn.functional.conv_transpose2d` does."""
        if self.padding != (0, 0) or input.shape[2:] != (1, 1):
            return super().forward(input, output_size)
        y = input.flatten(1) @ _flat_pixels(self.weight)
        y = y.unflatten(1, (*self.kernel_size, -1)).permute(0, 3, 1, 2)
        return y if self.bias is None else y + self.bias[:, None, None]


def _flat_pixels(x: Images) -> Float[Tensor, "batch pixels_and_channels"]:
    """Channels last, as they lie in memory: no copy."""
    return x.permute(0, 2, 3, 1).flatten(1)
