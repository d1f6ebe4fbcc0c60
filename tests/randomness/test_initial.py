"""Initial weights: their distributions, and what is derived from them."""

from typing import Any, cast

import numpy as np
import pytest

from shared.randomness.initial_weights import initial_arrays
from shared.randomness.starts import (
    DCGAN,
    DCGAN_GAIN,
    GLOROT,
    GLOROT_RELU,
    HE,
    ONES,
    ORTHOGONAL,
    ZEROS,
    FanIn,
    Lengths,
    SingularVector,
)
from shared.statements import (
    BIAS,
    COUNTER,
    GAIN,
    KERNEL,
    LINEAR,
    MATRIX,
    RUNNING_MEAN,
    RUNNING_VARIANCE,
    SINGULAR_VECTOR,
    TABLE,
    TRANSPOSED_KERNEL,
    Kind,
    Shape,
    Start,
    Stated,
    length_of,
)


def _stated(
    name: str, shape: Shape, kind: Kind, start: Start, *of: str
) -> dict[str, Stated]:
    return {name: Stated(name, shape, kind, start, of)}


# An array of each kind, named and shaped as PyTorch names and shapes them.
_STATED = {
    **_stated("d.conv.weight", (128, 64, 4, 4), KERNEL, DCGAN),
    **_stated("d.conv.bias", (128,), BIAS, ZEROS),
    **_stated("d.norm.weight", (4096,), GAIN, DCGAN_GAIN),
    **_stated("d.norm.bias", (4096,), BIAS, ZEROS),
    **_stated("d.norm.running_mean", (4096,), RUNNING_MEAN, ZEROS),
    **_stated("d.norm.running_var", (4096,), RUNNING_VARIANCE, ONES),
    **_stated("d.norm.num_batches_tracked", (), COUNTER, ZEROS),
    **_stated("d.embedding.weight", (100, 64), TABLE, DCGAN),
    **_stated("g.norm.gain_embedding.weight", (100, 64), TABLE, DCGAN_GAIN),
    **_stated("g.norm.bias_embedding.weight", (100, 64), TABLE, ZEROS),
    **_stated("d.minibatch.weight", (1024, 48), MATRIX, DCGAN),
    **_stated("g.hidden.weight", (64, 200, 1, 1), KERNEL, HE),
    **_stated("d.features.weight", (64, 128, 4, 4), KERNEL, HE),
    # In as many groups as there are of 16 channels; and the fan-in of a transpose.
    **_stated("d.grouped.weight", (128, 16, 3, 3), KERNEL, HE),
    **_stated("g.up.weight", (32, 64, 4, 4), TRANSPOSED_KERNEL, HE),
    **_stated("g.linear.weight", (64, 128), LINEAR, FanIn(1.0)),
    **_stated("d.residual.weight", (96, 32, 3, 3), KERNEL, GLOROT_RELU),
    **_stated("d.logit.weight", (150, 100), LINEAR, GLOROT),
    **_stated("d.rows.weight", (150, 100), TABLE, GLOROT),
}


def _spectral(kind: Kind) -> dict[str, Stated]:
    shape, out_axis = (64, 32, 4, 4), kind.axes.index("out")
    u, v, weight = "layer.0._u", "layer.0._v", "layer.original"
    rest = int(np.prod(shape)) // shape[out_axis]
    return {
        # u and v before the weight that they are derived from.
        **_stated(
            u, (shape[out_axis],), SINGULAR_VECTOR, SingularVector("u", kind), weight, u
        ),
        **_stated(v, (rest,), SINGULAR_VECTOR, SingularVector("v", kind), weight, u),
        **_stated(weight, shape, kind, DCGAN),
    }


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("d.conv.weight", 0.0, 0.02),
        ("d.norm.weight", 1.0, 0.02),
        ("d.embedding.weight", 0.0, 0.02),
        ("g.norm.gain_embedding.weight", 1.0, 0.02),
        ("d.minibatch.weight", 0.0, 0.02),
        ("g.hidden.weight", 0.0, (2 / 200) ** 0.5),
        ("d.features.weight", 0.0, (2 / (128 * 16)) ** 0.5),
        ("d.grouped.weight", 0.0, (2 / (16 * 9)) ** 0.5),
        ("g.up.weight", 0.0, (2 / (32 * 16)) ** 0.5),
        ("g.linear.weight", 0.0, (1 / 128) ** 0.5),
    ],
)
def test_weights_and_gains_are_normal(name: str, mean: float, std: float) -> None:
    array = initial_arrays(_STATED, seed=1)[name]
    assert array.dtype == np.float32
    found_mean, found_std = float(array.mean()), float(array.std())
    # Five standard errors of each estimate.
    assert abs(found_mean - mean) < 5 * std / np.sqrt(array.size)
    assert abs(found_std - std) < 5 * std / np.sqrt(2 * array.size)
    # Three quarters of a normal's mass lie within 1.15035 standard deviations.
    inside = np.mean(np.abs(array - mean) < 1.15035 * std)
    assert abs(inside - 0.75) < 5 * np.sqrt(0.75 * 0.25 / array.size)


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("d.residual.weight", (2 * 6 / (9 * 32 + 9 * 96)) ** 0.5),
        ("d.logit.weight", (6 / 250) ** 0.5),
        ("d.rows.weight", (6 / 250) ** 0.5),
    ],
)
def test_glorot_s_weights_are_uniform(name: str, bound: float) -> None:
    array = initial_arrays(_STATED, seed=1)[name] / bound
    assert 0.999 < np.abs(array).max() < 1
    # Each tenth has as many, up to five standard errors.
    counts, _ = np.histogram(array, bins=10, range=(-1, 1))
    error = np.sqrt(array.size * 0.1 * 0.9)
    assert np.abs(counts - array.size / 10).max() < 5 * error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("d.conv.bias", 0),
        ("d.norm.bias", 0),
        ("d.norm.running_mean", 0),
        ("d.norm.running_var", 1),
        ("d.norm.num_batches_tracked", 0),
        ("g.norm.bias_embedding.weight", 0),
    ],
)
def test_the_rest_is_constant(name: str, value: int) -> None:
    array = initial_arrays(_STATED, seed=1)[name]
    stated = _STATED[name]
    assert array.shape == stated.shape
    assert array.dtype == (np.int64 if stated.kind == COUNTER else np.float32)
    assert np.all(array == value)


