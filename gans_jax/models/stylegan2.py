"""StyleGAN2's generator and discriminator, at any size of `shared.sizes`.

References:
    Karras et al. 2020, arXiv:1912.04958.
    Karras et al. 2020, arXiv:2006.06676 (its conditional form, and that for CIFAR-10).
"""

import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from gans_jax import distribution, layers
from gans_jax.equalized import (
    EqualConv2d,
    EqualLinear,
    StyledConv2d,
    StyledOutput,
    activate,
    unit,
)
from gans_jax.models.head import Outputs
from gans_jax.models.labels import Labels, class_ids
from gans_jax.shapes import Features, Images
from shared import sizes
from shared.randomness.starts import ZEROS, Normal
from shared.sizes import ImageSize
from shared.statements import (
    AVERAGE_STYLE,
    CONSTANT_INPUT,
    RUNNING_NUMBER,
    Statement,
)

# Layers of D's mapping of labels.
_LABEL_LAYERS = 8
# What a mapping network's learning rate is multiplied by.
_MAPPING_RATE = 0.01
# What a sum of two independent maps is multiplied by, to have the mean square of each.
_ROOT_HALF = 1 / math.sqrt(2)
# Share of a batch's mean style in the average of styles.
_AVERAGE_SHARE = 0.005


class MappingNetwork(nnx.Module):
    """Latents, labels or both to styles, or to what stands for a class.

    Args:
        in_features: length of a latent vector; 0 where there are labels alone.
        features: length of a style.
        depth: layers.
        num_classes: classes; 0 for none.
    """

    def __init__(
        self, *, in_features: int, features: int, depth: int, num_classes: int
    ) -> None:
        self.num_classes = num_classes
        self.embedding = EqualLinear(num_classes, features) if num_classes else None
        lengths = [in_features + (features if num_classes else 0)]
        lengths += [features] * depth
        self.layers = nnx.List(
            EqualLinear(before, after, lr_multiplier=_MAPPING_RATE)
            for before, after in itertools.pairwise(lengths)
        )

    def __call__(
        self, z: Float[Array, "batch in_features"] | None, labels: Labels = None
    ) -> Float[Array, "batch features"]:
        """The style of each sample.

        Args:
            z: latents; None where there are labels alone.
            labels: class ids, where there are classes.
        """
        parts = [] if z is None else [unit(z)]
        if self.embedding is not None:
            assert labels is not None, "who has this network has asked for them"
            dtype = self.embedding.weight.dtype if z is None else z.dtype
            one_hot = jax.nn.one_hot(labels, self.num_classes, dtype=dtype)
            parts.append(unit(self.embedding(one_hot)))
        x = jnp.concatenate(parts, axis=1)
        for layer in self.layers:
            x = activate(layer(x))
        return x


class Stylegan2Generator(nnx.Module):
    """Latents to images, which no tanh bounds.

    A mapping network makes a style of the latents; in that style a constant becomes
    larger and larger maps, each of which adds to the image what it has of it.

    Args:
        z_dim: length of a latent vector, and of a style.
        width: channels of the last map; they double with every halving of the size, up
            to ``z_dim``.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        num_classes: classes to condition on; 0 for none.
        mapping_layers: layers of the mapping network.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        width: int,
        image_size: ImageSize,
        channels: int,
        num_classes: int = 0,
        mapping_layers: int = 8,
    ) -> None:
        self.mapping = MappingNetwork(
            in_features=z_dim,
            features=z_dim,
            depth=mapping_layers,
            num_classes=num_classes,
        )
        widths = _widths(width, image_size, z_dim)[::-1]
        base = sizes.base(image_size)
        self.constant = nnx.Param(jnp.zeros((*base, widths[0])))
        places = [(widths[0], widths[0], base, False)]
        for stage, (wide, narrow) in enumerate(itertools.pairwise(widths), 1):
            size = base[0] << stage, base[1] << stage
            places += [(wide, narrow, size, True), (narrow, narrow, size, False)]
        self.convs = nnx.List(
            StyledConv2d(
                before, after, style_features=z_dim, size=size, upsamples=upsamples
            )
            for before, after, size, upsamples in places
        )
        self.outputs = nnx.List(
            StyledOutput(wide, channels, style_features=z_dim) for wide in widths
        )
        self.sizes = [size for _, _, size, _ in places]
        self.average_style = nnx.BatchStat(jnp.zeros(z_dim))
        self.path_length = nnx.BatchStat(jnp.zeros(()))
        self.use_running_average = False

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {
            "constant": Statement(CONSTANT_INPUT, Normal(1.0)),
            "average_style": Statement(AVERAGE_STYLE, ZEROS),
            "path_length": Statement(RUNNING_NUMBER, ZEROS),
        }

    def __call__(
        self,
        z: Float[Array, "batch z_dim"],
        labels: Labels = None,
        noise: Float[Array, "batch numbers"] | None = None,
        other_z: Float[Array, "batch z_dim"] | None = None,
        mixed: Bool[Array, " layers"] | None = None,
        offsets: Float[Array, "layers batch z_dim"] | None = None,
    ) -> Images:
        """Images of latents; in training mode, the average of styles advances.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.
            noise: the maps of all layers, one after the other; None: the layers' own.
            other_z: latents whose styles are mixed in.
            mixed: which layers have these.
            offsets: what is added to the styles, to differentiate by.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        if self.mapping.embedding is not None:
            labels = class_ids(labels, "generator")
        w = self.mapping(z, labels)
        if not self.use_running_average:
            self._track(w)
        styles = jnp.broadcast_to(w, (len(self.convs) + 1, *w.shape))
        if other_z is not None and mixed is not None:
            other = self.mapping(other_z, labels)
            styles = jnp.where(mixed[:, None, None], other[None], styles)
        return self.synthesise(styles if offsets is None else styles + offsets, noise)

    def synthesise(
        self,
        styles: Float[Array, "layers batch z_dim"],
        noise: Float[Array, "batch numbers"] | None = None,
    ) -> Images:
        """Images of styles.

        Args:
            styles: of each convolution, and of the last output; the outputs before it
                share theirs with the convolution that follows.
            noise: the maps of all layers, as above.
        """
        maps: list[Array | None] = [None] * len(self.convs)
        if noise is not None:
            ends = list(itertools.accumulate(map(math.prod, self.sizes)))
            parts = jnp.split(noise, ends[:-1], axis=1)
            pairs = zip(parts, self.sizes, strict=True)
            maps = [part.reshape(-1, *size) for part, size in pairs]
        constant = self.constant[...].astype(styles.dtype)
        x = jnp.broadcast_to(constant[None], (styles.shape[1], *constant.shape))
        x = self.convs[0](x, styles[0], maps[0])
        image = self.outputs[0](x, styles[1])
        for stage, output in enumerate(list(self.outputs)[1:]):
            for k in (2 * stage + 1, 2 * stage + 2):
                x = self.convs[k](x, styles[k], maps[k])
            own = output(x, styles[2 * stage + 3])
            image = layers.blur_upsample(image) + own
        return image

    def _track(self, w: Float[Array, "batch z_dim"]) -> None:
        before = self.average_style[...]
        mean = distribution.average(w.astype(before.dtype).mean(axis=0))
        change = jax.lax.stop_gradient(mean) - before
        self.average_style[...] = before + _AVERAGE_SHARE * change


