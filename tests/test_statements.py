"""What layers state of their arrays, gathered over a network."""

from typing import Any

import pytest

from shared.errors import UsageError
from shared.randomness.starts import DCGAN, HE, ZEROS, Lengths
from shared.statements import (
    BIAS,
    KERNEL,
    LINEAR,
    RUNNING_MEAN,
    TABLE,
    TRANSPOSED_KERNEL,
    Kind,
    Statement,
    collect,
    length_of,
)

_KINDS = (KERNEL, TRANSPOSED_KERNEL, LINEAR, TABLE, BIAS, length_of(KERNEL))


class _Layer:
    """States what it is given."""

    def __init__(self, nameless: bool = False, **statements: Statement) -> None:
        self.nameless = nameless
        self._statements = statements

    def statements(self) -> dict[str, Statement]:
        return {name.replace("__", "."): x for name, x in self._statements.items()}


_WEIGHT, _BIAS = Statement(KERNEL, DCGAN), Statement(BIAS, ZEROS)
_CONV = _Layer(weight=_WEIGHT, bias=_BIAS)


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
def test_layouts_are_each_others_inverse(kind: Kind) -> None:
    assert sorted(kind.axes) == sorted(kind.jax_axes)
    there = tuple(kind.axes[axis] for axis in kind.to_jax)
    assert there == kind.jax_axes
    assert tuple(there[axis] for axis in kind.to_file) == kind.axes


def test_layouts_are_those_of_the_frameworks() -> None:
    assert KERNEL.to_jax == (2, 3, 1, 0)
    assert TRANSPOSED_KERNEL.axes[:2] == ("in", "out")
    assert TRANSPOSED_KERNEL.to_jax == (2, 3, 1, 0)
    # Outputs first, then input channels, then pixels: as PyTorch flattens it.
    assert KERNEL.jax_to_matrix == (3, 2, 0, 1)
    assert TRANSPOSED_KERNEL.jax_to_matrix == (2, 3, 0, 1)
    assert LINEAR.to_jax == (1, 0)
    assert TABLE.to_jax == (0, 1)


def test_statements_are_collected_by_path_and_by_name() -> None:
    length = Statement(length_of(KERNEL), Lengths(), of=("weight",), name="g")
    constrained = _Layer(weight=Statement(KERNEL, HE, name="v"), norm__length=length)
    layers: list[tuple[str, Any]] = [
        ("head.conv", constrained),
        ("head", _Layer(nameless=True)),
        ("", object()),
        ("blocks.0", _CONV),
    ]
    shapes = {
        "blocks.0.weight": (5, 3, 4, 4),
        "head.conv.weight": (1, 5, 4, 4),
        "head.conv.norm.length": (1, 1, 1, 1),
    }
    found = collect("discriminator", layers, shapes, shapes)
    assert list(found) == list(shapes)
    names = ["discriminator.blocks.0.weight", "discriminator.conv.v"]
    assert [x.name for x in found.values()] == [*names, "discriminator.conv.g"]
    assert [x.shape for x in found.values()] == list(shapes.values())
    assert found["head.conv.norm.length"].of == ("discriminator.conv.v",)
    assert found["blocks.0.weight"].fan_in == 3 * 4 * 4


def test_the_nearest_statement_counts() -> None:
    model = _Layer(conv__weight=Statement(KERNEL, HE), scale=_BIAS)
    layers: list[tuple[str, Any]] = [("conv", _CONV), ("", model)]
    shapes = {"conv.weight": (1,) * 4, "scale": (2,)}
    found = collect("generator", layers, shapes, shapes)
    assert found["conv.weight"].start == DCGAN
    assert found["scale"].start == ZEROS


def test_an_array_without_a_statement_is_refused() -> None:
    layers: list[tuple[str, Any]] = [("", object()), ("conv", _CONV)]
    shapes = {"conv.weight": (1,) * 4, "conv.scale": (1,)}
    with pytest.raises(ValueError, match=r"array generator\.conv\.scale: no layer"):
        collect("generator", layers, shapes, shapes)


def test_an_array_of_other_axes_than_its_kind_s_is_refused() -> None:
    layers: list[tuple[str, Any]] = [("conv", _CONV)]
    with pytest.raises(UsageError) as error:
        collect("generator", layers, {"conv.bias": (3, 1)}, ["conv.bias"])
    assert str(error.value) == (
        "array generator.conv.bias of shape [3, 1]: is stated to be a bias, whose axes"
        " are channel"
    )


def test_what_is_trained_is_what_is_stated_to_be() -> None:
    layers: list[tuple[str, Any]] = [
        ("", _Layer(mean=Statement(RUNNING_MEAN, ZEROS), bias=_BIAS))
    ]
    shapes = {"mean": (3,), "bias": (3,)}
    assert list(collect("g", layers, shapes, ["bias"])) == ["mean", "bias"]
    for parameters, message in (
        ([], "array g.bias: is stated to be a bias, which is a parameter; it is none"),
        (
            shapes,
            "array g.mean: is stated to be a running mean, which is no parameter; it is"
            " one",
        ),
    ):
        with pytest.raises(UsageError) as error:
            collect("g", layers, shapes, parameters)
        assert str(error.value) == message


def test_two_arrays_of_one_name_are_refused() -> None:
    layers: list[tuple[str, Any]] = [
        ("conv", _CONV),
        ("head", _Layer(nameless=True)),
        ("head.conv", _CONV),
    ]
    shapes = {"conv.weight": (1,) * 4, "head.conv.weight": (1,) * 4}
    with pytest.raises(ValueError, match=r"array d\.conv\.weight: two arrays"):
        collect("d", layers, shapes, shapes)
