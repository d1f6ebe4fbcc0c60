"""The initial weights of a seed, drawn once for both twins."""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shared.config.flags import refuse
from shared.files.arrays import Arrays
from shared.randomness import noise
from shared.randomness.noise import Purpose
from shared.statements import COUNTER, Shape, Stated


def initial_arrays(
    stated: Mapping[str, Stated], seed: int, purpose: Purpose = "initial weights"
) -> Arrays:
    """Initial values of arrays, each as its statement says; in float32.

    Each array has a stream of its own, so that adding a layer changes no other.

    Args:
        stated: what is to be made, by its name on file.
        seed: the run's seed.
        purpose: of the random numbers, as in `noise`.

    Raises:
        UsageError: the seed is out of range.
        ValueError: a start gives another shape than the array's.
    """
    if not 0 <= seed < 2**63:
        raise refuse("seed", seed, "must be 0 or more, and below 2**63")

    def normal(name: str, shape: Shape) -> NDArray[np.float32]:
        stream, size = zlib.crc32(name.encode()), int(np.prod(shape))
        return noise.normal(seed, purpose, stream, 1, size).reshape(shape)

    arrays: Arrays = {}
    # What starts from another array comes after it.
    for name, array in sorted(stated.items(), key=lambda item: bool(item[1].of)):
        dtype = np.int64 if array.kind == COUNTER else np.float32
        values = np.asarray(array.start(array, normal, arrays), dtype)
        if values.shape != array.shape:
            raise ValueError(
                f"array {name}: {array.start} gives shape {values.shape}, must give"
                f" {array.shape}"
            )
        arrays[name] = values
    return {name: arrays[name] for name in stated}
