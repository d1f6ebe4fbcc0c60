"""SNGAN with residual networks, up to 32x32, as it is commonly published in PyTorch.

References:
    Miyato et al. 2018, arXiv:1802.05957.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.cases import Case
from benchmarks.textbooks.loop import Textbook
from shared import sizes


class SnganTextbook(Textbook):
    """Hinge losses, a spectral norm in D, rates that fall in a straight line."""

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        steps = case.config.steps or 1
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(of, lambda step: max(0, 1 - step / steps))
            for of in (self.g_optimizer, self.d_optimizer)
        ]

    @staticmethod
    def networks(case: Case) -> tuple[nn.Module, nn.Module]:
        """As for `Textbook`."""
        return _Generator(case), _Discriminator(case)

    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """As for `Textbook`."""
        d_losses = [self._discriminator_step(images) for images in batches]
        fake = self.generator(self.latents(self.config.batch_size))
        g_loss = -self.discriminator(fake).mean()
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()
        for scheduler in self.schedulers:
            scheduler.step()
        return [d_losses[-1], g_loss.item()]

    def _discriminator_step(self, images: Tensor) -> float:
        real = images.to(self.device)
        fake = self.generator(self.latents(len(real))).detach()
        d_loss = functional.relu(1 - self.discriminator(real)).mean()
        d_loss = d_loss + functional.relu(1 + self.discriminator(fake)).mean()
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()
        return d_loss.item()


class _UpBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(x))
        y = self.conv1(functional.interpolate(y, scale_factor=2))
        y = self.conv2(functional.relu(self.norm2(y)))
        return y + self.shortcut(functional.interpolate(x, scale_factor=2))


class _Generator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        config = case.config
        # Twice as wide as D.
        width, self.base = 2 * config.width, sizes.base(config.image_size)
        self.linear = nn.Linear(config.z_dim, width * math.prod(self.base))
        ups = range(sizes.doublings(config.image_size))
        self.blocks = nn.Sequential(*[_UpBlock(width) for _ in ups])
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, case.channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z.flatten(1)).view(len(z), -1, *self.base)
        return torch.tanh(self.conv(functional.relu(self.norm(self.blocks(x)))))


class _DownBlock(nn.Module):
    def __init__(self, before: int, width: int, halves: bool, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.conv1 = spectral_norm(nn.Conv2d(before, width, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(before, width, 1)) if halves else None

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.is_first else functional.relu(x)
        y = self.conv2(functional.relu(self.conv1(y)))
        if self.shortcut is None:
            return y + x
        return functional.avg_pool2d(y, 2) + functional.avg_pool2d(self.shortcut(x), 2)


class _Discriminator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        config = case.config
        width, halvings = config.width, max(sizes.doublings(config.image_size) - 1, 1)
        self.blocks = nn.Sequential(
            _DownBlock(case.channels, width, halves=True, is_first=True),
            *[
                _DownBlock(width, width, halves=block < halvings, is_first=False)
                for block in range(1, halvings + 2)
            ],
        )
        self.linear = spectral_norm(nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(functional.relu(self.blocks(x)).sum(dim=(2, 3)))
