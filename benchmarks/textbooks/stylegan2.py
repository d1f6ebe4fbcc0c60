"""StyleGAN2 without path lengths and mixing, after the manner of its public ports.

References:
    Karras et al. 2020, arXiv:1912.04958.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cases import Case
from benchmarks.textbooks.loop import AveragedTextbook
from shared import sizes

_MAPPING_LAYERS = 8
_MAPPING_RATE = 0.01


class Stylegan2Textbook(AveragedTextbook):
    """The non-saturating losses, R1 as a step of its own, an average of G."""

    def __init__(self, case: Case, device: str) -> None:
        super().__init__(case, device)
        self.steps_done = 0
        # D has a step more in each so many.
        every = case.config.penalty_every
        ratio = every / (every + 1)
        self.d_optimizer = torch.optim.Adam(
            self.discriminator.parameters(),
            lr=case.config.d_lr * ratio,
            betas=tuple(beta**ratio for beta in case.config.adam_betas),
        )

    @staticmethod
    def networks(case: Case) -> tuple[nn.Module, nn.Module]:
        """As for `Textbook`."""
        return _Generator(case), _Discriminator(case)

    def step(self, batches: tuple[Tensor, ...]) -> list[float]:
        """As for `Textbook`."""
        config = self.config
        (images,) = batches
        real = images.to(self.device)
        fake = self.generator(self.latents(len(real))).detach()
        d_loss = functional.softplus(self.discriminator(fake)).mean()
        d_loss = d_loss + functional.softplus(-self.discriminator(real)).mean()
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()

        if self.steps_done % config.penalty_every == 0:
            real = real.detach().requires_grad_()
            logits = self.discriminator(real).sum()
            (slope,) = torch.autograd.grad(logits, real, create_graph=True)
            r1 = slope.square().sum(dim=(1, 2, 3)).mean()
            self.d_optimizer.zero_grad()
            (config.penalty_weight / 2 * r1 * config.penalty_every).backward()
            self.d_optimizer.step()

        fake = self.generator(self.latents(len(real)))
        g_loss = functional.softplus(-self.discriminator(fake)).mean()
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()

        self.steps_done += 1
        self.follow(config.ema_half_life or 0.0)
        return [d_loss.item(), g_loss.item()]


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


class _Linear(nn.Module):
    def __init__(
        self, before: int, after: int, bias: float = 0.0, rate: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias))
        self.scale, self.rate = rate / math.sqrt(before), rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class _Conv(nn.Module):
    def __init__(
        self,
        before: int,
        after: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        edges = sizes.height_and_width(size)
        self.weight = nn.Parameter(torch.randn(after, before, *edges))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None
        self.scale = 1 / math.sqrt(before * math.prod(edges))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding)


class _Blur(nn.Module):
    """[1, 3, 3, 1] in both directions, as a convolution of one channel."""

    kernel: Tensor

    def __init__(self, pad: tuple[int, int], up: bool = False) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", taps.outer(taps) / (16 if up else 64))
        self.pad, self.up = pad, up

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if self.up:  # to twice the size, with a zero after each pixel
            x = x.view(batch, channels, height, 1, width, 1)
            x = functional.pad(x, [0, 1, 0, 0, 0, 1]).flatten(4, 5).flatten(2, 3)
        x = functional.pad(x, [*self.pad, *self.pad])
        y = functional.conv2d(x.flatten(0, 1)[:, None], self.kernel[None, None])
        return y.view(batch, channels, *y.shape[2:])


class _ModulatedConv(nn.Module):
    """Each sample's own kernel: one convolution with a group for each sample."""

    def __init__(
        self,
        before: int,
        after: int,
        size: int,
        style: int,
        demodulates: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.style = _Linear(style, before, bias=1.0)
        self.weight = nn.Parameter(torch.randn(1, after, before, size, size))
        self.scale = 1 / math.sqrt(before * size**2)
        self.demodulates, self.padding = demodulates, size // 2
        self.blur = _Blur((1, 1)) if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        style = self.style(w).view(batch, 1, channels, 1, 1)
        weight = self.scale * self.weight * style
        if self.demodulates:
            squares = weight.square().sum(dim=(2, 3, 4), keepdim=True)
            weight = weight * torch.rsqrt(squares + 1e-8)
        x = x.reshape(1, -1, height, width)
        if self.blur is None:
            kernels = weight.flatten(0, 1)
            y = functional.conv2d(x, kernels, padding=self.padding, groups=batch)
            return y.view(batch, -1, height, width)
        kernels = weight.transpose(1, 2).flatten(0, 1)
        y = functional.conv_transpose2d(x, kernels, stride=2, groups=batch)
        return 4 * self.blur(y.view(batch, -1, *y.shape[2:]))


class _StyledConv(nn.Module):
    def __init__(self, before: int, after: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = _ModulatedConv(before, after, 3, style, up=up)
        self.strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, after, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = self.conv(x, w)
        noise = torch.randn(len(y), 1, *y.shape[2:], device=y.device)
        return _activate(y + self.strength * noise + self.bias)


class _ToImage(nn.Module):
    def __init__(self, before: int, channels: int, style: int) -> None:
        super().__init__()
        self.up = _Blur((2, 1), up=True)
        self.conv = _ModulatedConv(before, channels, 1, style, demodulates=False)
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor, image: Tensor | None) -> Tensor:
        y = self.conv(x, w) + self.bias
        return y if image is None else y + self.up(image)


def _widths(case: Case) -> list[int]:
    """From the image's size down."""
    config = case.config
    octaves = range(sizes.doublings(config.image_size) + 1)
    return [min(config.width << k, config.z_dim) for k in octaves]


class _Generator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        style = case.config.z_dim
        base = sizes.base(case.config.image_size)
        self.mapping = nn.ModuleList(
            _Linear(style, style, rate=_MAPPING_RATE) for _ in range(_MAPPING_LAYERS)
        )
        widths = _widths(case)[::-1]
        self.constant = nn.Parameter(torch.randn(1, widths[0], *base))
        self.convs = nn.ModuleList([_StyledConv(widths[0], widths[0], style)])
        for before, after in itertools.pairwise(widths):
            self.convs.append(_StyledConv(before, after, style, up=True))
            self.convs.append(_StyledConv(after, after, style))
        self.outputs = nn.ModuleList(
            _ToImage(width, case.channels, style) for width in widths
        )

    def forward(self, z: Tensor) -> Tensor:
        w = z.flatten(1)
        w = w * torch.rsqrt(w.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = _activate(layer(w))
        x = self.convs[0](self.constant.repeat(len(z), 1, 1, 1), w)
        image = self.outputs[0](x, w, None)
        for stage, output in enumerate(list(self.outputs)[1:]):
            x = self.convs[2 * stage + 1](x, w)
            x = self.convs[2 * stage + 2](x, w)
            image = output(x, w, image)
        return image


class _DownBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = _Conv(before, before, 3, padding=1)
        self.blur = _Blur((2, 2))
        self.conv2 = _Conv(before, after, 3, stride=2)
        self.shortcut_blur = _Blur((1, 1))
        self.shortcut = _Conv(before, after, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = _activate(self.conv1(x))
        y = _activate(self.conv2(self.blur(y)))
        return (y + self.shortcut(self.shortcut_blur(x))) / math.sqrt(2)


class _Discriminator(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        widths, self.group = _widths(case), case.config.minibatch_std
        base, last = sizes.base(case.config.image_size), widths[-1]
        self.conv = _Conv(case.channels, widths[0], 1)
        self.blocks = nn.Sequential(
            *[_DownBlock(before, after) for before, after in itertools.pairwise(widths)]
        )
        self.last_conv = _Conv(last + 1, last, 3, padding=1)
        self.whole = _Conv(last, last, base)
        self.linear = _Linear(last, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(_activate(self.conv(x)))
        group = min(len(x), self.group)
        spread = x.view(group, -1, *x.shape[1:]).var(dim=0, unbiased=False)
        spread = (spread + 1e-8).sqrt().mean(dim=(1, 2, 3), keepdim=True)
        spread = spread.repeat(group, 1, *x.shape[2:])
        x = _activate(self.last_conv(torch.cat([x, spread], dim=1)))
        return self.linear(_activate(self.whole(x)).flatten(1))
