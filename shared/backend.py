"""What the driver asks of a twin: the small `Backend` protocol."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.draws import Draws

# Named arrays of a whole training state, in PyTorch's names and layouts.
Arrays = dict[str, NDArray[Any]]


class DataInfo(NamedTuple):
    """What a run must know of its data without having them."""

    channels: int
    """1 (grey) or 3 (colour)."""
    num_classes: int
    """Number of classes; 0 where the data have no labels."""
    count: int
    """Number of images."""
    sha256: str
    """Digest of images and labels, so that a resumed run sees the same data."""


class ImageData(NamedTuple):
    """A data set in memory, or mapped from a file."""

    images: NDArray[np.uint8]
    """Shape [count, height, width, channels]."""
    labels: NDArray[np.int32] | None
    """Class ids, shape [count]; None without labels."""
    class_names: tuple[str, ...]
    """One for each class; empty without labels."""
    info: DataInfo


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
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        """Images in [-1, 1] from G, or from its average where there is one.

        Drawn in evaluation mode; changes no state.

        Args:
            z: latents [count, z_dim].
            labels: class ids [count], for a conditional generator.

        Returns:
            Shape [count, height, width, channels].
        """
        ...
