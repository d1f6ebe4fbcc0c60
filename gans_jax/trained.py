"""Trained generators, as modules to build on."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float
from numpy.typing import NDArray

from gans_jax import models
from gans_jax._network import Network
from gans_jax.arrays import (
    arrays_to_network,
    network_statements,
    network_to_arrays,
)
from gans_jax.backend import find_device
from gans_jax.models.labels import Labels
from gans_jax.shapes import Images
from gans_jax.standing import batch_statistics
from shared.config.arguments import from_python
from shared.config.traits import ARCHITECTURES
from shared.drawing.samples import in_batches
from shared.files.arrays import Arrays
from shared.randomness.latents import (
    ClassIds,
    check_label_batch,
    check_latent_batch,
    check_unlabelled,
    sample_inputs,
)
from shared.run.checkpoint import Checkpoint
from shared.run.generator import GeneratorState
from shared.run.restore import drawing_config, generator_arrays
from shared.run.truncation import truncated


class TrainedGenerator(nnx.Module):
    """A run's generator in evaluation mode: its average, where the run keeps one.

    Args:
        state: a run's state, or its generator's alone, by either twin.
        device: ``auto`` or the name of a device.

    Raises:
        UsageError: there is no such device, or the arrays do not fit the network.
    """

    def __init__(
        self, state: Checkpoint | GeneratorState, device: str = "auto"
    ) -> None:
        self.step = state.step
        self.config = drawing_config(state.config)
        self.num_classes = state.data.num_classes if state.config.conditional else 0
        # By name: a device can be neither copied nor pickled, as the generator can.
        self._device = device
        with self._settings():
            network = Network.of(models.build_generator(self.config, state.data))
            network = network.astype(self.config.dtype)
            arrays = generator_arrays(network_statements(network, "generator"), state)
            network = arrays_to_network(network, "generator", arrays)
        self.network = network.module()

    def __call__(self, z: Float[Array, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents, near or in [-1, 1]; gradients pass through.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: latents or labels are of another type or shape, there are no
                labels or no classes, or one is out of range. While a program is traced
                labels have no values, and nobody looks.
        """
        check_latent_batch(
            z, labels, self.config.z_dim, Array, np.ndarray, nnx.Variable
        )
        if not self.num_classes:
            check_unlabelled(labels)
        elif (ids := _values(labels)) is not None:
            check_label_batch(ids, len(z), self.num_classes)
        with self._place():
            return self._taken_apart().evaluate(jnp.asarray(z, self._dtype), labels)

    @from_python
    def sample(
        self,
        n: int,
        labels: ClassIds | None = None,
        seed: int = 0,
        truncation: float | None = None,
    ) -> NDArray[Any]:
        """Images as the command ``sample --seed --truncation`` draws them.

        Latents are the command's; its grid has a class in each row, unless told others.

        Args:
            n: how many; the first do not depend on it.
            labels: of a conditional run: a class for all, or one for each; None: the
                classes in turn.
            seed: of the latents, from 0 up.
            truncation: how far from 0 a number of a latent may be, or in StyleGAN2 the
                share of its way from the average that a style goes; None: all the way.

        Returns:
            uint8 [n, height, width, channels]; of points in the plane, float32 [n, 2].

        Raises:
            UsageError: a number or a label is out of range, there are no classes, or no
                memory could hold so many.
        """
        z, ids = sample_inputs(
            self.config, self.num_classes, n, labels, seed, truncation
        )
        with self._settings():
            return in_batches(self._truncated(truncation)._draw, z, ids)

    def _truncated(self, truncation: float | None) -> "TrainedGenerator":
        """The same, or where there are styles, one whose styles are truncated."""
        of_styles = ARCHITECTURES[self.config.architecture].has_styles
        if truncation is None or not of_styles:
            return self
        other, network = copy.copy(self), self._taken_apart()
        arrays = truncated(network_to_arrays(network, "generator"), truncation)
        network = arrays_to_network(network, "generator", arrays)
        other.network = network.module()
        return other

    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays:
        """What each batch norm sees of these samples; as `Backend.batch_statistics`."""
        with self._settings():
            return batch_statistics(self._taken_apart(), *self._inputs(z, labels))

    def _draw(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        apart = self._taken_apart()
        # In evaluation mode, whichever the user has left each of its parts in.
        network = Network.of(apart.module(), apart.low_precision)
        images = _evaluate(network, *self._inputs(z, labels))
        return np.asarray(images, np.float32)

    def _inputs(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> tuple[Array, Array | None]:
        ids = None if labels is None else jnp.asarray(labels)
        return jnp.asarray(z, self._dtype), ids

    @property
    def _dtype(self) -> np.dtype[Any]:
        """Of latents; float32 where JAX has been asked for no other."""
        return jax.dtypes.canonicalize_dtype(self.config.dtype)

    def _taken_apart(self) -> Network:
        graph, params, buffers = nnx.split(self.network, nnx.Param, ...)
        low_precision = self.config.precision == "bfloat16"
        return Network(params, buffers, graph, graph, low_precision)

    def _place(self) -> contextlib.AbstractContextManager[object]:
        """The device that was named, or the user's choice, for a call."""
        # The weights are not bound to it, so that they can be moved, and calls compiled
        # for another.
        if self._device == "auto":
            return contextlib.nullcontext()
        return jax.default_device(find_device(self._device))

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """Device and precision for what is drawn, whatever the user has chosen."""
        with (
            jax.enable_x64(self.config.precision == "float64"),
            jax.default_device(find_device(self._device)),
            jax.default_matmul_precision("highest"),
        ):
            yield


def _values(labels: Labels) -> NDArray[Any] | None:
    """Class ids as NumPy has them; None where they have no values yet."""
    if labels is None or isinstance(labels, jax.core.Tracer):
        return None
    # Of other processes' parts there are none here.
    if isinstance(labels, Array) and not labels.is_fully_addressable:
        return None
    return np.asarray(labels)


@jax.jit
def _evaluate(network: Network, z: Array, labels: Any) -> Array:
    return network.evaluate(z, labels)
