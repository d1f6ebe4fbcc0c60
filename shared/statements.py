"""What a network states of each of its arrays: what it is, and how it starts.

Who makes an array says so, layer or model, in a method of this form:

    def statements(self) -> dict[str, Statement]:
        return {"weight": Statement(KERNEL, HE), "bias": Statement(BIAS, ZEROS)}

The keys are its attributes, or paths to attributes of what it holds; where two state
the same array, the one that is nearer to it counts. `collect` gathers the statements of
a whole network under the names that its arrays have on file. All else follows from
them: layouts (`Kind`), shapes, initial values (`randomness.starts`). Nothing is guessed
from a name or a rank, and an array of which nobody states anything is an error.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.files.arrays import Arrays

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Kind:
    """What an array is, and the order of its axes."""

    name: str
    axes: tuple[str, ...]
    """On file, where all arrays have PyTorch's layouts."""
    jax_axes: tuple[str, ...]
    """The same axes in JAX, where images are NHWC."""
    trained: bool = True
    """Whether it is a parameter; else it is a buffer."""

    @property
    def to_jax(self) -> tuple[int, ...]:
        """For ``transpose``: from the layout on file to that of JAX."""
        return tuple(map(self.axes.index, self.jax_axes))

    @property
    def to_file(self) -> tuple[int, ...]:
        """For ``transpose``: from the layout of JAX to that on file."""
        return tuple(map(self.jax_axes.index, self.axes))

    @property
    def jax_to_matrix(self) -> tuple[int, ...]:
        """For ``transpose``: outputs first, and the rest as on file.

        So flattened to [out, all else] a weight is PyTorch's matrix, in JAX as well.
        """
        order = sorted(self.axes, key=lambda axis: axis != "out")
        return tuple(map(self.jax_axes.index, order))


def kind(name: str, axes: str, jax: str = "", trained: bool = True) -> Kind:
    """A kind, its axes written as words.

    Args:
        name: for people.
        axes: as in `Kind`; ``out`` and ``in`` are what fans and constraints go by.
        jax: the axes in JAX; empty: in the same order.
        trained: as in `Kind`.
    """
    return Kind(name, tuple(axes.split()), tuple((jax or axes).split()), trained)


KERNEL = kind("kernel", "out in height width", jax="height width in out")
# Not flipped: PyTorch's, permuted as every kernel is.
TRANSPOSED_KERNEL = kind(
    "transposed kernel", "in out height width", jax="height width out in"
)
LINEAR = kind("linear map", "out in", jax="in out")
MATRIX = kind("matrix", "in out")
# Rows count as outputs, as in PyTorch's fans and constraints.
TABLE = kind("table", "out in")
CONSTANT_INPUT = kind(
    "constant input", "channel height width", jax="height width channel"
)
GAIN = kind("gain", "channel")
BIAS = kind("bias", "channel")
RUNNING_MEAN = kind("running mean", "channel", trained=False)
RUNNING_VARIANCE = kind("running variance", "channel", trained=False)
# The same for all samples, where each has not its own.
NOISE_MAP = kind("noise map", "height width", trained=False)
AVERAGE_STYLE = kind("average style", "feature", trained=False)
RUNNING_NUMBER = kind("running mean of a number", "", trained=False)
# The one kind of whole numbers: int64 on file.
COUNTER = kind("counter", "", trained=False)
# What makes outputs of inputs; a table's rows are chosen, not mixed.
MAPS = (KERNEL, TRANSPOSED_KERNEL, LINEAR, MATRIX)
# Of the matrix [out, all else], whose columns are in the order on file.
SINGULAR_VECTOR = kind("singular vector", "entry", trained=False)


def length_of(direction: Kind) -> Kind:
    """Weight normalisation's length: axes as its direction, all but ``out`` of size 1.

    Args:
        direction: kind of the direction.
    """
    return dataclasses.replace(direction, name=f"length of a {direction.name}")


