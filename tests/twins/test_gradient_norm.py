"""The global norm of gradients: finite where its value is, else as it always was."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support import Twin

Norm = Callable[..., float]


@pytest.fixture
def norm(twin: Twin) -> Norm:
    """The twin's norm of arrays."""
    optim: Any = importlib.import_module(f"gans_{twin.name}.optim")
    framework = {"torch": "torch", "jax": "jax.numpy"}[twin.name]
    make: Any = importlib.import_module(framework).asarray
    return lambda *arrays: float(optim._global_norm([make(x) for x in arrays]))


@pytest.fixture
def usual(twin: Twin) -> Norm:
    """The framework's."""
    if twin.name == "torch":
        import torch

        return lambda *arrays: float(
            torch.nn.utils.get_total_norm([torch.asarray(x) for x in arrays])
        )
    import optax
    from jax import numpy as jnp

    return lambda *arrays: float(optax.tree.norm([jnp.asarray(x) for x in arrays]))


def gradients(seed: int, scale: float) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    sizes = ((16, 8, 4, 4), (16,), (7, 5), ())
    return [(scale * rng.standard_normal(x)).astype(np.float32) for x in sizes]


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 0.7, 1.0, 3e4, 1e15])
def test_ordinary_norms_keep_every_bit(scale: float, norm: Norm, usual: Norm) -> None:
    for seed in range(5):
        assert norm(*gradients(seed, scale)) == usual(*gradients(seed, scale))


@pytest.mark.parametrize("scale", [1e-30, 1e19, 3e34])
def test_what_cannot_be_squared_has_a_norm_too(scale: float, norm: Norm) -> None:
    given = gradients(0, scale)
    exact = math.sqrt(sum(float(np.square(x.astype(float)).sum()) for x in given))
    assert norm(*given) == pytest.approx(exact, rel=1e-5, abs=0)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0.0), (math.inf, math.inf), (3e38, math.inf)]
)
def test_nothing_and_too_much(value: float, expected: float, norm: Norm) -> None:
    assert norm(np.full((3, 3), value, np.float32)) == expected


def test_what_is_no_number_has_no_norm(norm: Norm) -> None:
    assert math.isnan(norm(np.array([1.0, math.nan], np.float32)))


@pytest.mark.needs("jax")
def test_a_hinge_that_is_satisfied_has_a_norm_when_compiled() -> None:
    # XLA squares the mean's factor and the unit together, away from the zero.
    import jax
    from jax import numpy as jnp

    from gans_jax import optim

    def loss(bias: jax.Array, weight: jax.Array) -> jax.Array:
        return jax.nn.relu(1 - (jnp.ones((8, 4)) @ weight + bias)).mean()

    @jax.jit
    def norm(*parameters: jax.Array) -> jax.Array:
        return optim._global_norm(jax.grad(loss, (0, 1))(*parameters))

    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            assert norm(jnp.zeros(()), jnp.full(4, 10.0)) == 0
            assert norm(jnp.zeros(()), jnp.zeros(4)) == pytest.approx(5**0.5)
