"""What the device itself can do: rates of its matrix product and of its copy."""

import time
from collections.abc import Callable
from typing import NamedTuple

_COPY_BYTES = 1 << 28
# Calls that are timed together on an accelerator, where starting one takes a while.
_QUEUED = 20


class Limits(NamedTuple):
    """Rates of one device, by one framework."""

    matmul: float
    """Operations per second of a large square matrix product."""
    copy: float
    """Bytes read and written per second by a large copy."""


def torch_limits(device: str, precision: str, *, size: int, repeats: int) -> Limits:
    """Measured by PyTorch.

    Args:
        device: as for the twin.
        precision: of the product; one of `shared.config.choices.Precision`.
        size: edge of the matrices.
        repeats: measurements, of which the fastest counts.
    """
    import torch

    if torch.device(device).type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    names = {"bfloat16": torch.bfloat16, "float64": torch.float64}
    dtype = names.get(precision, torch.float32)
    # Not ones, with which a GPU draws less power, and is faster, than in earnest.
    a = torch.rand(size, size, device=device).to(dtype)
    source = torch.ones(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def wait(_: object) -> None:
        if a.is_cuda:
            torch.cuda.synchronize(a.device)

    def fastest(call: Callable[[], object]) -> float:
        return _fastest(call, wait, repeats, _QUEUED if a.is_cuda else 1)

    return Limits(
        matmul=2 * size**3 / fastest(lambda: a @ a),
        copy=2 * _COPY_BYTES / fastest(lambda: target.copy_(source)),
    )


def jax_limits(device: str, precision: str, *, size: int, repeats: int) -> Limits:
    """Measured by JAX; arguments as `torch_limits`."""
    import jax
    import jax.numpy as jnp

    names = {"bfloat16": jnp.bfloat16, "float64": jnp.float64}
    platform, _, index = device.partition(":")
    with (
        jax.enable_x64(precision == "float64"),
        jax.default_device(jax.devices(platform)[int(index or 0)]),
        jax.default_matmul_precision(
            "tensorfloat32" if precision == "tf32" else "highest"
        ),
    ):
        dtype = names.get(precision, jnp.float32)
        a = jax.random.uniform(jax.random.key(0), (size, size)).astype(dtype)
        source = jnp.ones(_COPY_BYTES, jnp.uint8)
        multiply = jax.jit(lambda a: a @ a)
        copy = jax.jit(jnp.copy)

        def fastest(call: Callable[[], object]) -> float:
            queued = 1 if platform == "cpu" else _QUEUED
            return _fastest(call, jax.block_until_ready, repeats, queued)

        return Limits(
            matmul=2 * size**3 / fastest(lambda: multiply(a)),
            copy=2 * _COPY_BYTES / fastest(lambda: copy(source)),
        )


def _fastest(
    call: Callable[[], object],
    wait: Callable[[object], object],
    repeats: int,
    queued: int,
) -> float:
    """Seconds of a call in the fastest repeat, the first one not counted."""
    seconds = []
    wait(call())
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(queued - 1):
            call()
        wait(call())
        seconds.append((time.perf_counter() - start) / queued)
    return min(seconds)
