"""Residual generator and discriminator, at any size of `shared.sizes`.

References:
    Gulrajani et al. 2017, arXiv:1704.00028, appendix F (32 pixels).
    Miyato et al. 2018, arXiv:1802.05957, Tables 4 and 5 (32 and 48 pixels); their
        code (64).
    Miyato and Koyama 2018, arXiv:1802.05637 (classes).
    Zhang et al. 2019, arXiv:1805.08318 (attention).
"""

import itertools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from gans_jax import layers
from gans_jax.models.head import Head, Outputs
from gans_jax.models.labels import Labels, class_ids, with_one_hot
from gans_jax.shapes import Features, Images
from shared import sizes
from shared.randomness.starts import GLOROT, GLOROT_RELU, ONES
from shared.sizes import ImageSize
from shared.statements import Start

# Up to this size, of the shorter side, all maps of a network are equally wide.
_SMALL = 32
_WIDEST = 16
# Of D, above: until the last is the widest.
_LEAST_BLOCKS = 5
# Squares of which D halves once more than G doubles, as published.
_TO_HALF_THE_BASE = (48, 64)


class UpBlock(nnx.Module):
    """Twice norm, ReLU, 3x3 convolution, the first on twice the size; and a shortcut.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes of ``conditional-batch``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: str,
        weight_norm: str,
        num_classes: int,
    ) -> None:
        self.norm1 = layers.build_norm(norm, in_channels, num_classes, ONES)
        self.conv1 = _conv3(in_channels, out_channels, weight_norm)
        self.norm2 = layers.build_norm(norm, out_channels, num_classes, ONES)
        self.conv2 = _conv3(out_channels, out_channels, weight_norm)
        self.shortcut = _conv1(in_channels, out_channels, weight_norm)

    def __call__(self, x: Images, labels: Labels = None) -> Features:
        """Images of four times the pixels."""
        y = jax.nn.relu(layers.normalise(self.norm1, x, labels))
        y = self.conv1(layers.upsample(y))
        y = self.conv2(jax.nn.relu(layers.normalise(self.norm2, y, labels)))
        # The same as the convolution of the larger image, in a quarter of the time.
        return y + layers.upsample(self.shortcut(x))


class FirstBlock(nnx.Module):
    """D's first: convolution, ReLU, convolution, to half the size; and a shortcut.

    No ReLU comes before, as it would take half of the image away.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        weight_norm: kind for `layers.reparametrise`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, weight_norm: str
    ) -> None:
        self.conv1 = _conv3(in_channels, out_channels, weight_norm)
        self.conv2 = _conv3(out_channels, out_channels, weight_norm)
        self.shortcut = _conv1(in_channels, out_channels, weight_norm)

    def __call__(self, x: Images) -> Features:
        """Images of a quarter of the pixels."""
        y = self.conv2(jax.nn.relu(self.conv1(x)))
        return layers.average_pool(y) + self.shortcut(layers.average_pool(x))


