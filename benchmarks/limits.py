"""What the device itself can do: rates of its matrix product and of its copy."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

_COPY_BYTES = 1 << 28


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
        precision: of the product; one of `shared.config.Precision`.
        size: edge of the matrices.
        repeats: products, of which the fastest counts.
    """
    import torch

    if torch.device(device).type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    names = {"bfloat16": torch.bfloat16, "float64": torch.float64}
    dtype = names.get(precision, torch.float32)
    a = torch.ones(size, size, dtype=dtype, device=device)
    source = torch.ones(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def wait() -> None:
        if a.is_cuda:
            torch.cuda.synchronize()

    return Limits(
        matmul=_work(size) / _fastest(lambda: a @ a, wait, repeats),
        copy=2 * _COPY_BYTES / _fastest(lambda: target.copy_(source), wait, repeats),
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
        a = jnp.ones((size, size), names.get(precision, jnp.float32))
        source = jnp.ones(_COPY_BYTES, jnp.uint8)
        multiply = jax.jit(lambda a: a @ a)
        copy = jax.jit(jnp.copy)
        return Limits(
            matmul=_work(size)
            / _fastest(lambda: multiply(a).block_until_ready(), _nothing, repeats),
            copy=2
            * _COPY_BYTES
            / _fastest(lambda: copy(source).block_until_ready(), _nothing, repeats),
        )


def _work(size: int) -> int:
    return 2 * size**3


def _nothing() -> None:
    pass


def _fastest(call: Callable[[], Any], wait: Callable[[], None], repeats: int) -> float:
    """Seconds of the fastest call, the first one not counted."""
    seconds = []
    for _ in range(repeats + 1):
        wait()
        start = time.perf_counter()
        call()
        wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
