"""How two results are compared, and how far apart they may be."""

from typing import Any, NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """A bound, and what was measured when it was set."""

    bound: float
    """The largest `difference` allowed; at most 100 times the measurement."""
    measured: float
    """The largest difference measured, on two CPU cores."""
    reason: str
    """Where the difference comes from."""


# The only table of tolerances; one line for each kind of comparison.
TOLERANCES: dict[str, Tolerance] = {
    # Layers, optimisers, networks.
    "layer, float64": Tolerance(1e-13, 1.6e-15, "rounding"),
    "layer, float32": Tolerance(5e-5, 2.1e-6, "rounding"),
    "large mean, float64": Tolerance(5e-12, 1.1e-13, "mean 100, deviation 0.1 cancel"),
    "large mean, float32": Tolerance(3e-3, 3.1e-4, "mean 100, deviation 0.1 cancel"),
    "optimizer, float64": Tolerance(1e-13, 2.0e-15, "rounding, through 1,000 steps"),
    "optimizer, float32, first steps": Tolerance(1e-6, 2.4e-7, "rounding"),
    "optimizer, float32": Tolerance(1e-4, 1.3e-5, "rounding, through 1,000 steps"),
    "network, float64": Tolerance(1e-12, 3.9e-14, "rounding"),
    "network, float32": Tolerance(5e-6, 3.7e-7, "rounding"),
    # Losses.
    "loss, float64": Tolerance(5e-14, 6.8e-16, "rounding; sums that nearly cancel"),
    "loss, float32": Tolerance(2e-5, 1.2e-6, "rounding; sums that nearly cancel"),
    "gradient of a loss, float64": Tolerance(1e-13, 1.2e-15, "rounding"),
    "gradient of a loss, float32": Tolerance(1e-5, 4.6e-7, "rounding"),
    "softplus, float64": Tolerance(2e-14, 4.4e-16, "rounding, of each entry"),
    "softplus, float32": Tolerance(2e-6, 6.8e-8, "rounding, of each entry"),
    # Penalties.
    "penalty, float64": Tolerance(1e-13, 3.0e-15, "rounding"),
    "penalty, float32": Tolerance(2e-5, 5.2e-7, "rounding"),
    "gradient of a penalty, float64": Tolerance(1e-13, 3.0e-15, "rounding"),
    "gradient of a penalty, float32": Tolerance(4e-5, 1.2e-6, "rounding"),
    "gradient of a penalty, differences": Tolerance(
        5e-8, 1.1e-9, "rounding over a step of 1e-6"
    ),
    # Orthogonal regularisation.
    "orthogonality, float64": Tolerance(5e-14, 1.6e-15, "rounding"),
    "orthogonality, float32": Tolerance(1e-5, 3.1e-7, "rounding"),
    # Augmentation.
    "augmentation, float64": Tolerance(2e-14, 1.4e-15, "rounding"),
    "augmentation, float32": Tolerance(5e-6, 1.5e-7, "rounding"),
    # Trajectories; differences have floor 1.
    "trajectory, float64": Tolerance(1e-11, 1.9e-12, "rounding, through 200 steps"),
    "trajectory, float64, free bias": Tolerance(
        1e-10, 2.8e-11, "Adam's steps on a gradient that is nothing but rounding"
    ),
    "trajectory, float64, seen by attention": Tolerance(
        2e-8, 2.9e-9, "the same, of biases that attention is about to see"
    ),
    "cancelled by norms": Tolerance(
        1e-7, 2.6e-8, "the same, of what is taken off again before anything sees it"
    ),
    "cancelled by norms, float32": Tolerance(
        1e-2, 4e-3, "the same: Adam's steps go either way"
    ),
    "multiple of a nudge": Tolerance(
        20.0, 2.0, "chaos: a twin moved by a last digit departs as far from itself"
    ),
    "trajectory, float32": Tolerance(2e-5, 5.1e-6, "rounding, through 10 steps"),
    "trajectory, float32 against float64": Tolerance(
        2e-5, 6.0e-6, "rounding, through 10 steps"
    ),
    "trajectory, float32 against float64, from zeros": Tolerance(
        5e-5, 1.3e-5, "Adam's first steps behind kernels that start at zero"
    ),
    "trajectory, bfloat16": Tolerance(2e-2, 2.4e-3, "rounding, through 5 steps"),
    "gradient, bfloat16": Tolerance(1.5e-1, 6.9e-2, "rounding, in thin networks"),
    "whole gradient of D, bfloat16": Tolerance(2e-2, 6.5e-3, "rounding, in D"),
    "whole gradient of G, bfloat16": Tolerance(
        1.5e-1, 8.4e-2, "rounding, in D and then in G"
    ),
    "critic cycle, bfloat16": Tolerance(3e-3, 4.4e-4, "rounding, through a cycle"),
    # Slices of a batch against the batch; differences have floor 1.
    "slices, float64": Tolerance(5e-13, 1.1e-14, "rounding, through 20 steps"),
    # Several devices against one; differences have floor 1.
    "devices, float64": Tolerance(1e-13, 1.3e-15, "rounding, through 3 steps"),
    "devices, float64, free bias": Tolerance(
        1e-10, 2.2e-12, "Adam's steps on a gradient that is nothing but rounding"
    ),
    "devices, float64, seen by attention": Tolerance(
        5e-9, 1.0e-10, "the same, of biases that attention is about to see"
    ),
    # Hops.
    "exact": Tolerance(0.0, 0.0, "the same bytes"),
    "samples, float32": Tolerance(2e-5, 5.0e-7, "rounding"),
    "samples, grey levels": Tolerance(1.0, 1.0, "a value on the edge of two levels"),
    # Evaluation.
    "scores": Tolerance(8e-6, 8.6e-8, "features in float32, grey levels on an edge"),
    # Facts.
    "fact, Dirac": Tolerance(1e-12, 1.9e-14, "curvature 1e-7 from the centre"),
    "fact, optimum": Tolerance(2e-14, 4.8e-16, "rounding"),
    "fact, Gaussians": Tolerance(1e-3, 3.8e-5, "quantiles, not expectations"),
    # First steps of training.
    "first steps, float64": Tolerance(5e-14, 6.7e-16, "rounding, through 3 steps"),
    "first steps, float32": Tolerance(1e-6, 9.0e-8, "rounding, through 2 steps"),
}


