"""Floating-point operations that one training step needs, counted from its layers.

Counted are the products of the convolutions (and minibatch discrimination's matrix
product), two operations for each multiply-add, and padding as if it were pixels; what
normalisations, activations and optimisers do is left out. Only what the mathematics
needs counts: no weight gradients of D in G's update, no gradient for a constant input.
"""

import dataclasses
import itertools
import math

from shared import sizes
from shared.config.train_config import TrainConfig
from shared.config.traits import PENALTIES

COUNTED = ("dcgan",)
"""Architectures that the counts below know."""
_KERNEL = 4
# `layers.MinibatchDiscrimination`'s kernel_size.
_DISCRIMINATION_SIZE = 16


@dataclasses.dataclass(frozen=True)
class NetworkFlops:
    """Operations of one forward pass for one image, layer by layer.

    The gradient with respect to a layer's input, or its weight, takes as many again.
    """

    blocks: tuple[int, ...]
    """Convolutions that follow each other, from the input on."""
    heads: tuple[int, ...] = ()
    """Layers that all read the last block's output; the first one makes the logits."""

    @property
    def forward(self) -> int:
        """One pass through the network."""
        return sum(self.blocks) + sum(self.heads)

    @property
    def weight_gradient(self) -> int:
        """Gradients with respect to every weight."""
        return self.forward

    @property
    def inner_gradient(self) -> int:
        """Gradients with respect to every layer's input but the network's own."""
        return self.forward - self.blocks[0]

    @property
    def input_gradient(self) -> int:
        """Gradients down to the network's input."""
        return self.forward


def generator_flops(
    config: TrainConfig, channels: int, num_classes: int = 0
) -> NetworkFlops:
    """Operations of G for one image.

    Args:
        config: the run's configuration.
        channels: channels of the images.
        num_classes: classes of the data, which a conditional G meets beside z.
    """
    # A transposed convolution meets its kernel once for each *input* pixel.
    widths = _widths(config)[::-1]
    base = sizes.base(config.image_size)
    labels = num_classes if config.conditional else 0
    first = _conv(config.z_dim + labels, widths[0], pixels=1, kernel=base)
    rest = [
        _conv(before, after, math.prod(base) << 2 * k)
        for k, (before, after) in enumerate(itertools.pairwise([*widths, channels]))
    ]
    return NetworkFlops((first, *rest))


def discriminator_flops(
    config: TrainConfig, channels: int, num_classes: int = 0
) -> NetworkFlops:
    """Operations of D for one image.

    Args:
        config: the run's configuration.
        channels: channels of the images.
        num_classes: classes of the data, for the auxiliary classifier.
    """
    widths = _widths(config)
    base = sizes.base(config.image_size)
    octaves = sizes.doublings(config.image_size)
    blocks = [
        _conv(before, after, math.prod(base) << 2 * (octaves - k))
        for k, (before, after) in enumerate(itertools.pairwise([channels, *widths]), 1)
    ]
    last, kernels = widths[-1], config.minibatch_discrimination
    extra = kernels + bool(config.minibatch_std)
    heads = [_conv(last + extra, 1, pixels=1, kernel=base)]
    if config.aux_classifier:
        heads.append(_conv(last, num_classes, pixels=1, kernel=base))
    if kernels:
        heads.append(2 * last * math.prod(base) * kernels * _DISCRIMINATION_SIZE)
    return NetworkFlops(tuple(blocks), tuple(heads))


def step_flops(config: TrainConfig, channels: int, num_classes: int = 0) -> float:
    """Operations of one step (all updates of D, then G's) for each image of a batch.

    With ``d_every`` above 1 this is the mean over the steps.

    Args:
        config: the run's configuration.
        channels: channels of the images.
        num_classes: classes of the data, for conditional networks.

    Raises:
        ValueError: the networks are not DCGAN's.
    """
    if config.architecture not in COUNTED:
        counted = ", ".join(COUNTED)
        raise ValueError(
            f"architecture {config.architecture!r}: only {counted} is counted"
        )
    g = generator_flops(config, channels, num_classes)
    d = discriminator_flops(config, channels, num_classes)
    passes, gradients = 2 * d.forward, 2 * (d.weight_gradient + d.inner_gradient)
    points = PENALTIES[config.penalty].points
    passes += points * d.input_gradient
    if not config.looks_once:
        passes += points * d.forward
    gradients += points * _penalty_gradient(config, d)
    d_update = g.forward + passes + gradients / config.d_every
    g_update = (1 + config.g_sees_real) * d.forward + d.input_gradient
    g_update += g.weight_gradient + g.inner_gradient
    return config.n_critic * d_update + g_update


def _penalty_gradient(config: TrainConfig, d: NetworkFlops) -> int:
    """Gradient of a penalty with respect to D's weights, after its input gradient.

    The input gradient is itself a chain of convolutions, from the logits back to the
    image. Its derivative passes up that chain (once more each layer but the logits',
    whose gradient is constant) and meets every weight. Where a layer bends, as a
    normalisation does and LeakyReLU does not, the derivative also goes back down the
    forward pass, through every block: together with the loss's, where that pass is one.
    """
    chain = d.forward - d.heads[0] + d.weight_gradient
    normalised = config.d_norm != "none" and len(d.blocks) > 1
    if config.looks_once or not (
        normalised or config.minibatch_std or config.minibatch_discrimination
    ):
        return chain
    down = sum(d.blocks)
    return chain + down + (down - d.blocks[0])


def _widths(config: TrainConfig) -> list[int]:
    """Channels of D's feature maps, from the image on: 64 -> [w, 2w, 4w, 8w]."""
    return [config.width << k for k in range(sizes.doublings(config.image_size))]


def _conv(
    in_channels: int,
    out_channels: int,
    pixels: int,
    kernel: int | tuple[int, int] = _KERNEL,
) -> int:
    return 2 * sizes.pixels(kernel) * in_channels * out_channels * pixels
