"""R3GAN's generator and discriminator, at any size of `shared.sizes`.

References:
    Huang et al. 2024, arXiv:2501.05441, section 3.4 and appendix B.
"""

import itertools
import math

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from gans_jax import layers
from gans_jax.models.head import Outputs
from gans_jax.models.labels import Labels, class_ids
from gans_jax.shapes import Features, Images
from shared import sizes
from shared.randomness.starts import ZEROS, FanIn, Normal
from shared.sizes import ImageSize
from shared.statements import CONSTANT_INPUT, Statement

_BLOCKS = 2
_EXPANSION = 2
# Of the widths in use: 768 in 96 groups, 384 in 48.
_GROUP = 8
# So often an image doubles before its maps become thinner: up to 32x32, where it starts
# from 4x4.
_WIDE_DOUBLINGS = 3
_CLASS_FEATURES = 64


class ResidualBlock(nnx.Module):
    """x + conv1(lrelu(conv3(lrelu(conv1(x))))), twice as wide inside, without any norm.

    Its last convolution starts at 0, so that it starts as the identity (fix-up).

    Args:
        width: channels in and out; the inner convolution has a group for each 8 of
            them, or as many fewer as divide its own.
        depth: blocks of the whole network, by which the others start smaller.

    References:
        Zhang et al. 2019, arXiv:1901.09321 (fix-up initialisation).
    """

    def __init__(self, width: int, *, depth: int) -> None:
        inner = _EXPANSION * width
        # Of a leaky ReLU with slope 0.2; and depth^(-1/4), as a deviation.
        start = FanIn(2 / (1 + 0.2**2) / math.sqrt(depth))
        self.conv1 = layers.Conv2d(width, inner, kernel_size=1).starting(start)
        self.conv2 = layers.Conv2d(
            inner, inner, kernel_size=3, padding=1, groups=_groups(width)
        ).starting(start)
        self.conv3 = layers.Conv2d(inner, width, kernel_size=1, bias=False)
        self.conv3.starting(ZEROS)

    def __call__(self, x: Images) -> Images:
        """Images of the same size and width."""
        y = layers.leaky_relu(self.conv1(x))
        y = layers.leaky_relu(self.conv2(y))
        return x + self.conv3(y)


class _Stage(nnx.Module):
    """Another width where it changes, and residual blocks; see those made of it."""

    def __init__(self, in_channels: int, width: int, *, depth: int) -> None:
        self.change = _conv1(in_channels, width) if in_channels != width else None
        self.blocks = _blocks(width, depth)


class UpStage(_Stage):
    """Another width where it changes, twice the size, then residual blocks.

    Args:
        in_channels: channels in.
        width: channels out.
        depth: as for `ResidualBlock`.
    """

    def __call__(self, x: Images) -> Features:
        """Images of four times the pixels."""
        x = layers.blur_upsample(x if self.change is None else self.change(x))
        for block in self.blocks:
            x = block(x)
        return x


class DownStage(_Stage):
    """Half the size, another width where it changes, then residual blocks.

    Args:
        in_channels: channels in.
        width: channels out.
        depth: as for `ResidualBlock`.
    """

    def __call__(self, x: Images) -> Features:
        """Images of a quarter of the pixels."""
        x = layers.blur_downsample(x)
        x = x if self.change is None else self.change(x)
        for block in self.blocks:
            x = block(x)
        return x


