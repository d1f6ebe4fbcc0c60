"""The image classifier that evaluation takes its features from."""

import contextlib
import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float
from numpy.typing import NDArray

from gans_jax import arrays as state_arrays
from gans_jax._network import Network
from gans_jax.layers import Conv2d
from gans_jax.optim import build_optimizer
from gans_jax.shapes import Images
from shared import backend as protocol
from shared import sizes
from shared.config.train_config import TrainConfig
from shared.evaluation.classifier import FEATURES, channel_widths
from shared.files.arrays import Arrays
from shared.randomness.starts import HE
from shared.sizes import ImageSize
from shared.statements import Stated


class ClassifierNetwork(nnx.Module):
    """Convolutions that halve the image to its base, then two linear maps.

    No normalisation: training and evaluation mode are the same.

    Args:
        channels: channels of the images.
        num_classes: number of classes.
        image_size: height and width; see `shared.sizes`.
    """

    def __init__(self, channels: int, num_classes: int, image_size: ImageSize) -> None:
        widths = channel_widths(channels, image_size)
        self.convs = nnx.List(
            Conv2d(before, after, kernel_size=4, stride=2, padding=1).starting(HE)
            for before, after in itertools.pairwise(widths)
        )
        # On as many pixels a convolution of that size is a linear map.
        last = sizes.base(image_size)
        self.features = Conv2d(widths[-1], FEATURES, kernel_size=last).starting(HE)
        self.output = Conv2d(FEATURES, num_classes, kernel_size=1).starting(HE)

    def __call__(
        self, x: Images
    ) -> tuple[Float[Array, "batch features"], Float[Array, "batch classes"]]:
        """Features, after the ReLU, and logits."""
        for conv in self.convs:
            x = jax.nn.relu(conv(x))
        features = jax.nn.relu(self.features(x))
        return features[:, 0, 0], self.output(features)[:, 0, 0]


class Classifier(protocol.Classifier):
    """The network, its optimiser (Adam: 0.9, 0.999, eps 1e-8) and its device.

    Args:
        channels: channels of the images.
        num_classes: number of classes.
        image_size: height and width; see `shared.sizes`.
        device: where it computes.
        dtype: ``float32`` or ``float64``.
        compiler_options: XLA's; None: the usual.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        image_size: ImageSize,
        device: jax.Device,
        dtype: str = "float32",
        compiler_options: dict[str, Any] | None = None,
    ) -> None:
        self._device = device
        self._dtype = dtype
        compiled = functools.partial(jax.jit, compiler_options=compiler_options)
        self._predict, self._train_step = compiled(_predict), compiled(_train_step)
        with self._settings():
            module = ClassifierNetwork(channels, num_classes, image_size)
            network = Network.of(module)
            self._network = jax.tree.map(lambda x: x.astype(dtype), network)
            self._moments = _ADAM.init(self._network.params)

    def statements(self) -> dict[str, Stated]:
        """What is stated of the weights, by their names on file."""
        return state_arrays.network_statements(self._network, "classifier")

    def load(self, arrays: Arrays) -> None:
        """Set the weights; the optimiser starts anew."""
        with self._settings():
            self._network = state_arrays.arrays_to_network(
                self._network, "classifier", arrays
            )
            self._moments = _ADAM.init(self._network.params)

    def arrays(self) -> Arrays:
        """A copy of the weights, the inverse of `load`."""
        return state_arrays.network_to_arrays(self._network, "classifier")

    def train(
        self, images: NDArray[np.uint8], labels: NDArray[np.int32], lr: float
    ) -> Array:
        """One step of Adam on the mean cross-entropy; returns the loss before it."""
        with self._settings():
            self._network, self._moments, loss = self._train_step(
                self._network, self._moments, self._place(images), labels, lr
            )
        return loss

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [count, features] and logits [count, classes]."""
        with self._settings():
            features, logits = self._predict(self._network, self._place(images))
        return np.asarray(features, np.float32), np.asarray(logits, np.float32)

    def _place(self, images: NDArray[np.uint8]) -> Images:
        return jnp.asarray(images).astype(self._dtype) / 127.5 - 1.0

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        with (
            jax.enable_x64(self._dtype == "float64"),
            jax.default_device(self._device),
            jax.default_matmul_precision("highest"),
        ):
            yield


_ADAM = build_optimizer(TrainConfig(adam_betas=(0.9, 0.999)))


def _predict(network: Network, x: Images) -> tuple[Array, Array]:
    return network.evaluate(x)


def _train_step(
    network: Network, moments: Any, x: Images, labels: Array, lr: Array
) -> tuple[Network, Any, Array]:
    def objective(params: Any) -> Array:
        _, logits = replace(network, params=params).evaluate(x)
        # Not `losses.class_cross_entropy`, which differs in the last bit: classifiers
        # that were trained before, and the scores by them, would no longer be equal.
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    loss, gradients = jax.value_and_grad(objective)(network.params)
    updates, moments = _ADAM.update(gradients, moments)
    params = jax.tree.map(lambda p, u: p - lr * u, network.params, updates)
    return replace(network, params=params), moments, loss
