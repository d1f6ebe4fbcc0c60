"""Initial weights: their distributions, and what is derived from them."""

import numpy as np
import pytest

from shared.randomness.initial_weights import initial_arrays

Shapes = dict[str, tuple[int, ...]]

# A layer of each kind, named and shaped as PyTorch names and shapes them.
_SHAPES: Shapes = {
    "discriminator.blocks.1.conv.weight": (128, 64, 4, 4),
    "discriminator.blocks.1.conv.bias": (128,),
    "discriminator.blocks.1.norm.weight": (4096,),
    "discriminator.blocks.1.norm.bias": (4096,),
    "discriminator.blocks.1.norm.running_mean": (4096,),
    "discriminator.blocks.1.norm.running_var": (4096,),
    "discriminator.blocks.1.norm.num_batches_tracked": (),
    "discriminator.embedding.weight": (100, 64),
    "generator.blocks.1.norm.gain_embedding.weight": (100, 64),
    "generator.blocks.1.norm.bias_embedding.weight": (100, 64),
    "discriminator.minibatch_discrimination.weight": (1024, 48),
}


def _spectral_shapes(layer: str, out_axis: int) -> Shapes:
    shape = (64, 32, 4, 4)
    name = f"{layer}.parametrizations.weight"
    out = shape[out_axis]
    return {
        # u and v before the weight that they are derived from.
        f"{name}.0._u": (out,),
        f"{name}.0._v": (int(np.prod(shape)) // out,),
        f"{name}.original": shape,
    }


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("discriminator.blocks.1.conv.weight", 0.0, 0.02),
        ("discriminator.blocks.1.norm.weight", 1.0, 0.02),
        ("discriminator.embedding.weight", 0.0, 0.02),
        ("generator.blocks.1.norm.gain_embedding.weight", 1.0, 0.02),
        ("discriminator.minibatch_discrimination.weight", 0.0, 0.02),
    ],
)
def test_weights_and_gains_are_normal(name: str, mean: float, std: float) -> None:
    array = initial_arrays(_SHAPES, seed=1)[name]
    assert array.dtype == np.float32
    found_mean, found_std = float(array.mean()), float(array.std())
    # Five standard errors of each estimate.
    assert abs(found_mean - mean) < 5 * std / np.sqrt(array.size)
    assert abs(found_std - std) < 5 * std / np.sqrt(2 * array.size)
    # Three quarters of a normal's mass lie within 1.15035 standard deviations.
    inside = np.mean(np.abs(array - mean) < 1.15035 * std)
    assert abs(inside - 0.75) < 5 * np.sqrt(0.75 * 0.25 / array.size)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("discriminator.blocks.1.conv.bias", 0),
        ("discriminator.blocks.1.norm.bias", 0),
        ("discriminator.blocks.1.norm.running_mean", 0),
        ("discriminator.blocks.1.norm.running_var", 1),
        ("discriminator.blocks.1.norm.num_batches_tracked", 0),
        ("generator.blocks.1.norm.bias_embedding.weight", 0),
    ],
)
def test_the_rest_is_constant(name: str, value: int) -> None:
    array = initial_arrays(_SHAPES, seed=1)[name]
    assert array.shape == _SHAPES[name]
    assert np.all(array == value)


def test_a_seed_means_the_same_arrays_in_the_order_asked_for() -> None:
    first, again = (initial_arrays(_SHAPES, seed=4) for _ in range(2))
    assert list(first) == list(_SHAPES)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def test_another_seed_and_another_name_mean_other_numbers() -> None:
    shapes: Shapes = {"a.weight": (8, 8, 4, 4), "b.weight": (8, 8, 4, 4)}
    first, second = (initial_arrays(shapes, seed) for seed in (1, 2))
    for one, other in (
        (first["a.weight"], second["a.weight"]),
        (first["a.weight"], first["b.weight"]),
    ):
        correlation = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(one.size)


def test_a_layer_more_changes_no_other() -> None:
    fewer = dict(list(_SHAPES.items())[3:])
    alone, among = initial_arrays(fewer, seed=1), initial_arrays(_SHAPES, seed=1)
    for name in fewer:
        np.testing.assert_array_equal(alone[name], among[name])


@pytest.mark.parametrize(
    ("layer", "out_axis"),
    [("discriminator.blocks.1.conv", 0), ("generator.blocks.1.up", 1)],
)
def test_singular_vectors_are_near_the_largest(layer: str, out_axis: int) -> None:
    shapes = _spectral_shapes(layer, out_axis)
    u, v, weight = initial_arrays(shapes, seed=1).values()
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


@pytest.mark.parametrize(
    ("layer", "out_axis"),
    [("discriminator.blocks.1.conv", 0), ("generator.blocks.1.up", 1)],
)
def test_lengths_are_those_of_the_directions(layer: str, out_axis: int) -> None:
    name = f"{layer}.parametrizations.weight"
    length_shape = [1, 1, 1, 1]
    length_shape[out_axis] = 6
    shapes: Shapes = {
        f"{name}.original0": tuple(length_shape),
        f"{name}.original1": (6, 6, 4, 4),
    }
    length, direction = initial_arrays(shapes, seed=1).values()
    assert length.shape == tuple(length_shape)
    by_channel = np.moveaxis(direction, out_axis, 0).reshape(6, -1)
    expected = np.linalg.norm(by_channel, axis=1)
    np.testing.assert_allclose(length.ravel(), expected, rtol=1e-6)