@runtime_checkable  # for the type checks while tests run
class Start(Protocol):
    """How an array starts: a frozen dataclass, so that two can be compared.

    Those that there are stand in `randomness.starts`; anybody may write another.
    """

    def __call__(self, array: "Stated", normal: "Normals", arrays: Arrays) -> NDArray:
        """The initial values.

        Args:
            array: what is to be made.
            normal: draws from N(0, 1), in a stream of the name's own.
            arrays: those that start from no other, by their names.

        Returns:
            In the array's shape on file; of any type, for it is cast.
        """
        ...


Normals = Callable[[str, Shape], NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Statement:
    """What a layer or model says of one array."""

    kind: Kind
    start: Start
    of: tuple[str, ...] = ()
    """Arrays of the same owner that it is derived from at the start."""
    name: str = ""
    """On file, where that is not the attribute's own name."""


@dataclasses.dataclass(frozen=True)
class Stated:
    """A statement in its network: with whole names, and a shape."""

    name: str
    """On file."""
    shape: Shape
    """On file."""
    kind: Kind
    start: Start
    of: tuple[str, ...]
    """Names on file."""

    @property
    def fan_in(self) -> int:
        """Numbers that each output is a sum over."""
        sizes = zip(self.kind.axes, self.shape, strict=True)
        return int(np.prod([size for axis, size in sizes if axis != "out"]))

    @property
    def fan_out(self) -> int:
        """Numbers that each input enters into."""
        sizes = zip(self.kind.axes, self.shape, strict=True)
        return int(np.prod([size for axis, size in sizes if axis != "in"]))


def collect(
    prefix: str,
    layers: Iterable[tuple[str, Any]],
    shapes: Mapping[str, Shape],
    parameters: Collection[str],
) -> dict[str, Stated]:
    """The statements of a network's layers, one for each of its arrays.

    Args:
        prefix: of the names on file, as in ``discriminator``.
        layers: paths and layers of the network, itself with the path "". A layer whose
            attribute ``nameless`` is true is left out of the names on file.
        shapes: of the arrays on file, by their paths.
        parameters: paths of those that an optimiser changes.

    Returns:
        By path, in the order of ``shapes``.

    Raises:
        UsageError: an array of which no layer states anything, or a kind that it
            cannot be of.
        ValueError: two arrays of one name.
    """
    layers = sorted(layers, key=lambda entry: len(entry[0]))  # the nearest comes last
    nameless = {path for path, layer in layers if getattr(layer, "nameless", False)}
    stated: dict[str, Stated] = {}
    for path, layer in layers:
        statements = getattr(layer, "statements", dict[str, Statement])()
        owner = _join(prefix, _without(nameless, path))
        names = {x: _join(owner, statements[x].name or x) for x in statements}
        for attribute, said in statements.items():
            of = tuple(names[x] for x in said.of)
            found = Stated(names[attribute], (), said.kind, said.start, of)
            stated[_join(path, attribute)] = found
    result: dict[str, Stated] = {}
    for path, shape in shapes.items():
        if path not in stated:
            raise UsageError(
                f"array {_join(prefix, path)}: no layer states what it is; take this"
                " project's layers, or give it a method as shared/statements.py says"
            )
        kind = stated[path].kind
        if len(shape) != len(kind.axes):
            raise UsageError(
                f"array {stated[path].name} of shape {list(shape)}: is stated to be a"
                f" {kind.name}, whose axes are {', '.join(kind.axes) or 'none'}"
            )
        if kind.trained != (path in parameters):
            which_is, it_is = ("a", "none") if kind.trained else ("no", "one")
            raise UsageError(
                f"array {stated[path].name}: is stated to be a {kind.name}, which is"
                f" {which_is} parameter; it is {it_is}"
            )
        result[path] = dataclasses.replace(stated[path], shape=shape)
    names = [array.name for array in result.values()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"array {twice[0]}: two arrays have this name")
    return result


def _without(nameless: set[str], path: str) -> str:
    """A path without the layers that have no name on file."""
    parts = path.split(".")
    paths = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return _join(
        *(x for x, whole in zip(parts, paths, strict=True) if whole not in nameless)
    )


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))
