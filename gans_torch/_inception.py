"""Inception v3 by torch-fidelity, which fetches the weights of the standard FID."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gans_torch._modes import full_float32
from shared.backend import FeatureNetwork
from shared.errors import UsageError
from shared.files.fetching import impatiently
from shared.files.reading import read_file
from shared.words import one_line

# Of weights-inception-2015-12-05-6726825d.pth, whose name has the first digits.
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_MOST_BYTES = 100_000_000


class Inception(FeatureNetwork):
    """The network with TensorFlow's weights and its way to resize.

    Args:
        device: where it computes.

    Raises:
        UsageError: the library is missing, or the weights cannot be fetched, or are not
            those of the standard FID.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            from torch_fidelity import feature_extractor_inceptionv3 as library
        except ImportError as error:
            raise UsageError(
                "--features inception: needs the package torch-fidelity; install it"
                " with pip install torch-fidelity"
            ) from error
        # Its loader unpickles, which can run code: it is given bytes that are known.
        network = library.FeatureExtractorInceptionV3(
            "inception-v3-compat",
            ["2048", "logits_unbiased"],
            feature_extractor_weights_path=io.BytesIO(
                _weights(library.URL_INCEPTION_V3)
            ),
        )
        self._device = device
        self._network = network.to(device).eval()

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [count, 2048] and logits [count, 1008] of colour images."""
        x = torch.from_numpy(images).to(self._device).permute(0, 3, 1, 2)
        with torch.no_grad(), full_float32():
            features, logits = self._network(x)
        return features.cpu().numpy(), logits.cpu().numpy()


def _weights(address: str) -> bytes:
    """The file of the weights: from PyTorch's cache, where it is put if need be.

    Raises:
        UsageError: it cannot be fetched, or is another file.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name
    try:
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with impatiently():
                torch.hub.download_url_to_file(
                    address, str(path), _SHA256, progress=False
                )
    except Exception as error:  # sockets, servers, disks: each has errors of its own
        raise UsageError(
            "--features inception: the network's weights cannot be fetched"
            f" ({one_line(error)}); put {address} into {path.parent}"
        ) from error
    content = read_file(path, _MOST_BYTES, "file of weights")
    if (found := hashlib.sha256(content).hexdigest()) != _SHA256:
        raise UsageError(
            f"--features inception: {path} is not the published file: its SHA-256"
            f" starts with {found[:8]}, not {_SHA256[:8]}; delete it to have it fetched"
        )
    return content