def difference(first: Any, second: Any, floor: float = 1e-12) -> float:
    """Largest difference of two arrays, relative to the largest entry of both.

    Args:
        first: an array, or what NumPy makes one of.
        second: another one, of the same shape.
        floor: least denominator; 1.0 makes the difference of small arrays absolute.

    Returns:
        max |first - second| / max(|first|, |second|, floor); 0 for empty arrays.

    Raises:
        AssertionError: the shapes differ, even where one would broadcast to the other,
            or an entry is NaN or infinite.
    """
    first, second = (np.asarray(x, np.float64) for x in (first, second))
    if first.shape != second.shape:
        raise AssertionError(f"shapes differ: {first.shape} and {second.shape}")
    for name, array in (("first", first), ("second", second)):
        if not np.isfinite(array).all():
            raise AssertionError(f"the {name} array holds NaN or infinity")
    if not first.size:
        return 0.0
    scale = max(np.abs(first).max(), np.abs(second).max(), floor)
    return float(np.abs(first - second).max() / scale)


def assert_parity(
    first: Any, second: Any, tolerance: str, floor: float = 1e-12
) -> float:
    """Compare two arrays, or dictionaries of arrays with the same keys.

    Args:
        first: an array, or a dictionary of arrays.
        second: the other twin's.
        tolerance: a row of `TOLERANCES`.
        floor: as in `difference`.

    Returns:
        The largest difference found.

    Raises:
        AssertionError: names the array that differs, by how much, and the bound.
    """
    if not isinstance(first, dict):
        first, second = {"value": first}, {"value": second}
    if first.keys() != second.keys():
        wrong = sorted(first.keys() ^ second.keys())
        raise AssertionError(f"only one side has {', '.join(wrong)}")
    bound = TOLERANCES[tolerance].bound
    largest = 0.0
    for name in first:
        try:
            found = difference(first[name], second[name], floor)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
        if found > bound:
            raise AssertionError(
                f"{name}: differs by {found:.3g}, bound {bound:.3g} ({tolerance})"
            )
        largest = max(largest, found)
    return largest
