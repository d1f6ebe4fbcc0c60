"""What the layers of each twin refuse."""

import importlib
import re
from types import ModuleType
from typing import Any

import pytest

from support import Twin


@pytest.fixture
def layers(twin: Twin) -> ModuleType:
    return importlib.import_module(f"gans_{twin.name}.layers")


@pytest.mark.needs("jax")
def test_convolutions_suit_the_device_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import jax

    from gans_jax._convolutions import convolution

    cpu = jax.devices("cpu")[0]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not convolution._as_matmul(4, padding=1)
    with jax.default_device(cpu):
        assert convolution._as_matmul(4, padding=1)


@pytest.mark.needs("jax")
@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_of_a_kept_size_need_only_convolutions_that_keep_it(
    groups: int,
) -> None:
    # XLA's own gradient with respect to a kernel is a convolution of another shape,
    # which takes a hundred times as long on a CPU inside a loop.
    import jax
    import jax.numpy as jnp

    from gans_jax._convolutions import conv

    def loss(x: Any, kernel: Any) -> Any:
        return (conv(x, kernel, stride=1, padding=1, groups=groups) ** 2).sum()

    def slope(x: Any, kernel: Any) -> Any:
        return (jax.grad(loss)(x, kernel) ** 2).sum()

    x, kernel = jnp.ones((2, 5, 6, 12)), jnp.ones((3, 3, 12 // groups, 16))
    text = str(jax.make_jaxpr(jax.grad(slope, (0, 1)))(x, kernel))
    made = re.findall(r"conv_general_dilated\[(.*?)\n *\]", text, re.DOTALL)
    assert len(made) >= 4
    for parameters in made:
        assert "padding=((1, 1), (1, 1))" in parameters
        assert "lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1)" in parameters


def test_an_unknown_normalisation_is_refused(layers: ModuleType) -> None:
    with pytest.raises(ValueError, match="name 'bach': no such normalisation"):
        layers.build_norm("bach", 8)


def test_an_unknown_constraint_is_refused(layers: ModuleType) -> None:
    with pytest.raises(ValueError, match="kind 'spectre': no such reparametrisation"):
        layers.reparametrise(layers.Conv2d(3, 4, kernel_size=4), "spectre")


def test_a_batch_that_does_not_make_groups_is_refused(
    twin: Twin, layers: ModuleType
) -> None:
    with pytest.raises(ValueError, match="batch 6: must be a multiple of 4"):
        layers.MinibatchStd(4)(twin.zeros(6, 2, 4, 4))
