"""Inception v3 by torch-fidelity, which fetches the weights of the standard FID."""

import socket
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from shared.backend import FeatureNetwork
from shared.errors import UsageError

# A server that does not answer must not hold up the line that says what to do.
_TIMEOUT_SECONDS = 10.0


class Inception(FeatureNetwork):
    """The network with TensorFlow's weights and its way to resize.

    Args:
        device: where it computes.

    Raises:
        UsageError: the library is missing, or the weights cannot be fetched or read.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from torch_fidelity import (  # pyrefly: ignore[missing-import]
                feature_extractor_inceptionv3 as library,
            )
        except ImportError as error:
            raise UsageError(
                "--features inception: needs the package torch-fidelity; install it"
                " with pip install torch-fidelity"
            ) from error
        timeout = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_TIMEOUT_SECONDS)
        try:
            network = library.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"]
            )
        except Exception as error:  # sockets, pickles: each has errors of its own
            address = library.URL_INCEPTION_V3
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            raise UsageError(
                "--features inception: the network's weights cannot be fetched or read"
                f" ({' '.join(str(error).split())}); put {address} into {folder}"
            ) from error
        finally:
            socket.setdefaulttimeout(timeout)
        self._device = device
        self._network = network.to(device).eval()

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [count, 2048] and logits [count, 1008] of colour images."""
        x = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
        with torch.no_grad():
            features, logits = self._network(x)
        return features.cpu().numpy(), logits.cpu().numpy()
