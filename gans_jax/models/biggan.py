"""BigGAN's generator and discriminator, at any size of `shared.sizes`.

References:
    Brock et al. 2019, arXiv:1809.11096, section 3 and appendix B.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from gans_jax import layers
from gans_jax.models.head import Head, Outputs
from gans_jax.models.labels import Labels, class_ids
from gans_jax.shapes import Features, Images
from shared import sizes
from shared.randomness.starts import ONES, ORTHOGONAL
from shared.sizes import ImageSize

# Of images whose base doubles so often, as of 32x32, all maps of a network are equally
# wide, so many times the width; of smaller ones, too.
_SMALL = 3
_SMALL_FACTOR = 4
_WIDEST = 16
# Length of what stands for a class in all of G's blocks.
_SHARED = 128


class UpBlock(nnx.Module):
    """Twice norm, ReLU, 3x3 convolution, the first on twice the size; and a shortcut.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        condition_features: length of what both norms are modulated by.
        weight_norm: kind for `layers.reparametrise`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        condition_features: int,
        weight_norm: str,
    ) -> None:
        self.norm1, self.norm2 = (
            layers.ModulatedBatchNorm2d(
                channels, condition_features, weight_norm, ORTHOGONAL
            )
            for channels in (in_channels, out_channels)
        )
        self.conv1 = _conv(in_channels, out_channels, 3, weight_norm)
        self.conv2 = _conv(out_channels, out_channels, 3, weight_norm)
        self.shortcut = _conv(in_channels, out_channels, 1, weight_norm)

    def __call__(
        self, x: Images, condition: Float[Array, "batch condition_features"]
    ) -> Features:
        """Images of four times the pixels."""
        y = jax.nn.relu(self.norm1(x, condition))
        y = self.conv1(layers.upsample(y))
        y = self.conv2(jax.nn.relu(self.norm2(y, condition)))
        # The same as the convolution of the larger image, in a quarter of the time.
        return y + layers.upsample(self.shortcut(x))


