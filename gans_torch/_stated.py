"""What layers state of their arrays, and a network of all its own.

See `shared.statements`.
"""

from typing import ClassVar, TypeVar

from torch import nn
from torch.nn.utils import parametrize

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


def stated_by_path(network: nn.Module, prefix: str) -> dict[str, Stated]:
    """What is stated of each array of a network, by its path in the module.

    Args:
        network: parameters and buffers of any values.
        prefix: of the names on file, as in ``generator``.

    Raises:
        UsageError: an array of which no layer states anything.
        ValueError: two arrays of one name.
    """
    arrays = network.state_dict(keep_vars=True)
    # Two layers may hold one array, which has its first name alone, as in JAX.
    names = {id(x): path for path, x in reversed(arrays.items())}
    shapes = {
        path: tuple(x.shape) for path, x in arrays.items() if names[id(x)] == path
    }
    parameters = dict(network.named_parameters())
    return collect(prefix, network.named_modules(), shapes, parameters)


class Weighted:
    """A layer with a weight, which `reparametrise` may constrain."""

    kind: ClassVar[Kind]
    """Of the weight."""
    start: Start = DCGAN
    """Of the weight."""

    def starting(self: _WeightedT, start: Start) -> _WeightedT:
        """The same layer, whose weight starts so."""
        self.start = start
        return self

    def statements(self) -> dict[str, Statement]:
        """What the arrays are, and how they start."""
        assert isinstance(self, nn.Module)
        weight = Statement(self.kind, self.start)
        bias = {"bias": Statement(BIAS, ZEROS)}
        if not parametrize.is_parametrized(self, "weight"):
            return {"weight": weight} | bias
        constrained = "parametrizations.weight"
        if (original := f"{constrained}.original0") in dict(self.named_parameters()):
            direction = f"{constrained}.original1"
            length = Statement(length_of(self.kind), Lengths(), of=(direction,))
            return {original: length, direction: weight} | bias
        of = (f"{constrained}.original", f"{constrained}.0._u")
        vectors = {
            f"{constrained}.0._{side}": Statement(
                SINGULAR_VECTOR, SingularVector(side, self.kind), of
            )
            for side in ("u", "v")
        }
        return {of[0]: weight} | vectors | bias


class Norm:
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
