"""Every random number of a run: a pure function of (seed, purpose, step, sample).

A counter-based generator (Philox) is read at a position that depends on nothing but
these four, so any slice of a batch can be drawn alone: a device draws its own share, a
resumed run draws what the unbroken run would have drawn, and both twins see the same
numbers. A run that has diverged and gone back needs others: a fifth coordinate counts
how often it has, and is 0 in all other runs. Only the raw bits come from NumPy, whose
bit streams are stable between versions; the distributions are computed here.

References:
    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

import functools
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Purpose = Literal[
    "initial weights",
    "epoch order",
    "epoch order for G",
    "latents",
    "latents for G",
    "penalty mix",
    "penalty noise",
    "label flips",
    "instance noise",
    "fixed latents",
    "drawn samples",
    "standing statistics",
    "classifier weights",
    "evaluated samples",
    "evaluated labels",
    "points",
    "noise images",
    "augmentation for D",
    "augmentation for G",
    "normal augmentation for D",
    "normal augmentation for G",
    "mirrored images",
    "mirrored images for G",
    "noise maps",
    "noise maps for G",
    "other latents",
    "other latents for G",
    "style mixing",
    "style mixing for G",
    "path directions",
]


def _bits(
    seed: int,
    purpose: str,
    step: int,
    first: int,
    count: int,
    words: int,
    rollbacks: int = 0,
) -> NDArray[np.uint64]:
    """Raw 64-bit words of samples first .. first + count - 1; shape [count, words]."""
    # Philox yields four words for each value of its counter.
    blocks = -(-words // 4)
    key = np.array([seed, zlib.crc32(purpose.encode())], np.uint64)
    counter = np.array([first * blocks, step, rollbacks, 0], np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(count * blocks * 4)
    return raw.reshape(count, blocks * 4)[:, :words]


def uniform(
    seed: int,
    purpose: Purpose,
    step: int,
    samples: slice | int,
    size: int = 1,
    rollbacks: int = 0,
) -> NDArray[np.float32]:
    """Uniform numbers from [0, 1).

    Args:
        seed: seed of the run.
        purpose: which stream.
        step: position in time within the stream.
        samples: samples of the global batch: ``slice(first, stop)``, or how many.
        size: numbers for each sample.
        rollbacks: how often the run has gone back, as other draws are needed then.

    Returns:
        Multiples of 2**-24; shape [samples, size].
    """
    first, count = _span(samples)
    bits = _bits(seed, purpose, step, first, count, size, rollbacks)
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def normal(
    seed: int,
    purpose: Purpose,
    step: int,
    samples: slice | int,
    size: int,
    rollbacks: int = 0,
) -> NDArray[np.float32]:
    """Standard normal numbers, by the Box-Muller transform; arguments as `uniform`."""
    first, count = _span(samples)
    pairs = -(-size // 2)
    bits = _bits(seed, purpose, step, first, count, 2 * pairs, rollbacks)
    # Half a unit is added so that the logarithm never sees zero.
    unit = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(unit[:, :pairs]))
    angle = 2.0 * np.pi * unit[:, pairs:]
    both = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return both[:, :size].astype(np.float32)


def batch_indices(
    seed: int,
    batch: int,
    batch_size: int,
    count: int,
    purpose: Purpose = "epoch order",
) -> NDArray[np.int64]:
    """Which images make up real batch number ``batch`` of the run; shape [batch_size].

    Each epoch is a fresh permutation of all images; what is left after its last full
    batch is left out, because batch norm must not see a ragged batch.

    Args:
        seed: seed of the run.
        batch: number of the batch, counted over the whole run from 0.
        batch_size: images in a batch.
        count: images in the data set, at least ``batch_size``.
        purpose: whose order.
    """
    epoch, position = divmod(batch, count // batch_size)
    order = _epoch_order(seed, epoch, count, purpose)
    return order[position * batch_size : (position + 1) * batch_size]


@functools.lru_cache(maxsize=4)  # two of each network
def _epoch_order(
    seed: int, epoch: int, count: int, purpose: Purpose
) -> NDArray[np.int64]:
    keys = _bits(seed, purpose, epoch, 0, count, 1)[:, 0]
    # A stable sort of random keys is a permutation that no NumPy version changes.
    return np.argsort(keys, kind="stable")


def _span(samples: slice | int) -> tuple[int, int]:
    if isinstance(samples, slice):
        return samples.start, samples.stop - samples.start
    return 0, int(samples)
