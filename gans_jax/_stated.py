"""What layers state of their arrays, and a network of all its own.

See `shared.statements`.
"""

from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import jax
from flax import nnx

from gans_jax._network import Network
from gans_jax._parametrizations import SpectralNorm, WeightNorm
from shared.randomness.starts import DCGAN, DCGAN_GAIN, ZEROS, Lengths, SingularVector
from shared.statements import (
    BIAS,
    GAIN,
    SINGULAR_VECTOR,
    Kind,
    Start,
    Stated,
    Statement,
    collect,
    length_of,
)

_WeightedT = TypeVar("_WeightedT", bound="Weighted")
_NormT = TypeVar("_NormT", bound="Norm")


def stated_by_path(network: Network, prefix: str) -> dict[str, Stated]:
    """What is stated of each array of a network, by its path in the NNX module.

    Args:
        network: parameters and buffers of any values.
        prefix: of the names on file, as in ``generator``.

    Raises:
        UsageError: an array of which no layer states anything.
        ValueError: two arrays of one name.
    """
    module = nnx.merge(network.training, network.params, network.buffers)
    layers = ((".".join(map(str, keys)), x) for keys, x in nnx.iter_modules(module))
    parameters, buffers = (
        {path(keys): x.shape for keys, x in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (network.params, network.buffers)
    )
    found = collect(prefix, layers, parameters | buffers, parameters)
    return {
        name: replace(x, shape=tuple(x.shape[axis] for axis in x.kind.to_file))
        for name, x in found.items()
    }


def path(keys: tuple[Any, ...]) -> str:
    """blocks.0.norm.weight; NNX adds a last key for the variable's value."""
    return ".".join(
        str(key.key) for key in keys if isinstance(key, jax.tree_util.DictKey)
    )


class Weighted(nnx.Module):
    """A layer with a weight, which `reparametrise` may constrain."""

    kind: ClassVar[Kind]
    """Of the weight."""
    start: Start = DCGAN
    """Of the weight."""
    weight: nnx.Param
    constraint: SpectralNorm | WeightNorm | None

    def starting(self: _WeightedT, start: Start) -> _WeightedT:
        """The same layer, whose weight starts so."""
        self.start = start
        return self

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start; by PyTorch's names on file."""
        weight = Statement(self.kind, self.start)
        bias = {"bias": Statement(BIAS, ZEROS)}
        if self.constraint is None:
            return {"weight": weight} | bias
        constrained = "parametrizations.weight"
        if isinstance(self.constraint, WeightNorm):
            length = Statement(
                length_of(self.kind),
                Lengths(),
                of=("weight",),
                name=f"{constrained}.original0",
            )
            direction = replace(weight, name=f"{constrained}.original1")
            return {"constraint.length": length, "weight": direction} | bias
        vectors = {
            f"constraint._{side}": Statement(
                SINGULAR_VECTOR,
                SingularVector(side, self.kind),
                of=("weight", "constraint._u"),
                name=f"{constrained}.0._{side}",
            )
            for side in ("u", "v")
        }
        original = replace(weight, name=f"{constrained}.original")
        return {"weight": original} | vectors | bias


class Norm(nnx.Module):
    """A normalisation with a gain and a bias for each channel."""

    start: Start = DCGAN_GAIN
    """Of the gain."""

    def starting(self: _NormT, start: Start) -> _NormT:
        """The same normalisation, whose gain starts so."""
        self.start = start
        return self

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        return {"weight": Statement(GAIN, self.start), "bias": Statement(BIAS, ZEROS)}
