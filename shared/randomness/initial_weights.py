"""The initial weights of a seed, drawn once for both twins."""

import zlib

import numpy as np
from numpy.typing import NDArray

from shared.files.arrays import Arrays
from shared.randomness import noise

_STD = 0.02
_POWER_ITERATIONS = 15


def initial_arrays(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    """Initial values of both networks, in float32.

    Weights ~ N(0, 0.02); of fully connected layers (1x1 kernels), N(0, sqrt(2 / in));
    gains of normalisations ~ N(1, 0.02); biases and running means 0; running variances
    1. Each array has a stream of its own, so that adding a layer changes no other.

    Args:
        shapes: shape by name, in PyTorch's names.
        seed: the run's seed.

    References:
        Radford et al. 2015, arXiv:1511.06434, section 4 (weights). The gains follow
        the authors' code. He et al. 2015, arXiv:1502.01852, Eq. 10 (fully connected).
    """
    arrays: Arrays = {}
    # Sorted: "original" comes before the singular vectors that are derived from it.
    for name in sorted(shapes, key=lambda name: (_is_derived(name), name)):
        arrays[name] = _initial(name, shapes[name], seed, arrays)
    return {name: arrays[name] for name in shapes}


def _is_derived(name: str) -> bool:
    return name.endswith((".original0", "._u", "._v"))


def _initial(
    name: str, shape: tuple[int, ...], seed: int, arrays: Arrays
) -> NDArray[np.generic]:
    owner, _, field = name.rpartition(".")
    if field == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if field in ("bias", "running_mean") or ".bias_embedding." in name:
        return np.zeros(shape, np.float32)
    if field == "running_var":
        return np.ones(shape, np.float32)
    if field == "original0":  # the length g of weight normalisation's direction v
        direction = arrays[f"{owner}.original1"]
        axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
        return np.sqrt(np.square(direction).sum(axis=axes, keepdims=True))
    if field in ("_u", "_v"):
        u, v = _singular_vectors(owner.removesuffix(".0"), seed, arrays)
        return u if field == "_u" else v
    drawn = _normal(name, shape, seed)
    is_gain = len(shape) == 1 or ".gain_embedding." in name
    # With DCGAN's deviation a perceptron would start, and stay, almost mute.
    is_dense = shape[2:] == (1, 1)
    std = np.sqrt(2.0 / shape[1]) if is_dense else _STD
    return np.float32(is_gain) + np.float32(std) * drawn


def _singular_vectors(
    name: str, seed: int, arrays: Arrays
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Warm-started power iteration, in PyTorch's order and number of iterations."""
    weight = arrays[f"{name}.original"].astype(np.float64)
    # A transposed convolution's weight is [in, out, ...]; PyTorch puts "out" first.
    # Such layers are called ``up`` in this project.
    if name.split(".")[-3] == "up":
        weight = weight.swapaxes(0, 1)
    matrix = weight.reshape(len(weight), -1)
    u = _unit(_normal(f"{name}.0._u", matrix.shape[:1], seed).astype(np.float64))
    v = _unit(matrix.T @ u)
    for _ in range(_POWER_ITERATIONS):
        u = _unit(matrix @ v)
        v = _unit(matrix.T @ u)
    return u.astype(np.float32), v.astype(np.float32)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.sqrt(np.square(vector).sum())), 1e-12)


def _normal(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    stream = zlib.crc32(name.encode())
    size = int(np.prod(shape))
    return noise.normal(seed, "initial weights", stream, 1, size).reshape(shape)
