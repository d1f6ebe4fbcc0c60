"""Convolutions and the constraints on their weights, in both twins."""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from jax import lax
from torch.nn.utils import parametrizations

import gans_torch
import gans_torch.layers
from gans_jax import layers as jax_layers
from gans_jax._convolutions import convolution
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.jax_side import as_if_wide, run_jax
from parity_tests.harness.modules import compare_twins
from parity_tests.harness.tasks import Task, compare, normal
from parity_tests.harness.torch_side import run_torch

_FLOAT64 = "layer, float64"
_FLOAT32 = "layer, float32"


class _Case(NamedTuple):
    """One convolution, and the shape of its images."""

    in_channels: int
    out_channels: int
    kernel_size: int | tuple[int, int]
    stride: int
    padding: int
    bias: bool
    batch: int
    height: int
    width: int
    groups: int = 1
    cache: int = convolution._CACHE
    """Bytes that a part of the batch is to stay within."""

    def build(self, layer: Callable[..., Any]) -> Any:
        """The layer, of either twin."""
        arguments = self._asdict()
        for name in ("batch", "height", "width", "cache"):
            del arguments[name]
        if self.groups == 1:  # transposed convolutions have none
            del arguments["groups"]
        return layer(**arguments)

    def task(self, layer: str) -> Task:
        """The layer of that name, on its images."""
        shape = (self.batch, self.in_channels, self.height, self.width)
        return Task(
            lambda twin: self.build(getattr(twin.layers, layer)), normal(1, *shape)
        )


_CONVOLUTIONS = {
    "DCGAN": _Case(3, 5, 4, 2, 1, False, 2, 8, 8),
    "odd size": _Case(3, 5, 4, 2, 1, True, 1, 7, 5),
    "to 1x1": _Case(5, 1, 4, 1, 0, True, 2, 4, 4),
    "1x1 kernel": _Case(3, 2, 1, 1, 0, True, 1, 3, 5),
    "3x3": _Case(3, 5, 3, 1, 1, True, 2, 5, 6),
    "3x3, from one": _Case(1, 5, 3, 1, 1, True, 2, 4, 6),
    "3x3, to one": _Case(5, 1, 3, 1, 1, True, 3, 6, 4),
    "3x3, even": _Case(5, 6, 3, 1, 1, True, 2, 6, 8),
    "3x3, no padding": _Case(3, 5, 3, 1, 0, True, 2, 6, 8),
    "3x3, in parts": _Case(8, 5, 3, 1, 1, True, 6, 12, 12, cache=80_000),
    "5x5, to many": _Case(3, 5, 5, 1, 2, False, 2, 6, 3),
    "5x5": _Case(3, 4, 5, 1, 2, False, 2, 6, 3),
    "groups": _Case(6, 4, 3, 1, 1, True, 2, 5, 4, groups=2),
    "groups of one": _Case(6, 12, 3, 1, 1, False, 1, 4, 3, groups=6),
    "groups, to 1x1": _Case(6, 9, 4, 1, 0, True, 2, 4, 4, groups=3),
    "stride 3": _Case(2, 3, 6, 3, 2, True, 2, 9, 8),
    "kernel 5, stride 2": _Case(3, 5, 5, 2, 2, True, 2, 7, 5),
    "kernel 3, stride 2": _Case(3, 5, 3, 2, 0, True, 2, 9, 8),
    "wide padding": _Case(3, 4, 2, 2, 2, True, 1, 5, 6),
    "more features than entries": _Case(1, 17, 4, 2, 1, True, 2, 6, 4),
    "in parts": _Case(8, 5, 4, 2, 1, True, 6, 12, 12, cache=80_000),
    "stride 1": _Case(3, 4, 2, 1, 1, False, 2, 5, 3),
    "stride 3, even": _Case(2, 3, 6, 3, 2, True, 2, 9, 16),
    "a rest": _Case(3, 5, 4, 2, 0, True, 2, 7, 11),
    "rectangle, to 1x1": _Case(5, 3, (4, 7), 1, 0, True, 2, 4, 7),
    "rectangle": _Case(3, 4, (2, 3), 1, 1, True, 2, 5, 4),
    "rectangle, groups": _Case(6, 4, (2, 3), 1, 0, True, 2, 2, 3, groups=2),
}
_TRANSPOSED = {
    "DCGAN": _Case(3, 5, 4, 2, 1, False, 2, 4, 4),
    "odd size": _Case(5, 3, 4, 2, 1, True, 1, 5, 3),
    "from 1x1": _Case(7, 5, 4, 1, 0, True, 2, 1, 1),
    "stride 1": _Case(3, 5, 4, 1, 0, True, 2, 4, 4),
    "3x3": _Case(5, 3, 3, 1, 1, True, 2, 5, 6),
    "3x3, even": _Case(6, 5, 3, 1, 1, True, 2, 6, 4),
    "stride 3": _Case(2, 3, 6, 3, 2, True, 2, 3, 2),
    "wide padding": _Case(3, 1, 4, 2, 3, True, 1, 5, 4),
    "kernel 5, stride 2": _Case(3, 5, 5, 2, 2, True, 2, 3, 5),
    "kernel 3, stride 2": _Case(3, 5, 3, 2, 0, True, 2, 4, 5),
    "more features than entries": _Case(17, 1, 4, 2, 1, True, 2, 3, 2),
    "in parts": _Case(5, 8, 4, 2, 1, True, 6, 6, 6, cache=80_000),
    "kernel 2": _Case(3, 4, 2, 1, 0, False, 2, 4, 2),
    "rectangle, from 1x1": _Case(7, 5, (4, 7), 1, 0, True, 2, 1, 1),
    "rectangle": _Case(3, 4, (3, 2), 2, 1, True, 2, 4, 5),
    "stride 3, even": _Case(3, 2, 6, 3, 2, True, 2, 2, 4),
}


