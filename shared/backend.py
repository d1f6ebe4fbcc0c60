"""What the driver asks of a twin: the `Backend` protocol."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared.config.choices import DataPlace
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.files.arrays import Arrays
from shared.randomness.draws import Draws
from shared.sizes import ImageSize
from shared.statements import Shape, Stated

_ValueT = TypeVar("_ValueT")
# What a batch is drawn from: latents and, for a conditional generator, class ids.
Latents = tuple[NDArray[np.float32], NDArray[np.int32] | None]


class Arithmetic(NamedTuple):
    """Settings outside `TrainConfig` on which only the last digits depend.

    It is the whole process's, as the frameworks have it.
    """

    threads: int | None = None
    """Of the CPU that compute; None: as many as the framework takes."""
    deterministic: bool = False
    """Whether a GPU adds up in the same order each time, which costs speed."""
    devices: int | None = None
    """That share each batch: in JAX those of each process, None being one; in PyTorch
    as many as there are processes, each of which has one."""


@runtime_checkable
class FeatureNetwork(Protocol):
    """A trained network that looks at images."""

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


@runtime_checkable
class Classifier(FeatureNetwork, Protocol):
    """One twin's image classifier behind NumPy arrays; see `evaluation.classifier`."""

    def statements(self) -> dict[str, Stated]:
        """What is stated of the weights, by their names on file."""
        ...

    def shapes(self) -> dict[str, Shape]:
        """Names and shapes of the weights."""
        return {name: array.shape for name, array in self.statements().items()}

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


@runtime_checkable  # for the type checks while tests run
class Backend(Protocol):
    """One twin's networks, optimisers and arithmetic behind NumPy arrays.

    The constructor takes the configuration, what must be known of the data, the name of
    a device, and the arithmetic; it raises `UsageError` where there is no such device.
    """

    steps_per_call: int
    """How many steps one call of `train` should be given."""
    threads: int
    """Of the CPU that compute."""
    devices: int = 1
    """That share each batch, of all processes of the run."""
    batch_slice: slice
    """Which samples of each batch `prepare` takes: all, or this process's own."""

    def statements(self) -> dict[str, Stated]:
        """What is stated of both networks' arrays, by their names on file."""
        ...

    def shapes(self) -> dict[str, Shape]:
        """Names and shapes of the arrays of both networks (not of the optimisers)."""
        return {name: array.shape for name, array in self.statements().items()}

    def load(self, arrays: Arrays) -> None:
        """Set the state; optimiser arrays left out start at zero, an EMA at G."""
        ...

    def arrays(self) -> Arrays:
        """A copy of the state, the inverse of `load`."""
        ...

    def agree(self, value: _ValueT) -> _ValueT:
        """What the first of the run's processes says; all have to ask."""
        return value

    def highest(self, number: int) -> int:
        """The highest number that a process of the run says; all have to ask."""
        return number

    def random_state(self) -> bytes:
        """State of the framework's own random numbers, of which a step takes none."""
        ...

    def load_data(self, data: ImageData, place: DataPlace = "auto") -> None:
        """Keep the training images where `prepare` finds them.

        Args:
            data: the images, and their labels.
            place: ``device``; ``host``, from where the images of each call are sent
                to the device; or ``auto``: on a device that has the room for them.
        """
        ...

    def prepare(self, draws: Draws) -> Any:
        """What `train` needs for one step for each leading entry of ``draws``.

        Depends on no state, so that another thread can make it ahead.
        """
        ...

    def train(self, inputs: Any) -> Callable[[], Arrays]:
        """Run the steps that were prepared, without waiting for them.

        Args:
            inputs: from `prepare`.

        Returns:
            Waits for these steps, and returns their metrics, each of shape [steps]; to
            be called from any thread.
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

    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays:
        """What each batch norm sees of these samples, in what `sample` draws with.

        Changes no state.

        Args:
            z: latents [count, z_dim].
            labels: class ids [count], for a conditional generator.

        Returns:
            Means and unbiased variances, by the names of the generator's running ones.
        """
        ...

    def sample_batches(
        self, batches: Sequence[Latents], training: bool = False
    ) -> list[NDArray[np.float32]]:
        """What `sample` makes of each batch, with all devices at work.

        Args:
            batches: latents and labels, as `sample` takes them.
            training: likewise.
        """
        return [self.sample(*batch, training) for batch in batches]

    @contextlib.contextmanager
    def helped(self) -> Iterator[bool]:
        """Inside, all processes of a run draw the batches of the first.

        All have to enter. Those that help come in when the first leaves.

        Yields:
            Whether this process is the first.
        """
        yield True

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

    def classifier(self, data: DataInfo, image_size: ImageSize) -> Classifier:
        """A classifier of such images, on this device; its weights are to be loaded."""
        ...

    def inception(self) -> FeatureNetwork:
        """Inception v3, whose features are those of the standard FID.

        Raises:
            UsageError: it cannot be had.
        """
        ...


class MakeBackend(Protocol):
    """Makes a twin's backend."""

    def __call__(
        self,
        config: TrainConfig,
        data: DataInfo,
        device: str,
        arithmetic: Arithmetic | None = ...,
    ) -> Backend:
        """As `Backend` says."""
        ...