def test_a_seed_means_the_same_arrays_in_the_order_asked_for() -> None:
    first, again = (initial_arrays(_STATED, seed=4) for _ in range(2))
    assert list(first) == list(_STATED)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def test_another_seed_and_another_name_mean_other_numbers() -> None:
    stated = {
        **_stated("a.weight", (8, 8, 4, 4), KERNEL, DCGAN),
        **_stated("b.weight", (8, 8, 4, 4), KERNEL, DCGAN),
    }
    first, second = (initial_arrays(stated, seed) for seed in (1, 2))
    for one, other in (
        (first["a.weight"], second["a.weight"]),
        (first["a.weight"], first["b.weight"]),
    ):
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(one.size)


def test_a_layer_more_changes_no_other() -> None:
    fewer = dict(list(_STATED.items())[3:])
    alone, among = initial_arrays(fewer, seed=1), initial_arrays(_STATED, seed=1)
    for name in fewer:
        np.testing.assert_array_equal(alone[name], among[name])


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (KERNEL, (6, 5, 3, 3)),
        (TRANSPOSED_KERNEL, (5, 6, 3, 3)),
        (LINEAR, (40, 12)),
        (TABLE, (10, 32)),
    ],
)
def test_orthogonal_weights_have_orthonormal_rows_or_columns(
    kind: Kind, shape: Shape
) -> None:
    many = {f"w{k}": Stated(f"w{k}", shape, kind, ORTHOGONAL, ()) for k in range(200)}
    weights = np.stack(list(initial_arrays(many, seed=1).values()))
    rows = np.moveaxis(weights, 1 + kind.axes.index("out"), 1)
    rows = rows.reshape(len(many), rows.shape[1], -1).astype(np.float64)
    short = rows if rows.shape[1] <= rows.shape[2] else rows.swapaxes(1, 2)
    identity = np.eye(short.shape[1])
    np.testing.assert_allclose(short @ short.swapaxes(1, 2) - identity, 0, atol=1e-6)
    # No entry leans to a side, as those on the diagonal of a bare QR's Q do.
    error = weights.std() / np.sqrt(len(many))
    assert np.abs(weights.mean(axis=0)).max() < 5 * error


@pytest.mark.parametrize("kind", [KERNEL, TRANSPOSED_KERNEL])
def test_singular_vectors_are_near_the_largest(kind: Kind) -> None:
    u, v, weight = initial_arrays(_spectral(kind), seed=1).values()
    out_axis = kind.axes.index("out")
    matrix = np.moveaxis(weight, out_axis, 0).reshape(len(u), -1).astype(np.float64)
    estimate = u @ matrix @ v
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    # PyTorch's 15 iterations leave up to 4 %: the largest values lie close together.
    assert 0.95 * largest < estimate <= largest * (1 + 1e-6)
    for vector in (u, v):
        np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-6)
    # The last half of PyTorch's iteration: v follows from u.
    product = matrix.T @ u
    np.testing.assert_allclose(v, product / np.linalg.norm(product), atol=1e-6)


@pytest.mark.parametrize("kind", [KERNEL, TRANSPOSED_KERNEL, TABLE])
def test_lengths_are_those_of_the_directions(kind: Kind) -> None:
    out_axis, shape = kind.axes.index("out"), (6, 5, 4, 4)[: len(kind.axes)]
    length_shape = [1] * len(shape)
    length_shape[out_axis] = shape[out_axis]
    stated = {
        **_stated("g", tuple(length_shape), length_of(kind), Lengths(), "v"),
        **_stated("v", shape, kind, DCGAN),
    }
    length, direction = initial_arrays(stated, seed=1).values()
    assert length.shape == tuple(length_shape)
    by_channel = np.moveaxis(direction, out_axis, 0).reshape(shape[out_axis], -1)
    expected = np.linalg.norm(by_channel, axis=1)
    np.testing.assert_allclose(length.ravel(), expected, rtol=1e-6)


def test_a_start_of_another_shape_is_refused() -> None:
    stated = _stated("a.weight", (8,), BIAS, cast(Any, lambda *_: np.zeros(1)))
    with pytest.raises(ValueError, match=r"array a\.weight: .* gives shape \(1,\)"):
        initial_arrays(stated, seed=1)
