"""The PyTorch side of `shared.backend.Backend`: device, precision, steps, arrays."""

import contextlib
import copy
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gans_torch import arrays as state_arrays
from gans_torch import models, optim, steps
from gans_torch.classifier import Classifier
from shared import backend as protocol
from shared.backend import Arrays, DataInfo, ImageData
from shared.config import TrainConfig
from shared.draws import Draws
from shared.errors import UsageError

_NetworkT = TypeVar("_NetworkT", bound=torch.nn.Module)


class Backend(protocol.Backend):
    """Networks, optimisers and arithmetic of one run, on one device.

    Args:
        config: the run's configuration.
        data: channels and classes of its images.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: there is no such device, or it lacks the precision.
    """

    name = "torch"
    steps_per_call = 1

    def __init__(self, config: TrainConfig, data: DataInfo, device: str) -> None:
        self.config = config
        self.device = _find_device(device)
        _set_matmul_precision(config, self.device)
        self._dtype = torch.float64 if config.precision == "float64" else torch.float32
        self._labels: Tensor | None = None
        self._images: Tensor | None = None
        generator = self._place(models.build_generator(config, data))
        discriminator = self._place(models.build_discriminator(config, data))
        self.state = steps.TrainState(
            generator=generator,
            discriminator=discriminator,
            g_optimizer=optim.build_optimizer(config, generator),
            d_optimizer=optim.build_optimizer(config, discriminator),
            generator_ema=copy.deepcopy(generator) if config.ema_decay else None,
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays of both networks."""
        return state_arrays.network_shapes(self.state)

    def load(self, arrays: Arrays) -> None:
        """Set the state; optimiser arrays left out start at zero, an EMA at G."""
        state_arrays.arrays_to_state(self.config, self.state, arrays)

    def arrays(self) -> Arrays:
        """A copy of the state, the inverse of `load`."""
        return state_arrays.state_to_arrays(self.config, self.state)

    def load_data(self, data: ImageData) -> None:
        """Keep the images on the device as bytes; they are normalised there."""
        self._images = torch.from_numpy(np.array(data.images)).to(self.device)
        if data.labels is not None:
            labels = torch.from_numpy(np.array(data.labels, np.int64))
            self._labels = labels.to(self.device)

    def train(self, draws: Draws) -> Mapping[str, Tensor]:
        """Run the steps that ``draws`` holds; returns before a GPU has finished."""
        history = [self._train_step(draws, t) for t in range(len(draws.g_lr))]
        return {
            name: torch.stack([metrics[name] for metrics in history])
            for name in history[0]
        }

    def sample(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int32] | None,
        training: bool = False,
    ) -> NDArray[np.float32]:
        """Images in [-1, 1] from G's average or G; changes no state."""
        average = self.state.generator_ema
        generator = self.state.generator if average is None else average
        if training:  # a copy, whose running statistics may move
            generator = copy.deepcopy(generator)
        else:
            generator.eval()
        with torch.no_grad(), self._precision():
            images = generator(
                self._float(z), None if labels is None else self._long(labels)
            )
        generator.train()
        return images.permute(0, 2, 3, 1).float().cpu().numpy()

    def discriminate(
        self, images: NDArray[np.float32], labels: NDArray[np.int32] | None
    ) -> NDArray[np.float32]:
        """D's outputs before any sigmoid, in evaluation mode."""
        discriminator = self.state.discriminator.eval()
        with torch.no_grad(), self._precision():
            scores = discriminator(
                self._images_from(images),
                None if labels is None else self._long(labels),
            )
        discriminator.train()
        return scores.logits.float().cpu().numpy()

    def classifier(self, data: DataInfo, image_size: int) -> Classifier:
        """A classifier of such images, on this device; its weights are to be loaded."""
        return Classifier(data.channels, data.num_classes, image_size, self.device)

    def _train_step(self, draws: Draws, t: int) -> Mapping[str, Tensor]:
        n_critic = self.config.n_critic
        noise = draws.instance_noise
        with self._precision():
            return steps.train_step(
                self.config,
                self.state,
                [self._batch(draws, t, k) for k in range(n_critic)],
                None if noise is None else self._images_from(noise[t, n_critic]),
                update_d=bool(draws.update_d[t]),
                g_lr=float(draws.g_lr[t]),
                d_lr=float(draws.d_lr[t]),
            )

    def _batch(self, draws: Draws, t: int, k: int) -> steps.Batch:
        assert self._images is not None, "load_data comes first"
        indices = self._long(draws.indices[t, k])
        real = self._images[indices].to(self._dtype)
        if self._images.dtype == torch.uint8:
            real = real / 127.5 - 1.0
        labels = None if self._labels is None else self._labels[indices]
        alpha, penalty_noise, flips, noise = (
            None if field is None else field[t, k]
            for field in (
                draws.alpha,
                draws.penalty_noise,
                draws.flips,
                draws.instance_noise,
            )
        )
        return steps.Batch(
            real=real.permute(0, 3, 1, 2),
            labels=labels,
            z=self._float(draws.z[t, k]),
            alpha=None if alpha is None else self._float(alpha),
            penalty_noise=(
                None if penalty_noise is None else self._images_from(penalty_noise)
            ),
            flips=None if flips is None else torch.from_numpy(flips).to(self.device),
            instance_noise=None if noise is None else self._images_from(noise),
        )

    def _place(self, network: _NetworkT) -> _NetworkT:
        # channels_last is what both cuDNN and oneDNN compute in.
        network.to(self.device, self._dtype).to(memory_format=torch.channels_last)
        return network.train()

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self.config.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return contextlib.nullcontext()

    def _float(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(array).to(self.device, self._dtype, non_blocking=True)

    def _long(self, array: NDArray[np.int32]) -> Tensor:
        return torch.from_numpy(array).to(self.device, torch.int64, non_blocking=True)

    def _images_from(self, nhwc: NDArray[np.float32]) -> Tensor:
        return self._float(nhwc).movedim(-1, -3)


def _find_device(name: str) -> torch.device:
    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        return torch.device("cuda" if len(there) > 1 else "cpu")
    if name not in there:
        raise UsageError(
            f"--device {name}: no such device; PyTorch sees {', '.join(there)}"
        )
    return torch.device(name)


def _set_matmul_precision(config: TrainConfig, device: torch.device) -> None:
    tf32 = config.precision == "tf32"
    if tf32 and device.type != "cuda":
        raise UsageError(
            f"--precision tf32: needs an NVIDIA GPU, the device is {device.type};"
            " use float32"
        )
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
