"""R3GAN, after the manner of its authors' code, as far as maps are equally wide.

References:
    Huang et al. 2024, arXiv:2501.05441.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cases import Case
from benchmarks.textbooks.loop import AveragedTextbook
from shared import sizes


class R3ganTextbook(AveragedTextbook):
    """Relativistic losses, R1 and R2 at every step, an average of G."""

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        self.images_seen = 0

    @staticmethod
    def networks(case: Case) -> tuple[nn.Module, nn.Module]:
        """As for `Textbook`."""
        return _Generator(case), _Discriminator(case)

    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """As for `Textbook`."""
        config = self.config
        for_d, for_g = (images.to(self.device) for images in batches)
        beta2 = self._moved(config.adam_betas[1], config.final_beta2)
        for optimizer in (self.d_optimizer, self.g_optimizer):
            optimizer.param_groups[0]["betas"] = (config.adam_betas[0], beta2)

        real = for_d.detach().requires_grad_()
        fake = self.generator(self.latents(len(real))).detach().requires_grad_()
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        r1, r2 = _slope(real_logits, real), _slope(fake_logits, fake)
        gamma = self._moved(config.penalty_weight, config.final_penalty_weight)
        d_losses = functional.softplus(fake_logits - real_logits)
        d_loss = (d_losses + gamma / 2 * (r1 + r2)).mean()
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()

        self.discriminator.requires_grad_(False)
        fake = self.generator(self.latents(len(for_g)))
        gap = self.discriminator(for_g) - self.discriminator(fake)
        g_loss = functional.softplus(gap).mean()
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)

        self.images_seen += config.batch_size
        half_life = self._moved(config.ema_half_life or 0.0, config.final_ema_half_life)
        self.follow(half_life)
        return [d_loss.item(), g_loss.item(), r1.mean().item(), r2.mean().item()]

    def _moved(self, first: float, last: float | None) -> float:
        """Half a cosine from one to the other, over the burn-in."""
        if last is None:
            return first
        done = min(self.images_seen / (self.config.burn_in_images or 1), 1.0)
        return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))


def _slope(logits: Tensor, images: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        groups = max(width // 8, 1)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=groups)
        self.conv3 = nn.Conv2d(2 * width, width, 1, bias=False)
        nn.init.zeros_(self.conv3.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.leaky_relu(self.conv1(x), 0.2)
        y = functional.leaky_relu(self.conv2(y), 0.2)
        return x + self.conv3(y)


class _Resample(nn.Module):
    """With [1, 3, 3, 1] in both directions, each channel by itself."""

    kernel: Tensor

    def __init__(self, up: bool) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.up = up
        self.register_buffer("kernel", taps.outer(taps) / (16 if up else 64))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, 1, 4, 4)
        convolve: Any = functional.conv_transpose2d if self.up else functional.conv2d
        return convolve(x, kernel, stride=2, padding=1, groups=channels)


def _stages(config: Any, up: bool) -> nn.Sequential:
    """Two blocks at each size, all as wide."""
    blocks: list[nn.Module] = [_Block(config.width), _Block(config.width)]
    for _ in range(sizes.doublings(config.image_size)):
        blocks += [_Resample(up), _Block(config.width), _Block(config.width)]
    return nn.Sequential(*blocks)


class _Generator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        width, base = case.config.width, sizes.base(case.config.image_size)
        self.linear = nn.Linear(case.config.z_dim, width, bias=False)
        self.basis = nn.Parameter(torch.randn(width, *base))
        self.blocks = _stages(case.config, up=True)
        self.conv = nn.Conv2d(width, case.channels, 1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z.flatten(1)).view(len(z), -1, 1, 1) * self.basis
        return self.conv(self.blocks(x))


class _Discriminator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        width, base = case.config.width, sizes.base(case.config.image_size)
        self.conv = nn.Conv2d(case.channels, width, 1, bias=False)
        self.blocks = _stages(case.config, up=False)
        # Each feature is a sum over all pixels.
        self.basis = nn.Conv2d(width, width, base, groups=width, bias=False)
        self.linear = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.basis(self.blocks(self.conv(x))).flatten(1)).flatten()