class DownBlock(nnx.Module):
    """Twice ReLU, 3x3 convolution, to half the size or the same; and a shortcut.

    Args:
        in_channels: channels in.
        out_channels: channels out, and between the convolutions.
        is_first: whether it sees the image, of which a ReLU would take half away.
        halves: whether the size is halved.
        weight_norm: kind for `layers.reparametrise`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        is_first: bool,
        halves: bool,
        weight_norm: str,
    ) -> None:
        self.is_first = is_first
        self.halves = halves
        self.conv1 = _conv(in_channels, out_channels, 3, weight_norm)
        self.conv2 = _conv(out_channels, out_channels, 3, weight_norm)
        self.shortcut = (
            _conv(in_channels, out_channels, 1, weight_norm)
            if halves or in_channels != out_channels
            else None
        )

    def __call__(self, x: Images) -> Features:
        """Images of a quarter of the pixels, or as many."""
        y = self.conv1(x if self.is_first else jax.nn.relu(x))
        y = self.conv2(jax.nn.relu(y))
        if self.halves:
            # Before the shortcut's convolution, which then has a quarter to do.
            x, y = layers.average_pool(x), layers.average_pool(y)
        return y + (x if self.shortcut is None else self.shortcut(x))


class BigganGenerator(nnx.Module):
    """Latents to images in [-1, 1].

    Each block has a part of the latents to itself; with what stands for the class, the
    same in all blocks, it modulates the block's norms. The first part, which also has
    what is left over, becomes the smallest map. Pixels attend to each other at half the
    size of the image, or at its own where its base doubles once.

    Args:
        z_dim: length of a latent vector, at least 1 for each block and 1 more.
        width: channels of the last feature map, where the base doubles five times (as
            for 128x128) or more; where four times (64x64), it has twice as many, and
            where less (32x32), all maps have four times as many.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        weight_norm: kind for `layers.reparametrise`; not of what stands for a class.
        num_classes: classes to condition on; 0 for none.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        width: int,
        image_size: ImageSize,
        channels: int,
        weight_norm: str = "none",
        num_classes: int = 0,
    ) -> None:
        widths = _generator_widths(width, image_size)
        blocks = len(widths) - 1
        self.part = z_dim // len(widths)
        self.first_part = z_dim - blocks * self.part
        self.embedding = (
            layers.Embedding(num_classes, _SHARED).starting(ORTHOGONAL)
            if num_classes
            else None
        )
        self.base = sizes.base(image_size)
        linear = layers.Linear(self.first_part, math.prod(self.base) * widths[0])
        self.linear = layers.reparametrise(linear.starting(ORTHOGONAL), weight_norm)
        self.blocks = nnx.List(
            UpBlock(
                wide,
                narrow,
                condition_features=self.part + (_SHARED if num_classes else 0),
                weight_norm=weight_norm,
            )
            for wide, narrow in itertools.pairwise(widths)
        )
        self.attention_after = max(blocks - 1, 1)
        self.attention = layers.SelfAttention(
            widths[self.attention_after], weight_norm, ORTHOGONAL
        )
        norm = layers.BatchNorm2d(widths[-1], eps=1e-5, momentum=0.1)
        self.norm = norm.starting(ONES)
        self.conv = _conv(widths[-1], channels, 3, weight_norm)

    def __call__(self, z: Float[Array, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        first, rest = z[:, : self.first_part], z[:, self.first_part :]
        conditions = jnp.split(rest, len(self.blocks), axis=1)
        if self.embedding is not None:
            shared = self.embedding(class_ids(labels, "generator")).astype(z.dtype)
            conditions = [
                jnp.concatenate([shared, part], axis=1) for part in conditions
            ]
        # Unflattened in PyTorch's order, because the weights are.
        x = self.linear(first).reshape(z.shape[0], -1, *self.base)
        x = x.transpose(0, 2, 3, 1)
        blocks = zip(self.blocks, conditions, strict=True)
        for number, (block, condition) in enumerate(blocks, 1):
            x = block(x, condition)
            if number == self.attention_after:
                x = self.attention(x)
        return jnp.tanh(self.conv(jax.nn.relu(self.norm(x))))


class BigganDiscriminator(nnx.Module):
    """Images to logits, one for each image.

    Its last feature map is summed to a single pixel, of which the head is. After the
    first block, at half the size of the image, pixels attend to each other.

    Args:
        width: channels of the first feature map, where the base doubles four times (as
            for 64x64) or more; they double from block to block, up to 16 times as many.
            Where it doubles less (32x32), all maps have four times as many.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
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
        weight_norm: str = "none",
        num_classes: int = 0,
        aux_classes: int = 0,
        minibatch_discrimination: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        widths, halvings = _discriminator_widths(width, image_size)
        self.blocks = nnx.List(
            DownBlock(
                narrow,
                wide,
                is_first=block == 0,
                halves=block < halvings,
                weight_norm=weight_norm,
            )
            for block, (narrow, wide) in enumerate(
                itertools.pairwise([channels, *widths])
            )
        )
        self.attention = layers.SelfAttention(widths[0], weight_norm, ORTHOGONAL)
        self.head = Head(
            channels=widths[-1],
            size=1,
            bias=True,
            start=ORTHOGONAL,
            table_start=ORTHOGONAL,
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
        first, *rest = self.blocks
        x = self.attention(first(images))
        for block in rest:
            x = block(x)
        return self.head(jax.nn.relu(x).sum(axis=(1, 2), keepdims=True), labels)


def _conv(
    in_channels: int, out_channels: int, size: int, weight_norm: str
) -> nnx.Module:
    conv = layers.Conv2d(in_channels, out_channels, kernel_size=size, padding=size // 2)
    return layers.reparametrise(conv.starting(ORTHOGONAL), weight_norm)


def _generator_widths(width: int, image_size: ImageSize) -> list[int]:
    """Channels of G's maps, from the smallest on.

    32 -> [4 w, 4 w, 4 w, 4 w], 64 -> [16 w, 16 w, 8 w, 4 w, 2 w], 128 -> [..., w].
    """
    doublings = sizes.doublings(image_size)
    if doublings <= _SMALL:
        return [_SMALL_FACTOR * width] * (doublings + 1)
    most = max(doublings, 5)
    octaves = range(most, most - doublings - 1, -1)
    return [width * min(1 << k, _WIDEST) for k in octaves]


def _discriminator_widths(width: int, image_size: ImageSize) -> tuple[list[int], int]:
    """Channels of D's maps, one for each block, and how many blocks halve the size.

    32 -> [4 w, 4 w, 4 w, 4 w], 2 (to 8x8); 64 -> [w, 2 w, ..., 16 w], 4 (to 4x4);
    128 -> [w, 2 w, ..., 16 w, 16 w], 5 (to 4x4).
    """
    doublings = sizes.doublings(image_size)
    if doublings <= _SMALL:
        halvings = max(doublings - 1, 1)
        return [_SMALL_FACTOR * width] * (halvings + 2), halvings
    return [width * min(1 << k, _WIDEST) for k in range(doublings + 1)], doublings