class R3ganGenerator(nnx.Module):
    """Latents to images, which no tanh bounds.

    Args:
        z_dim: length of a latent vector.
        width: channels of the maps, from the fourth doubling on halved with each.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        num_classes: classes to condition on; 0 for none. A label's 64 features stand
            beside the latents.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        width: int,
        image_size: ImageSize,
        channels: int,
        num_classes: int = 0,
    ) -> None:
        self.embedding = (
            layers.Embedding(num_classes, _CLASS_FEATURES).starting(
                Normal(1 / math.sqrt(num_classes))
            )
            if num_classes
            else None
        )
        features = z_dim + (_CLASS_FEATURES if num_classes else 0)
        base, widths = sizes.base(image_size), _widths(width, image_size)
        depth = _BLOCKS * len(widths)
        self.linear = layers.Linear(features, widths[0], bias=False)
        self.linear.starting(FanIn(1.0))
        self.basis = nnx.Param(jnp.zeros((*base, widths[0])))
        self.blocks = _blocks(widths[0], depth)
        self.stages = nnx.List(
            UpStage(wide, narrow, depth=depth)
            for wide, narrow in itertools.pairwise(widths)
        )
        self.conv = _conv1(widths[-1], channels)

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"basis": Statement(CONSTANT_INPUT, Normal(1.0))}

    def __call__(self, z: Float[Array, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        if self.embedding is not None:
            of_class = self.embedding(class_ids(labels, "generator"))
            z = jnp.concatenate([z, of_class.astype(z.dtype)], axis=1)
        x = self.linear(z)[:, None, None, :]
        x = x * self.basis[...][None].astype(x.dtype)
        for part in (*self.blocks, *self.stages):
            x = part(x)
        return self.conv(x)


class R3ganDiscriminator(nnx.Module):
    """Images to logits, one for each image.

    Args:
        width: as for `R3ganGenerator`.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        num_classes: classes to condition on; 0 for none. The logit is then the product
            of the image's features and the label's.
    """

    def __init__(
        self, *, width: int, image_size: ImageSize, channels: int, num_classes: int = 0
    ) -> None:
        widths = _widths(width, image_size)[::-1]
        depth = _BLOCKS * len(widths)
        self.conv = _conv1(channels, widths[0])
        self.blocks = _blocks(widths[0], depth)
        self.stages = nnx.List(
            DownStage(narrow, wide, depth=depth)
            for narrow, wide in itertools.pairwise(widths)
        )
        last = widths[-1]
        self.base = sizes.base(image_size)
        self.basis = nnx.Param(jnp.zeros((*self.base, last)))
        self.linear = layers.Linear(last, last if num_classes else 1, bias=False)
        self.linear.starting(FanIn(1.0))
        self.embedding = (
            layers.Embedding(num_classes, last).starting(
                Normal(1 / math.sqrt(last * num_classes))
            )
            if num_classes
            else None
        )

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        # Each feature is a sum over all pixels.
        root = math.sqrt(math.prod(self.base))
        return {"basis": Statement(CONSTANT_INPUT, Normal(1 / root))}

    def __call__(self, images: Images, labels: Labels = None) -> Outputs:
        """What D says of images.

        Args:
            images: near [-1, 1].
            labels: class ids, for a conditional discriminator.

        Raises:
            UsageError: a conditional discriminator got no labels.
        """
        x = self.conv(images)
        for part in (*self.blocks, *self.stages):
            x = part(x)
        features = (x * self.basis[...][None]).sum(axis=(1, 2), keepdims=True)
        features = features.astype(x.dtype)
        logits = self.linear(features.reshape(len(features), -1))
        if self.embedding is not None:
            of_class = self.embedding(class_ids(labels, "discriminator"))
            logits = (logits * of_class).sum(axis=1, keepdims=True)
        return Outputs(logits.reshape(-1), features, None)


def _conv1(in_channels: int, out_channels: int) -> layers.Conv2d:
    conv = layers.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
    return conv.starting(FanIn(1.0))


def _blocks(width: int, depth: int) -> nnx.List:
    return nnx.List(ResidualBlock(width, depth=depth) for _ in range(_BLOCKS))


def _groups(width: int) -> int:
    most = max(width // _GROUP, 1)
    return next(g for g in range(most, 0, -1) if _EXPANSION * width % g == 0)


def _widths(width: int, image_size: ImageSize) -> list[int]:
    """Channels of the stages from the smallest map on: 64 -> [w, w, w, w, w/2]."""
    stages = range(sizes.doublings(image_size) + 1)
    return [max(width >> max(k - _WIDE_DOUBLINGS, 0), 1) for k in stages]
