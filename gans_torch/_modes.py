"""PyTorch's own modes and switches, where a user has chosen others around a call."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import conv2d

from shared.errors import UsageError

# Not ``allow_tf32``: to read it is an error once a user has set what is newer.
_BACKENDS: Any = torch.backends
_SWITCHES = (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv)


@contextlib.contextmanager
def usual_modes() -> Iterator[None]:
    """With gradients, and without autocast, whatever a user has chosen around it.

    What is made inside ``torch.inference_mode()`` could never be trained. What a run
    sets for the whole process is undone, for the user or the run around it.
    """
    with (
        _kept_precision(),
        _kept_determinism(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """A GPU's convolutions and products in float32, whatever has been chosen."""
    with _kept_precision():
        allow_tf32(False)
        yield


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU's convolutions and products may be in TF32."""
    for switch in _SWITCHES:
        _choose(switch, "tf32" if allowed else "ieee")


def check_bfloat16() -> None:
    """Refuse a CPU whose convolutions in bfloat16 are wrong.

    Raises:
        UsageError: they are; oneDNN was used before this package was imported, or the
            user has it use AMX.
    """
    ones = torch.ones(1, 8, 8, 8, dtype=torch.bfloat16)
    if conv2d(ones, ones, padding=1).float().max() != ones.numel():
        raise UsageError(
            "--precision bfloat16: this processor's convolutions are wrong in PyTorch"
            f" {torch.__version__}, whose oneDNN uses AMX; set ONEDNN_MAX_CPU_ISA to"
            " AVX512_CORE_BF16 before the process starts, or use float32"
        )


@contextlib.contextmanager
def _kept_precision() -> Iterator[None]:
    chosen = [switch.fp32_precision for switch in _SWITCHES]
    try:
        yield
    finally:
        for switch, precision in zip(_SWITCHES, chosen, strict=True):
            _choose(switch, precision)


def _choose(switch: Any, precision: str) -> None:
    """With ``none`` it follows the backend's own switch, as it may have before."""
    for choice in ("none", precision):
        if switch.fp32_precision != precision:
            switch.fp32_precision = choice


@contextlib.contextmanager
def _kept_determinism() -> Iterator[None]:
    chosen = _determinism()
    try:
        yield
    finally:
        if chosen != _determinism():
            enabled, warn_only, torch.backends.cudnn.deterministic = chosen
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


def _determinism() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
    )
