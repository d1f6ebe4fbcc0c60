"""Trained generators, as modules to build on."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from gans_torch import models
from gans_torch._modes import full_float32
from gans_torch.arrays import (
    arrays_to_network,
    network_statements,
    network_to_arrays,
)
from gans_torch.backend import find_device
from gans_torch.models.labels import Labels
from gans_torch.shapes import Images
from gans_torch.standing import batch_statistics
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


class TrainedGenerator(nn.Module):
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
        super().__init__()
        self.step = state.step
        self.config = drawing_config(state.config)
        self.num_classes = state.data.num_classes if state.config.conditional else 0
        network = models.build_generator(self.config, state.data)
        network.to(find_device(device), getattr(torch, self.config.dtype))
        network.to(memory_format=torch.channels_last)
        arrays = generator_arrays(network_statements(network, "generator"), state)
        arrays_to_network(network, "generator", arrays)
        self.network = network
        self.eval()

    def forward(self, z: Float[Tensor, "batch z_dim"], labels: Labels = None) -> Images:
        """Images of latents, near or in [-1, 1]; gradients pass through.

        Args:
            z: latents.
            labels: class ids, for a conditional generator.

        Raises:
            UsageError: latents or labels are of another type or shape, there are no
                labels or no classes, or one is out of range. While a program is traced
                labels have no values, and nobody looks.
        """
        check_latent_batch(z, labels, self.config.z_dim, Tensor)
        if not self.num_classes:
            check_unlabelled(labels)
        elif (ids := _values(labels)) is not None:
            check_label_batch(ids, len(z), self.num_classes)
        with self._precision(z.device):
            return self.network(z.to(self._weight.dtype), labels)

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
        with full_float32():
            return in_batches(self._truncated(truncation)._draw, z, ids)

    def _truncated(self, truncation: float | None) -> "TrainedGenerator":
        """The same, or where there are styles, one whose styles are truncated."""
        of_styles = ARCHITECTURES[self.config.architecture].has_styles
        if truncation is None or not of_styles:
            return self
        other = copy.deepcopy(self)
        arrays = truncated(network_to_arrays(self.network, "generator"), truncation)
        arrays_to_network(other.network, "generator", arrays)
        return other

    def batch_statistics(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> Arrays:
        """What each batch norm sees of these samples; as `Backend.batch_statistics`."""
        z_on_device, ids = self._inputs(z, labels)
        with full_float32(), self._precision(z_on_device.device):
            return batch_statistics(self.network, z_on_device, ids)

    @torch.no_grad()
    def _draw(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        with _evaluating(self):
            images = self(*self._inputs(z, labels))
        return images.permute(0, 2, 3, 1).float().cpu().numpy()

    def _inputs(
        self, z: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> tuple[Tensor, Tensor | None]:
        device = self._weight.device
        ids = None if labels is None else torch.from_numpy(labels).to(device).long()
        return torch.from_numpy(z).to(self._weight), ids

    @property
    def _weight(self) -> Tensor:
        """One of them, for the device and type that the module has now."""
        return next(self.parameters())

    def _precision(
        self, device: torch.device
    ) -> contextlib.AbstractContextManager[object]:
        if self.config.precision == "bfloat16":
            return torch.autocast(device.type, torch.bfloat16)
        # The run's own, inside a user's autocast too; "meta" has none.
        if device.type != "meta" and torch.is_autocast_enabled(device.type):
            return torch.autocast(device.type, enabled=False)
        return contextlib.nullcontext()


def _values(labels: Labels) -> NDArray[Any] | None:
    """Class ids as NumPy has them; None where they have no values yet."""
    if not isinstance(labels, Tensor) or torch.compiler.is_compiling():
        return None
    captured = labels.is_cuda and torch.cuda.is_current_stream_capturing()
    if captured or torch.jit.is_tracing():
        return None
    try:
        return labels.cpu().numpy()
    except RuntimeError:  # mapped by vmap, or of another kind without values
        return None


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode, whichever the user has left each of its parts in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
