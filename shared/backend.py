"""What the driver asks of a twin: the small `Backend` protocol."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared.draws import Draws

# Named arrays of a whole training state, in PyTorch's names and layouts.
Arrays = dict[str, NDArray[Any]]


class DataInfo(NamedTuple):
    """What a run must know of its data without having them."""

    channels: int
    """1 (grey) or 3 (colour); 2 for points in the plane."""
    num_classes: int
    """Number of classes; 0 where the data have no labels."""
    count: int
    """Number of images."""
    sha256: str
    """Digest of images and labels, so that a resumed run sees the same data."""


class ImageData(NamedTuple):
    """A data set in memory, or mapped from a file."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    """Shape [count, height, width, channels]; floats are used as they are."""
    labels: NDArray[np.int32] | None
    """Class ids, shape [count]; None without labels."""
    class_names: tuple[str, ...]
    """One for each class; empty without labels."""
    info: DataInfo


@runtime_checkable
class Classifier(Protocol):
    """One twin's image classifier behind NumPy arrays; see `shared.classifier`."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights."""
        ...

    def load(self, arrays: Arrays) -> None:
        """Set the weights; the optimiser starts anew."""
        ...

    def arrays(self) -> Arrays:
        """A copy of the weights, the inverse of `load`."""
        ...

    def train(
        self, images: NDArray[np.uint8], labels: NDArray[np.int32], lr: float
    ) -> Any:
        """One step of Adam on the mean cross-entropy.

        Args:
            images: shape [batch, height, width, channels].
            labels: class ids, shape [batch].
            lr: learning rate.

        Returns:
            The loss before the step, readable by ``np.asarray``, in nats.
        """
        ...

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the last layer sees, and what it says.

        Args:
            images: shape [count, height, width, channels].

        Returns:
            Features [count, features] and logits [count, classes].
        """
        ...


@runtime_checkable  # for the type checks while tests run
class Backend(Protocol):
    """One twin's networks, optimisers and arithmetic behind NumPy arrays.

    The constructor takes the configuration, what must be known of the data, and the
    name of a device; it raises `UsageError` where there is no such device.
    """

    steps_per_call: int
    """How many steps one call of `train` should be given."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of both networks (not of the optimisers)."""
        ...

    def load(self, arrays: Arrays) -> None:
        """Set the state; optimiser arrays left out start at zero, an EMA at G."""
        ...

    def arrays(self) -> Arrays:
        """A copy of the state, the inverse of `load`."""
        ...

    def load_data(self, data: ImageData) -> None:
        """Put the training images where `train` finds them."""
        ...

    def train(self, draws: Draws) -> Mapping[str, Any]:
        """Run one step for each leading entry of ``draws``, without waiting for them.

        Returns:
            Metrics by name, each readable by ``np.asarray``, of shape [steps]; reading
            one waits for the device.
        """
        ...

    def sample(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int32] | None,
        training: bool = False,
    ) -> NDArray[np.float32]:
        """Images in [-1, 1] from G, or from its average where there is one.

        Changes no state.

        Args:
            z: latents [count, z_dim].
            labels: class ids [count], for a conditional generator.
            training: draw in training mode, in which batch norm uses the statistics of
                these samples, instead of evaluation mode.

        Returns:
            Shape [count, height, width, channels].
        """
        ...

    def discriminate(
        self, images: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        """D's outputs before any sigmoid, in evaluation mode; changes no state.

        Args:
            images: in [-1, 1], or points; [count, height, width, channels].
            labels: class ids [count], for a conditional discriminator.

        Returns:
            Shape [count].
        """
        ...

    def classifier(self, data: DataInfo, image_size: int) -> Classifier:
        """A classifier of such images, on this device; its weights are to be loaded."""
        ...
