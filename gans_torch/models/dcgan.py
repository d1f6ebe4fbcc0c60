"""DCGAN's generator and discriminator, at any size of `shared.sizes`.

References:
    Radford et al. 2015, arXiv:1511.06434, section 3 and Figure 1.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gans_torch import layers
from gans_torch.layers import needs_bias
from gans_torch.models.head import Head, Outputs
from gans_torch.models.labels import Labels, with_one_hot
from gans_torch.shapes import Features, Images
from shared import sizes
from shared.sizes import ImageSize


class UpBlock(nn.Module):
    """Transposed convolution, normalisation, ReLU.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        kernel_size: of the transposed convolution; with a stride of 1 and no padding,
            1x1 becomes as large.
        stride: 2 doubles the size, with a kernel of 4x4 and a padding of 1.
        padding: of the transposed convolution.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes of ``conditional-batch``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int | tuple[int, int],
        stride: int,
        padding: int,
        norm: str,
        weight_norm: str,
        num_classes: int,
    ) -> None:
        super().__init__()
        up = layers.ConvTranspose2d(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            bias=needs_bias(norm),
        )
        self.up = layers.reparametrise(up, weight_norm)
        self.norm = layers.build_norm(norm, out_channels, num_classes)

    def forward(self, x: Images, labels: Labels = None) -> Features:
        """Maps of twice the size; of the first block, of the kernel's."""
        return torch.relu(layers.normalise(self.norm, self.up(x), labels))


class DownBlock(nn.Module):
    """Convolution that halves the size, normalisation, LeakyReLU.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        norm: name for `layers.build_norm`.
        bias: whether the convolution has a bias.
        weight_norm: kind for `layers.reparametrise`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: str,
        bias: bool,
        weight_norm: str,
    ) -> None:
        super().__init__()
        conv = layers.Conv2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=bias
        )
        self.conv = layers.reparametrise(conv, weight_norm)
        self.norm = layers.build_norm(norm, out_channels)

    def forward(self, x: Images) -> Features:
        """Images of a quarter of the pixels."""
        return layers.leaky_relu(layers.normalise(self.norm, self.conv(x)))


class DcganGenerator(nn.Module):
    """Latents to images in [-1, 1].

    Channels halve from block to block, down to ``width`` before the image.

    Args:
        z_dim: length of a latent vector.
        width: channels of the last feature map.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes to condition on; 0 for none. The label enters as a one-hot
            vector beside the latents (Mirza and Osindero 2014, arXiv:1411.1784), and
            through the rows of conditional batch norm where that is the norm. Those
            rows alone learn slowly: at Adam's pace of one learning rate a step, a gain
            or bias takes thousands of steps to move by as much as it must.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        width: int,
        image_size: ImageSize,
        channels: int,
        norm: str = "batch",
        weight_norm: str = "none",
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        widths = _widths(width, image_size)[::-1]
        options = {"norm": norm, "weight_norm": weight_norm, "num_classes": num_classes}
        first = UpBlock(
            z_dim + num_classes,
            widths[0],
            kernel_size=sizes.base(image_size),
            stride=1,
            padding=0,
            **options,
        )
        rest = [
            UpBlock(wide, narrow, kernel_size=4, stride=2, padding=1, **options)
            for wide, narrow in itertools.pairwise(widths)
        ]
        self.blocks = nn.ModuleList([first, *rest])
        up = layers.ConvTranspose2d(
            width, channels, kernel_size=4, stride=2, padding=1, bias=needs_bias(norm)
        )
        self.up = layers.reparametrise(up, weight_norm)

    def forward(self, z: Float[Tensor, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        if self.num_classes:
            z = with_one_hot(z, labels, self.num_classes)
        x = z[:, :, None, None]
        for block in self.blocks:
            x = block(x, labels)
        return torch.tanh(self.up(x))


class DcganDiscriminator(nn.Module):
    """Images to logits, one for each image.

    Args:
        width: channels of the first feature map; they double from block to block.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        norm: name for `layers.build_norm`; the first block has none.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: as for `Head`.
        aux_classes: as for `Head`.
        minibatch_discrimination: as for `Head`.
        minibatch_std: as for `Head`.
    """

    def __init__(
        self,
        *,
        width: int,
        image_size: ImageSize,
        channels: int,
        norm: str = "batch",
        weight_norm: str = "none",
        num_classes: int = 0,
        aux_classes: int = 0,
        minibatch_discrimination: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        super().__init__()
        # With batch norm no layer has a bias, as published: sizes are well known.
        bias = norm != "batch"
        widths = _widths(width, image_size)
        self.head = Head(
            channels=widths[-1],
            size=sizes.base(image_size),
            bias=bias,
            weight_norm=weight_norm,
            num_classes=num_classes,
            aux_classes=aux_classes,
            minibatch_discrimination=minibatch_discrimination,
            minibatch_std=minibatch_std,
        )
        first = DownBlock(
            channels, width, norm="none", bias=bias, weight_norm=weight_norm
        )
        rest = [
            DownBlock(
                narrow, wide, norm=norm, bias=needs_bias(norm), weight_norm=weight_norm
            )
            for narrow, wide in itertools.pairwise(widths)
        ]
        self.blocks = nn.ModuleList([first, *rest])

    def forward(self, images: Images, labels: Labels = None) -> Outputs:
        """What D says of images.

        Args:
            images: in [-1, 1].
            labels: class ids, for a conditional discriminator.
        """
        x = images
        for block in self.blocks:
            x = block(x)
        return self.head(x, labels)


def _widths(width: int, image_size: ImageSize) -> list[int]:
    """Channels of D's maps, from the image on: 64 -> [w, 2 w, 4 w, 8 w], to 4x4."""
    return [width << k for k in range(sizes.doublings(image_size))]
