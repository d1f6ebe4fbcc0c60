"""The image classifier that evaluation takes its features from."""

import itertools

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from gans_torch import arrays as state_arrays
from gans_torch._modes import full_float32
from gans_torch.layers import Conv2d
from gans_torch.shapes import Images
from shared import backend as protocol
from shared import sizes
from shared.evaluation.classifier import FEATURES, channel_widths
from shared.files.arrays import Arrays
from shared.files.temporary import check_temporary_folder
from shared.randomness.starts import HE
from shared.sizes import ImageSize
from shared.statements import Stated


class ClassifierNetwork(nn.Module):
    """Convolutions that halve the image to its base, then two linear maps.

    No normalisation: training and evaluation mode are the same.

    Args:
        channels: channels of the images.
        num_classes: number of classes.
        image_size: height and width; see `shared.sizes`.
    """

    def __init__(self, channels: int, num_classes: int, image_size: ImageSize) -> None:
        super().__init__()
        widths = channel_widths(channels, image_size)
        self.convs = nn.ModuleList(
            Conv2d(before, after, kernel_size=4, stride=2, padding=1).starting(HE)
            for before, after in itertools.pairwise(widths)
        )
        # On as many pixels a convolution of that size is a linear map.
        last = sizes.base(image_size)
        self.features = Conv2d(widths[-1], FEATURES, kernel_size=last).starting(HE)
        self.output = Conv2d(FEATURES, num_classes, kernel_size=1).starting(HE)

    def forward(
        self, x: Images
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch classes"]]:
        """Features, after the ReLU, and logits."""
        for conv in self.convs:
            x = torch.relu(conv(x))
        features = torch.relu(self.features(x))
        return features.flatten(1), self.output(features).flatten(1)


class Classifier(protocol.Classifier):
    """The network, its optimiser (Adam: 0.9, 0.999, eps 1e-8) and its device.

    Args:
        channels: channels of the images.
        num_classes: number of classes.
        image_size: height and width; see `shared.sizes`.
        device: where it computes.
        dtype: ``float32`` or ``float64``.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        image_size: ImageSize,
        device: torch.device,
        dtype: str = "float32",
    ) -> None:
        self._device = device
        self._dtype = getattr(torch, dtype)
        with torch.random.fork_rng(devices=[]):  # the numbers are the user's
            network = ClassifierNetwork(channels, num_classes, image_size)
        self._network = network.to(device, self._dtype)
        self._optimizer = _optimizer(self._network)

    def statements(self) -> dict[str, Stated]:
        """What is stated of the weights, by their names on file."""
        return state_arrays.network_statements(self._network, "classifier")

    def load(self, arrays: Arrays) -> None:
        """Set the weights; the optimiser starts anew."""
        state_arrays.arrays_to_network(self._network, "classifier", arrays)
        self._optimizer = _optimizer(self._network)

    def arrays(self) -> Arrays:
        """A copy of the weights, the inverse of `load`."""
        return state_arrays.network_to_arrays(self._network, "classifier")

    def train(
        self, images: NDArray[np.uint8], labels: NDArray[np.int32], lr: float
    ) -> Tensor:
        """One step of Adam on the mean cross-entropy; returns the loss before it."""
        target = torch.from_numpy(labels.astype(np.int64)).to(self._device)
        with full_float32():  # runs of other precisions read what is learned
            _, logits = self._network(self._place(images))
            loss = nn.functional.cross_entropy(logits, target)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
        self._optimizer.param_groups[0]["lr"] = lr
        self._optimizer.step()
        return loss.detach()

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [count, features] and logits [count, classes]."""
        with torch.no_grad(), full_float32():
            features, logits = self._network(self._place(images))
        return features.float().cpu().numpy(), logits.float().cpu().numpy()

    def _place(self, images: NDArray[np.uint8]) -> Images:
        x = torch.from_numpy(images).to(self._device, self._dtype)
        return x.permute(0, 3, 1, 2) / 127.5 - 1.0


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    check_temporary_folder()  # the first optimiser of a program imports what needs it
    return torch.optim.Adam(
        network.parameters(), lr=0.0, betas=(0.9, 0.999), eps=1e-8, fused=True
    )
