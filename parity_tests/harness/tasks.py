"""What both twins are asked to compute, and how their numbers are compared.

Images are NCHW here, and arrays carry PyTorch's names and layouts. Needs neither
framework: `torch_side` and `jax_side` compute.
"""

import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parity_tests.certificate.registry import Worst
from shared.files.arrays import Arrays

# What was measured: aspect -> name -> array.
Numbers = dict[str, Arrays]
Shapes = dict[str, tuple[int, ...]]


def normal(*shape: int, mean: float = 0.3, std: float = 1.0) -> NDArray[np.float32]:
    """Normal numbers that depend on the shape alone."""
    drawn = np.random.default_rng(list(shape)).standard_normal(shape, np.float32)
    return np.float32(mean) + np.float32(std) * drawn


def random_arrays(shapes: Shapes) -> Arrays:
    """Parameters and buffers such as training might leave, in float32.

    Nothing has the value that it starts with, so that nothing left out goes unnoticed.
    Each array depends on its name and shape alone.

    Args:
        shapes: shape by PyTorch's name.
    """
    return {name: _random_array(name, shape) for name, shape in shapes.items()}


class Task(NamedTuple):
    """What both twins are asked to compute."""

    build: Callable[[ModuleType], Any]
    """Makes the layer, network or function, given `gans_torch` or `gans_jax`."""
    inputs: NDArray[np.float32]
    """A batch for each step, [steps, batch, ...]: the last one is differentiated, those
    before it only advance the buffers."""
    labels: NDArray[np.int64] | None = None
    """Class ids [batch], for what is conditional."""
    training: bool = True
    """Whether the module is in training mode."""
    second_order: bool = True
    """Whether the gradient of the input gradient's squared norm is asked for."""
    arrays: Callable[[Shapes], Arrays] = random_arrays
    """Makes the parameters and buffers, by name and shape."""


def compare(
    worst: Worst,
    first: Numbers,
    second: Numbers,
    tolerance: str,
    case: str,
    *,
    floor: float = 1e-12,
    aspect: str = "",
) -> None:
    """Compare all numbers of two runs.

    Args:
        worst: collects what is found.
        first: of one run.
        second: of the other.
        tolerance: row of `TOLERANCES`.
        case: what a reader finds the task by.
        floor: as in `compare.difference`.
        aspect: name under which all aspects count as one; empty to keep them apart.

    Raises:
        AssertionError: the runs have not the same arrays.
    """
    for measured in first:
        if first[measured].keys() != second[measured].keys():
            wrong = sorted(first[measured].keys() ^ second[measured].keys())
            raise AssertionError(f"{measured}: only one side has {', '.join(wrong)}")
        for name in first[measured]:
            pair = (first[measured][name], second[measured][name])
            if aspect:
                where = f"{case}: {measured} of {name}"
                worst.compare(aspect, *pair, tolerance, where, floor)
            else:
                worst.compare(measured, *pair, tolerance, f"{case}: {name}", floor)


def named_outputs(output: Any) -> dict[str, Any]:
    """The arrays of an output by name; `Outputs` has several."""
    fields = output._asdict() if hasattr(output, "_asdict") else {"output": output}
    return {name: value for name, value in fields.items() if value is not None}


def probe(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Fixed numbers that weigh the outputs, so that no two count the same."""
    return np.random.default_rng(17).standard_normal(shape, np.float32)


def to_nhwc(x: Any) -> Any:
    """NCHW images, of either framework, as NHWC; other arrays as they are."""
    return x if x.ndim < 4 else x.swapaxes(-3, -2).swapaxes(-2, -1)


def to_nchw(x: Any) -> Any:
    """The inverse of `to_nhwc`."""
    return x if x.ndim < 4 else x.swapaxes(-1, -2).swapaxes(-2, -3)


def _random_array(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    random = np.random.default_rng([zlib.crc32(name.encode()), *shape])
    field = name.rpartition(".")[2]
    if field == "num_batches_tracked":
        return np.asarray(3, np.int64)
    if field in ("running_var", "original0"):  # variances, lengths
        return random.uniform(0.5, 2.0, shape).astype(np.float32)
    drawn = random.standard_normal(shape, np.float32)
    if field in ("_u", "_v"):
        return drawn / np.linalg.norm(drawn)
    if len(shape) == 4:  # keeps the scale of what passes through
        return drawn / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.asarray(np.float32(0.3) * drawn)  # of a scalar, too
