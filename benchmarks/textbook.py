"""What people run today: DCGAN and WGAN-GP in PyTorch, in the common published manner.

Eager PyTorch in its default memory format; a DataLoader that resizes and normalises one
Pillow image at a time; a sigmoid and BCELoss; default Adam; ``.item()`` on every step.
Networks and hyperparameters are those of the case, so only the manner differs. This is
a yardstick, not a model to follow.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.cases import Case, to_image
from shared import sizes
from shared.config.traits import OBJECTIVES
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


class Textbook:
    """A textbook's training loop, one step at a time.

    Args:
        case: networks, batch and objective (non-saturating, or Wasserstein with its
            penalty).
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
        self.is_wasserstein = OBJECTIVES[self.config.objective].wasserstein
        self.generator = _generator(case).to(self.device).apply(_initialise)
        self.discriminator = (
            _discriminator(case, self.is_wasserstein).to(self.device).apply(_initialise)
        )
        self.g_optimizer, self.d_optimizer = (
            torch.optim.Adam(network.parameters(), lr=lr, betas=self.config.adam_betas)
            for network, lr in (
                (self.generator, self.config.g_lr),
                (self.discriminator, self.config.d_lr),
            )
        )
        self.criterion = nn.BCELoss()

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """Without end: one batch of images for each update of D in a step."""
        epochs = (batch for _ in itertools.count() for batch in self.loader)
        while True:
            yield tuple(itertools.islice(epochs, self.config.n_critic))

    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """Update D on each batch, then G.

        Returns:
            What a textbook prints.
        """
        if not self.is_wasserstein:
            (images,) = batches
            return self._gan_step(images)
        d_losses = [self._critic_step(images) for images in batches]
        return [d_losses[-1], self._generator_step()]

    def _gan_step(self, images: Tensor) -> list[float]:
        real = images.to(self.device)
        batch = real.size(0)
        self.discriminator.zero_grad()
        label = torch.full((batch,), 1.0, device=self.device)
        output = self.discriminator(real).view(-1)
        d_loss_real = self.criterion(output, label)
        d_loss_real.backward()
        d_x = output.mean().item()

        fake = self.generator(self._latents(batch))
        label.fill_(0.0)
        output = self.discriminator(fake.detach()).view(-1)
        d_loss_fake = self.criterion(output, label)
        d_loss_fake.backward()
        d_g_z1 = output.mean().item()
        d_loss = d_loss_real + d_loss_fake
        self.d_optimizer.step()

        self.generator.zero_grad()
        label.fill_(1.0)
        output = self.discriminator(fake).view(-1)
        g_loss = self.criterion(output, label)
        g_loss.backward()
        d_g_z2 = output.mean().item()
        self.g_optimizer.step()
        return [d_loss.item(), g_loss.item(), d_x, d_g_z1, d_g_z2]

    def _critic_step(self, images: Tensor) -> float:
        real = images.to(self.device)
        fake = self.generator(self._latents(real.size(0))).detach()
        self.d_optimizer.zero_grad()
        penalty = self.config.penalty_weight * self._gradient_penalty(real, fake)
        d_loss = (
            self.discriminator(fake).mean() - self.discriminator(real).mean() + penalty
        )
        d_loss.backward()
        self.d_optimizer.step()
        return d_loss.item()

    def _gradient_penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        alpha = torch.rand(real.size(0), 1, 1, 1, device=self.device)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
        scores = self.discriminator(mixed)
        (gradients,) = torch.autograd.grad(
            outputs=scores,
            inputs=mixed,
            grad_outputs=torch.ones_like(scores),
            create_graph=True,
            retain_graph=True,
        )
        gradients = gradients.view(gradients.size(0), -1)
        norm = torch.sqrt(torch.sum(gradients**2, dim=1) + 1e-12)
        return ((norm - 1) ** 2).mean()

    def _generator_step(self) -> float:
        self.g_optimizer.zero_grad()
        fake = self.generator(self._latents(self.config.batch_size))
        g_loss = -self.discriminator(fake).mean()
        g_loss.backward()
        self.g_optimizer.step()
        return g_loss.item()

    def _latents(self, batch: int) -> Tensor:
        return torch.randn(batch, self.config.z_dim, 1, 1, device=self.device)


def _generator(case: Case) -> nn.Module:
    widths = _widths(case)[::-1]
    channels = case.config.z_dim
    base = sizes.base(case.config.image_size)
    layers: list[nn.Module] = []
    for i, width in enumerate(widths):
        kernel, stride, padding = (base, 1, 0) if i == 0 else (4, 2, 1)
        layers += [
            nn.ConvTranspose2d(channels, width, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
        ]
        channels = width
    last = nn.ConvTranspose2d(channels, case.channels, 4, 2, 1, bias=False)
    return nn.Sequential(*layers, last, nn.Tanh())


def _discriminator(case: Case, is_wasserstein: bool) -> nn.Module:
    channels = case.channels
    layers: list[nn.Module] = []
    for i, width in enumerate(_widths(case)):
        layers.append(nn.Conv2d(channels, width, 4, 2, 1, bias=False))
        if i:
            layers.append(
                nn.InstanceNorm2d(width, affine=True)
                if is_wasserstein
                else nn.BatchNorm2d(width)
            )
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        channels = width
    base = sizes.base(case.config.image_size)
    layers.append(nn.Conv2d(channels, 1, base, 1, 0, bias=False))
    return nn.Sequential(*layers, *([] if is_wasserstein else [nn.Sigmoid()]))


def _widths(case: Case) -> list[int]:
    config = case.config
    return [config.width << i for i in range(sizes.doublings(config.image_size))]


def _initialise(module: Any) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.constant_(module.bias, 0)