class DownBlock(nnx.Module):
    """Two 3x3 convolutions, the second to half the size; and a shortcut, or none.

    y = (sqrt(2) max(c, 0.2 c) + s) / sqrt(2), from the last convolution and a shortcut

    Args:
        in_channels: channels in, and between the convolutions.
        out_channels: channels out.
        residual: whether there is a shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, *, residual: bool) -> None:
        self.conv1 = EqualConv2d(in_channels, in_channels, 3, padding=1)
        self.conv2 = EqualConv2d(in_channels, out_channels, 3, stride=2)
        # The factor is the kernel's: a result's is rounded to float32 by XLA on a GPU.
        self.shortcut = (
            EqualConv2d(in_channels, out_channels, 1, bias=False, factor=_ROOT_HALF)
            if residual
            else None
        )

    def __call__(self, x: Images) -> Features:
        """Images of a quarter of the pixels."""
        y = activate(self.conv1(x))
        y = self.conv2(layers.blur(y, padding=2))
        if self.shortcut is None:
            return activate(y)
        return layers.leaky_relu(y) + self.shortcut(layers.blur_downsample(x))


class Stylegan2Discriminator(nnx.Module):
    """Images to logits, one for each image.

    Args:
        width: channels of the first map; they double with every halving of the size,
            up to ``widest``.
        widest: most channels of a map.
        image_size: height and width of the image; see `shared.sizes`.
        channels: channels of the image.
        num_classes: classes to condition on; 0 for none. The logit is then the product
            of the image's features and the label's.
        minibatch_std: group size of `layers.MinibatchStd`, or 0.
        residual: whether blocks have shortcuts.
    """

    def __init__(
        self,
        *,
        width: int,
        widest: int,
        image_size: ImageSize,
        channels: int,
        num_classes: int = 0,
        minibatch_std: int = 0,
        residual: bool = True,
    ) -> None:
        widths = _widths(width, image_size, widest)
        base, last = sizes.base(image_size), widths[-1]
        self.conv = EqualConv2d(channels, widths[0], 1)
        self.blocks = nnx.List(
            DownBlock(narrow, wide, residual=residual)
            for narrow, wide in itertools.pairwise(widths)
        )
        self.minibatch_std = (
            layers.MinibatchStd(minibatch_std) if minibatch_std else None
        )
        seen = last + (1 if minibatch_std else 0)
        self.last_conv = EqualConv2d(seen, last, 3, padding=1)
        self.whole = EqualConv2d(last, last, base)  # all pixels at once: a linear map
        self.linear = EqualLinear(last, last if num_classes else 1)
        self.mapping = (
            MappingNetwork(
                in_features=0,
                features=last,
                depth=_LABEL_LAYERS,
                num_classes=num_classes,
            )
            if num_classes
            else None
        )

    def __call__(self, images: Images, labels: Labels = None) -> Outputs:
        """What D says of images.

        Args:
            images: near [-1, 1].
            labels: class ids, for a conditional discriminator.

        Raises:
            UsageError: a conditional discriminator got no labels.
        """
        if self.mapping is not None:
            labels = class_ids(labels, "discriminator")
        x = activate(self.conv(images))
        for block in self.blocks:
            x = block(x)
        if self.minibatch_std is not None:
            spread = self.minibatch_std(x)[:, None, None, None]
            spread = jnp.broadcast_to(spread, (*x.shape[:3], 1))
            x = jnp.concatenate([x, spread], axis=3)
        features = activate(self.last_conv(x))
        logits = self.linear(activate(self.whole(features)).reshape(len(x), -1))
        if self.mapping is not None:
            logits = (logits * self.mapping(None, labels)).sum(axis=1)
            logits = logits / math.sqrt(features.shape[3])
        return Outputs(logits.reshape(-1), features, None)


def _widths(width: int, image_size: ImageSize, widest: int) -> list[int]:
    """Channels of the maps, from the image's size down: 32 -> [w, 2 w, 4 w, 8 w]."""
    octaves = range(sizes.doublings(image_size) + 1)
    return [min(width << k, widest) for k in octaves]