class _LaxConv2d(jax_layers.Conv2d):
    """What the CPU's form must equal."""

    def __call__(self, x: Any) -> Any:
        pads = [(self.padding, self.padding)] * 2
        y = lax.conv_general_dilated(
            x,
            self.weight[...],
            (self.stride, self.stride),
            pads,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.groups,
        )
        return y if self.bias is None else y + self.bias[...][None, None, None]


class _LaxConvTranspose2d(jax_layers.ConvTranspose2d):
    """What the CPU's form must equal."""

    def __call__(self, x: Any) -> Any:
        pads = [size - 1 - self.padding for size in self.weight.shape[:2]]
        y = lax.conv_transpose(
            x,
            self.weight[...],
            (self.stride, self.stride),
            [(pad, pad) for pad in pads],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            transpose_kernel=True,
        )
        return y if self.bias is None else y + self.bias[...][None, None, None]


class _WideConv2d(jax_layers.Conv2d):
    """With the products that are used on a CPU where there are many channels."""

    def __call__(self, x: Any) -> Any:
        with as_if_wide():
            return super().__call__(x)


class _WideConvTranspose2d(jax_layers.ConvTranspose2d):
    """With the products that are used on a CPU where there are many channels."""

    def __call__(self, x: Any) -> Any:
        with as_if_wide():
            return super().__call__(x)


def _check_convolution(
    layer: str, case: _Case, stock: type, wide: type
) -> list[Finding]:
    worst = Worst()
    task = case.task(layer)
    in_torch = run_torch(task, np.float64)
    in_xla = run_jax(_rebuilt(task, case, stock), np.float64)
    for form, note in ((task, ""), (_rebuilt(task, case, wide), "as if wide")):
        with mock.patch.object(convolution, "_CACHE", case.cache):
            numbers, rounded = run_jax(form, np.float64), run_jax(form, np.float32)
        compare(worst, in_torch, numbers, _FLOAT64, note)
        aspect = "against XLA's convolution"
        compare(worst, numbers, in_xla, _FLOAT64, note, aspect=aspect)
        aspect = "float32 against float64"
        compare(worst, rounded, numbers, _FLOAT32, note, aspect=aspect)
    return worst.findings()


def _rebuilt(task: Task, case: _Case, layer: type) -> Task:
    return task._replace(build=lambda _: case.build(layer))


for _layer, _cases, _stock, _wide in (
    ("Conv2d", _CONVOLUTIONS, _LaxConv2d, _WideConv2d),
    ("ConvTranspose2d", _TRANSPOSED, _LaxConvTranspose2d, _WideConvTranspose2d),
):
    # One by one, so that a mutant is found by what takes a moment.
    for _name, _case in _cases.items():
        check(f"layer/{_layer}/{_name}", "layer", (f"layers.{_layer}",))(
            functools.partial(_check_convolution, _layer, _case, _stock, _wide)
        )


def _reparametrised(twin: ModuleType, layer: str, kind: str) -> Any:
    convolution = getattr(twin.layers, layer)(3, 5, kernel_size=4, stride=2, padding=1)
    return twin.layers.reparametrise(convolution, kind)


def _reparametrised_task(layer: str, kind: str, training: bool) -> Task:
    build = functools.partial(_reparametrised, layer=layer, kind=kind)
    return Task(build, normal(3, 2, 3, 4, 5), training=training)


def _check_reparametrised(kind: str, modes: tuple[str, ...]) -> list[Finding]:
    tasks = {
        f"{layer}, {mode}": _reparametrised_task(layer, kind, mode == "training")
        for layer in ("Conv2d", "ConvTranspose2d")
        for mode in modes
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


for _kind, _modes in (
    ("none", ("training",)),
    ("spectral", ("training", "evaluation")),
    ("weight", ("training",)),
):
    check(f"layer/reparametrise/{_kind}", "layer", ("layers.reparametrise",))(
        functools.partial(_check_reparametrised, _kind, _modes)
    )


@check("layer/reparametrise/stock", "layer", ("layers.reparametrise",))
def _stock_parametrizations() -> list[Finding]:
    """The JAX twin against PyTorch's parametrizations with PyTorch's own defaults."""
    spectral_norm, weight_norm = (
        parametrizations.spectral_norm,
        parametrizations.weight_norm,
    )
    cases = {
        ("spectral", "Conv2d"): spectral_norm,
        ("spectral", "ConvTranspose2d"): spectral_norm,
        ("weight", "Conv2d"): weight_norm,
        # Weight norm's default knows nothing of transposed convolutions.
        ("weight", "ConvTranspose2d"): functools.partial(weight_norm, dim=1),
    }
    worst = Worst()
    for (kind, layer), constrain in cases.items():
        task = _reparametrised_task(layer, kind, training=True)
        convolution = getattr(torch.nn, layer)(3, 5, 4, 2, 1)
        # Its arrays are what those of our layer are.
        convolution.statements = _reparametrised(gans_torch, layer, kind).statements
        stock = task._replace(build=functools.partial(_given, constrain(convolution)))
        numbers = (run_torch(stock, np.float64), run_jax(task, np.float64))
        compare(worst, *numbers, _FLOAT64, f"{kind}, {layer}")
    return worst.findings()


def _given(module: Any, _twin: ModuleType) -> Any:
    return module
