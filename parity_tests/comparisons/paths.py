"""Path lengths: both twins against each other, and against the formula in NumPy."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

import gans_jax.paths
import gans_torch.paths
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.jax_side import jax_gradients
from parity_tests.harness.tasks import normal
from parity_tests.harness.torch_side import torch_gradients

_LAYERS, _BATCH, _FEATURES, _HEIGHT, _WIDTH = 3, 4, 5, 2, 3
_MATRIX = normal(_LAYERS, _FEATURES, _HEIGHT * _WIDTH)
_STYLES = normal(_LAYERS, _BATCH, _FEATURES)
_DIRECTIONS = normal(_BATCH, _HEIGHT * _WIDTH)
# One image does not move in its direction: there the root has no derivative.
_STILL = _DIRECTIONS * (np.arange(_BATCH) > 0)[:, np.newaxis].astype(np.float32)
_MEAN = np.asarray(0.7, np.float32)


def _torch(matrix: Any, styles: Any, directions: Any, mean: Any) -> Any:
    """Of images that are curved in their styles: the penalty, and something of m'."""
    size = (-1, 1, _HEIGHT, _WIDTH)
    terms = gans_torch.paths.path_penalty(
        lambda w: torch.tanh(torch.einsum("kbf,kfp->bp", w, matrix)).reshape(size),
        styles,
        directions.reshape(size),
        mean,
    )
    return terms.penalty + 3 * terms.mean


def _jax(matrix: Any, styles: Any, directions: Any, mean: Any) -> Any:
    """The same."""
    size = (-1, _HEIGHT, _WIDTH, 1)
    terms = gans_jax.paths.path_penalty(
        lambda w: jnp.tanh(jnp.einsum("kbf,kfp->bp", w, matrix)).reshape(size),
        styles,
        directions.reshape(size),
        mean,
    )
    return terms.penalty + 3 * terms.mean


def _formula(given: NDArray[np.float32]) -> float:
    matrix, styles, directions = (
        x.astype(np.float64) for x in (_MATRIX, _STYLES, given)
    )
    made = np.tanh(np.einsum("kbf,kfp->bp", styles, matrix))
    gradient = np.einsum("bp,kfp->kbf", (1 - made**2) * directions, matrix)
    lengths = np.sqrt(np.square(gradient).sum(axis=2).sum(axis=0) / _LAYERS)
    mean = 0.99 * float(_MEAN) + 0.01 * lengths.sum() / _BATCH
    return np.square(lengths - mean).sum() / _BATCH + 3 * mean


@check("penalty/path lengths", "penalty", ("paths.path_penalty", "paths.PathTerms"))
def _path_lengths() -> list[Finding]:
    worst = Worst()
    for directions in (_DIRECTIONS, _STILL):
        arguments = (_MATRIX, _STYLES, directions, _MEAN)
        found = {
            "torch": torch_gradients(_torch, *arguments),
            "jax": jax_gradients(_jax, *arguments),
        }
        value = _formula(directions)
        for twin, measured in found.items():
            worst.compare("value", measured.value, value, "penalty, float64", twin)
        names = ("matrix", "styles", "directions", "mean")
        pairs = zip(*(x.gradients for x in found.values()), strict=True)
        for name, (first, second) in zip(names, pairs, strict=True):
            worst.compare("gradient", first, second, "penalty, float64", name)
    return worst.findings()
