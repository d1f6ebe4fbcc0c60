"""Multi-layer perceptrons, for points in the plane and for small images.

A fully connected layer is written as a convolution of 1x1 maps, so that every
normalisation, penalty and remedy works as it does for images.

References:
    Goodfellow et al. 2014, arXiv:1406.2661, section 5 (the first GANs were MLPs).
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from gans_jax import layers
from gans_jax.layers import needs_bias
from gans_jax.models.head import Head, Outputs
from gans_jax.models.labels import Labels, with_one_hot
from gans_jax.shapes import Images
from shared import sizes
from shared.randomness.starts import HE
from shared.sizes import ImageSize

_HIDDEN_LAYERS = 3


class HiddenLayer(nnx.Module):
    """Fully connected layer, normalisation, and the activation of its network.

    Args:
        in_features: features in.
        out_features: features out.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes of ``conditional-batch``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        norm: str,
        weight_norm: str,
        num_classes: int = 0,
    ) -> None:
        bias = needs_bias(norm)
        conv = layers.Conv2d(in_features, out_features, kernel_size=1, bias=bias)
        # With DCGAN's deviation a perceptron would start, and stay, almost mute.
        self.conv = layers.reparametrise(conv.starting(HE), weight_norm)
        self.norm = layers.build_norm(norm, out_features, num_classes)

    def __call__(
        self, x: Images, labels: Labels = None
    ) -> Float[Array, "batch height width out_channels"]:
        """Features of features, before the activation."""
        return layers.normalise(self.norm, self.conv(x), labels)


class MlpGenerator(nnx.Module):
    """Latents to points in the plane, or to images in [-1, 1].

    Args:
        z_dim: length of a latent vector.
        width: features of each hidden layer.
        image_size: height and width of the image; 1 for points, whose coordinates are
            the channels and are not bounded.
        channels: channels of the image.
        norm: name for `layers.build_norm`.
        weight_norm: kind for `layers.reparametrise`.
        num_classes: classes to condition on; 0 for none; as for `DcganGenerator`.
    """

    def __init__(
        self,
        *,
        z_dim: int,
        width: int,
        image_size: ImageSize,
        channels: int,
        norm: str = "none",
        weight_norm: str = "none",
        num_classes: int = 0,
    ) -> None:
        self.num_classes = num_classes
        self.shape = (channels, *sizes.height_and_width(image_size))
        first = z_dim + num_classes
        options = {"norm": norm, "weight_norm": weight_norm, "num_classes": num_classes}
        self.blocks = nnx.List(
            HiddenLayer(width if i else first, width, **options)
            for i in range(_HIDDEN_LAYERS)
        )
        conv = layers.Conv2d(width, math.prod(self.shape), kernel_size=1)
        self.conv = layers.reparametrise(conv.starting(HE), weight_norm)

    def __call__(self, z: Float[Array, "batch z_dim"], labels: Labels = None) -> Images:
        """Points or images of latents.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: a conditional generator got no labels.
        """
        if self.num_classes:
            z = with_one_hot(z, labels, self.num_classes)
        x = z[:, None, None, :]
        for block in self.blocks:
            x = jax.nn.relu(block(x, labels))
        x = self.conv(x)
        if self.shape[1:] == (1, 1):
            return x
        return jnp.tanh(x.reshape(-1, *self.shape).transpose(0, 2, 3, 1))


class MlpDiscriminator(nnx.Module):
    """Points or images to logits, one for each.

    Args:
        width: features of each hidden layer.
        image_size: height and width of the image; 1 for points.
        channels: channels of the image.
        norm: name for `layers.build_norm`; the first layer has none.
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
        norm: str = "none",
        weight_norm: str = "none",
        num_classes: int = 0,
        aux_classes: int = 0,
        minibatch_discrimination: int = 0,
        minibatch_std: int = 0,
    ) -> None:
        self.head = Head(
            channels=width,
            size=1,
            bias=True,
            start=HE,
            weight_norm=weight_norm,
            num_classes=num_classes,
            aux_classes=aux_classes,
            minibatch_discrimination=minibatch_discrimination,
            minibatch_std=minibatch_std,
        )
        first = channels * sizes.pixels(image_size)
        self.blocks = nnx.List(
            HiddenLayer(
                width if i else first,
                width,
                norm=norm if i else "none",
                weight_norm=weight_norm,
            )
            for i in range(_HIDDEN_LAYERS)
        )

    def __call__(self, images: Images, labels: Labels = None) -> Outputs:
        """What D says of points or images.

        Args:
            images: points [batch, 1, 1, 2], or images in [-1, 1].
            labels: class ids, for a conditional discriminator.
        """
        # Flattened in PyTorch's order, because the first layer's weights are.
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        x = flat[:, None, None, :]
        for block in self.blocks:
            x = layers.leaky_relu(block(x))
        return self.head(x, labels)