class DownBlock(nnx.Module):
    """Twice norm, ReLU, 3x3 convolution, to half the size or the same; and a shortcut.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        halves: whether the size is halved.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        halves: bool,
        norm: str,
        weight_norm: str,
    ) -> None:
        self.halves = halves
        self.norm1 = layers.build_norm(norm, in_channels, start=ONES)
        self.conv1 = _conv3(in_channels, in_channels, weight_norm)
        self.norm2 = layers.build_norm(norm, in_channels, start=ONES)
        self.conv2 = _conv3(in_channels, out_channels, weight_norm)
        self.shortcut = (
            _conv1(in_channels, out_channels, weight_norm)
            if halves or in_channels != out_channels
            else None
        )

    def __call__(self, x: Images) -> Features:
        """Images of a quarter of the pixels, or as many."""
        y = self.conv1(jax.nn.relu(layers.normalise(self.norm1, x)))
        y = self.conv2(jax.nn.relu(layers.normalise(self.norm2, y)))
        if self.halves:
            # Before the shortcut's convolution, which then has a quarter to do.
            x, y = layers.average_pool(x), layers.average_pool(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


class ResnetGenerator(nnx.Module):
    """Latents to images in [-1, 1].

    Every convolution has a bias, as in all public code, also where a norm cancels it.

    Args:
        z_dim: length of a latent vector.
        width: channels of the last feature map. Up to 32x32 (of rectangles the shorter
            side counts) all maps are as wide; of larger images, channels halve from
            block to block, from 16 times ``width`` at most.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes to condition on; 0 for none. With ``conditional-batch`` the
            label chooses the blocks' gains and biases, and nothing else; with another
            norm it enters as a one-hot vector beside the latents.
        factor: up to 32x32, how many times as wide it is as ``width`` says.
        attention: whether pixels attend to each other, at half the size of the image
            (its own, where its base doubles once) or, where that is less, where the
            first map has doubled three times.
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
        factor: int = 1,
        attention: bool = False,
    ) -> None:
        self.num_classes = num_classes
        is_conditional = norm == "conditional-batch"
        self.one_hot = 0 if is_conditional else num_classes
        widths = _generator_widths(width, image_size, factor)
        self.base = sizes.base(image_size)
        linear = layers.Linear(z_dim + self.one_hot, math.prod(self.base) * widths[0])
        self.linear = layers.reparametrise(linear.starting(GLOROT), weight_norm)
        self.blocks = nnx.List(
            UpBlock(
                wide,
                narrow,
                norm=norm,
                weight_norm=weight_norm,
                num_classes=num_classes,
            )
            for wide, narrow in itertools.pairwise(widths)
        )
        self.attention_after = max(min(len(self.blocks) - 1, 3), 1)
        self.attention = (
            layers.SelfAttention(widths[self.attention_after], weight_norm, GLOROT)
            if attention
            else None
        )
        last = "batch" if is_conditional else norm
        self.norm = layers.build_norm(last, widths[-1], start=ONES)
        self.conv = _conv3(widths[-1], channels, weight_norm, GLOROT)

    def __call__(self, z: Float[Array, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        if self.num_classes:
            labels = class_ids(labels, "generator")
        if self.one_hot:
            z = with_one_hot(z, labels, self.one_hot)
        # Unflattened in PyTorch's order, because the weights are.
        x = self.linear(z).reshape(z.shape[0], -1, *self.base)
        x = x.transpose(0, 2, 3, 1)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, labels)
            if self.attention is not None and number == self.attention_after:
                x = self.attention(x)
        return jnp.tanh(self.conv(jax.nn.relu(layers.normalise(self.norm, x))))


class ResnetDiscriminator(nnx.Module):
    """Images to logits, one for each image.

    Its last feature map is pooled to a single pixel, of which the head is.

    Args:
        width: channels of the first feature map. Up to 32x32 (of rectangles the shorter
            side counts) all maps are as wide; of larger images, channels double from
            block to block, up to 16 times as many.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        norm: name for `layers.build_norm`; the first block has none.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: as for `Head`.
        aux_classes: as for `Head`.
        minibatch_discrimination: as for `Head`.
        minibatch_std: as for `Head`.
        pool: over the pixels of the last feature map: ``sum`` or ``mean``.
        attention: whether pixels attend to each other, after the second block.
    """

    def __init__(
        self,
        *,
        width: int,
        image_size: ImageSize,
        channels: int,
        norm: str = "none",
        weight_norm: str = "none",
        num_classes: int = 0,
        aux_classes: int = 0,
        minibatch_discrimination: int = 0,
        minibatch_std: int = 0,
        pool: Literal["sum", "mean"] = "sum",
        attention: bool = False,
    ) -> None:
        self.pool = pool
        widths, halvings = _discriminator_widths(width, image_size)
        first = FirstBlock(channels, width, weight_norm=weight_norm)
        rest = [
            DownBlock(
                narrow,
                wide,
                halves=block < halvings,
                norm=norm,
                weight_norm=weight_norm,
            )
            for block, (narrow, wide) in enumerate(itertools.pairwise(widths), 1)
        ]
        self.blocks = nnx.List([first, *rest])
        self.attention_after = 2  # of the blocks, as in the authors' code
        self.attention = (
            layers.SelfAttention(widths[1], weight_norm, GLOROT) if attention else None
        )
        self.head = Head(
            channels=widths[-1],
            size=1,
            bias=True,
            start=GLOROT,
            table_start=GLOROT,
            weight_norm=weight_norm,
            num_classes=num_classes,
            aux_classes=aux_classes,
            minibatch_discrimination=minibatch_discrimination,
            minibatch_std=minibatch_std,
        )

    def __call__(self, images: Images, labels: Labels = None) -> Outputs:
        """What D says of images.

        Args:
            images: in [-1, 1].
            labels: class ids, for a conditional discriminator.
        """
        x = images
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if self.attention is not None and number == self.attention_after:
                x = self.attention(x)
        x = jax.nn.relu(x)
        pool = jnp.sum if self.pool == "sum" else jnp.mean
        return self.head(pool(x, axis=(1, 2), keepdims=True), labels)


def _conv3(
    in_channels: int, out_channels: int, weight_norm: str, start: Start = GLOROT_RELU
) -> nnx.Module:
    conv = layers.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    return layers.reparametrise(conv.starting(start), weight_norm)


def _conv1(in_channels: int, out_channels: int, weight_norm: str) -> nnx.Module:
    conv = layers.Conv2d(in_channels, out_channels, kernel_size=1)
    return layers.reparametrise(conv.starting(GLOROT), weight_norm)


def _generator_widths(width: int, image_size: ImageSize, factor: int) -> list[int]:
    """Channels of G's maps, from the smallest on.

    32 -> [w, w, w, w], 48 -> [8 w, ..., w], 64 -> [16 w, ..., w].
    """
    doublings = sizes.doublings(image_size)
    if sizes.shorter(image_size) <= _SMALL:
        return [factor * width] * (doublings + 1)
    return [width * min(1 << k, _WIDEST) for k in reversed(range(doublings + 1))]


def _discriminator_widths(width: int, image_size: ImageSize) -> tuple[list[int], int]:
    """Channels of D's maps, one for each block, and how many blocks halve the size.

    32 -> [w, w, w, w], 2 (to 8x8); 48 -> [w, ..., 16 w], 4 (to 3x3); 64 -> the same, 5
    (to 2x2). Else the smallest map is of the base: 40 -> [w, ..., 16 w], 3 (to 5x5);
    48x64 -> [w, ..., 16 w], 3 (to 6x8).
    """
    doublings = sizes.doublings(image_size)
    if sizes.shorter(image_size) <= _SMALL:
        halvings = max(doublings - 1, 1)
        return [width] * (halvings + 2), halvings
    blocks = max(doublings + 1, _LEAST_BLOCKS)
    widths = [width * min(1 << k, _WIDEST) for k in range(blocks)]
    return widths, doublings + (1 if image_size in _TO_HALF_THE_BASE else 0)
