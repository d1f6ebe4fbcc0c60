"""What every textbook's loop has: a loader, two networks, two optimisers."""

import abc
import copy
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.cases import Case, to_image
from shared.sizes import ImageSize


class _Images(Dataset[Tensor]):
    """Images that are resized each time they are looked at.

    As many as MNIST has, the same ones again and again: a textbook's loader starts its
    workers' queue afresh after each epoch, which must not happen too often.
    """

    def __init__(self, originals: NDArray[np.uint8], image_size: ImageSize) -> None:
        self.originals = originals
        half = [0.5] * originals.shape[-1]
        self.transform = transforms.Compose(
            [
                transforms.Resize(image_size),
                transforms.ToTensor(),
                transforms.Normalize(half, half),
            ]
        )

    def __len__(self) -> int:
        return 60_000

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(to_image(self.originals[index % len(self.originals)]))


class Textbook(abc.ABC):
    """A textbook's training loop, one step at a time.

    Args:
        case: networks, batch and objective.
        device: name of a PyTorch device.
    """

    def __init__(self, case: Case, device: str) -> None:
        self.config = case.config
        self.device = torch.device(device)
        on_gpu = self.device.type == "cuda"
        self.loader = DataLoader(
            _Images(case.originals(), self.config.image_size),
            batch_size=self.config.batch_size,
            shuffle=True,
            drop_last=True,
            # The tutorials' number; on a CPU they would take the networks' cores.
            num_workers=2 if on_gpu else 0,
            persistent_workers=on_gpu,
        )
        generator, discriminator = self.networks(case)
        self.generator = generator.to(self.device)
        self.discriminator = discriminator.to(self.device)
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=lr, betas=self.config.adam_betas)
            for network, lr in (
                (self.generator, self.config.g_lr),
                (self.discriminator, self.config.d_lr),
            )
        )

    @staticmethod
    @abc.abstractmethod
    def networks(case: Case) -> tuple[nn.Module, nn.Module]:
        """G, of latents `[batch, z_dim, 1, 1]`, and D, as they start."""

    @abc.abstractmethod
    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """Update D on each batch, then G.

        Returns:
            What a textbook prints.
        """

    def sampler(self) -> nn.Module:
        """The network that images are drawn from."""
        return self.generator

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Without end: a batch of images for each update of a step that takes one."""
        number = self.config.n_critic + self.config.g_own_batch
        epochs = (batch for _ in itertools.count() for batch in self.loader)
        while True:
            yield tuple(itertools.islice(epochs, number))

    def latents(self, batch: int) -> Tensor:
        """New ones."""
        return torch.randn(batch, self.config.z_dim, 1, 1, device=self.device)


class AveragedTextbook(Textbook):
    """One that draws from an average of G's weights."""

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)

    def sampler(self) -> nn.Module:
        """The average."""
        return self.average

    def follow(self, half_life: float) -> None:
        """Move the average to G, by a step.

        Args:
            half_life: in images.
        """
        keep = 0.5 ** (self.config.batch_size / max(half_life, 1e-8))
        with torch.no_grad():
            pairs = (self.average.parameters(), self.generator.parameters())
            for old, new in zip(*pairs, strict=True):
                old.copy_(new.lerp(old, keep))
