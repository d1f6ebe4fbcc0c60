"""DCGAN and WGAN-GP as they are commonly published."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases import Case
from benchmarks.textbooks.loop import Textbook
from shared import sizes
from shared.config.traits import OBJECTIVES


class DcganTextbook(Textbook):
    """A sigmoid and BCELoss, or a critic with its gradient penalty."""

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        self.criterion = nn.BCELoss()

    @staticmethod
    def networks(case: Case) -> tuple[nn.Module, nn.Module]:
        """As for `Textbook`."""
        pair = _generator(case), _discriminator(case)
        return pair[0].apply(_initialise), pair[1].apply(_initialise)

    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """As for `Textbook`."""
        if not OBJECTIVES[self.config.objective].wasserstein:
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

        fake = self.generator(self.latents(batch))
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
        fake = self.generator(self.latents(real.size(0))).detach()
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
        fake = self.generator(self.latents(self.config.batch_size))
        g_loss = -self.discriminator(fake).mean()
        g_loss.backward()
        self.g_optimizer.step()
        return g_loss.item()


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


def _discriminator(case: Case) -> nn.Module:
    is_wasserstein = OBJECTIVES[case.config.objective].wasserstein
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
