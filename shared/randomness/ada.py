"""What is drawn for ADA's pipe: for each image, steps of places and colours, and a box.

Steps are affine. Each, and the box that is cut out, has a gate, a number from U[0, 1):
it is made where the gate is below p, or below a multiple of p, by which the gate is
divided. As p may be known on the device alone, the twins compose the steps; sines and
exponentials are taken here, once for both.

References:
    Karras et al. 2020, arXiv:2006.06676, appendix B; order and numbers are those of the
    authors' code, stylegan2-ada-pytorch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.config.augmentation import Pipe
from shared.config.train_config import TrainConfig

Numbers = NDArray[Any]

PLACES, COLOURS = 8, 5
"""Steps of either kind, in the order of `_places` and `_colours`."""
GATES = PLACES + COLOURS
CUTOUT = 3
"""Numbers of the box: its gate, and x and y of its centre, in sides of the image."""
SIDE = 0.5
"""Height and width of the box, in those of the image."""
FIELDS = GATES + PLACES * 2 * 3 + COLOURS * 3 * 4 + CUTOUT
"""Of a record: gates, then the steps of places, [2, 3], and of colours, [3, 4], and the
box."""

_UNIFORM, _NORMAL = 8, 7
_NEVER = 2.0  # a gate that no p opens
# Turns, before and after a stretch: with probability p one of them is made, or both.
_TURNS = [4, 6]
# Nearest to 1 in float32: a gate that were rounded to 1 would be shut whatever p is.
_BELOW_ONE = 1 - 2.0**-24

_GREY = np.full((3, 3), 1 / 3)  # v v', v the axis of greys
_ACROSS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)  # v x ...


def draw_records(
    config: TrainConfig,
    step: int,
    image: tuple[int, int, int],
    uniform: Callable[..., NDArray[np.float32]],
    normal: Callable[..., NDArray[np.float32]],
    samples: slice,
) -> NDArray[np.float32]:
    """The records of a step.

    Args:
        config: the run's configuration.
        step: which.
        image: height, width, channels.
        uniform: as `noise.uniform`.
        normal: as `noise.normal`.
        samples: which of each batch.

    Returns:
        Shape [n_critic + 1, 2, batch, FIELDS]: for real and generated images in each
        update of D and, last, in that of G.
    """

    def drawn(kind: Callable[..., Any], prefix: str, length: int) -> Numbers:
        first = step * config.n_critic
        streams = [(f"{prefix} for D", first + k) for k in range(config.n_critic)]
        numbers = [
            kind(config.seed, purpose, update, samples, 2 * length)
            for purpose, update in [*streams, (f"{prefix} for G", step)]
        ]
        return np.stack(numbers).reshape(len(numbers), -1, 2, length).swapaxes(1, 2)

    pipe = config.pipe
    assert pipe is not None, "without it nothing is drawn"
    unit = drawn(uniform, "augmentation", GATES + _UNIFORM + CUTOUT * bool(pipe.cutout))
    bell = drawn(normal, "normal augmentation", _NORMAL)
    return records(image, unit, bell, pipe)


def records(
    image: tuple[int, int, int], unit: Numbers, normal: Numbers, pipe: Pipe
) -> NDArray[np.float32]:
    """Records of numbers that were drawn.

    Args:
        image: height, width, channels.
        unit: from U[0, 1), the gates first; shape [..., GATES + 8], and CUTOUT more
            where the pipe cuts out.
        normal: from N(0, 1); shape [..., 7].
        pipe: how often what is made.

    Returns:
        Shape [..., FIELDS]. Steps of places go from a place (x, y) in what D sees to
        one in the image, in pixels from the centre; those of colours the other way.
    """
    gates = unit[..., :GATES].astype(np.float64)
    # 1 - (1 - u)^2 < p where u < 1 - sqrt(1 - p), which is each turn's probability.
    gates[..., _TURNS] *= 2 - gates[..., _TURNS]
    gates = np.minimum(gates, _BELOW_ONE)
    gates[..., PLACES:] /= pipe.colours
    u = np.moveaxis(unit[..., GATES:].astype(np.float64), -1, 0)
    n = np.moveaxis(normal.astype(np.float64), -1, 0)
    steps = [*_places(u, n, *image[:2]), *_colours(u, n)]
    flat = [x.reshape(*x.shape[:-2], -1) for x in steps]
    box = np.full((*gates.shape[:-1], CUTOUT), _NEVER)
    if pipe.cutout:
        box[...] = unit[..., -CUTOUT:]
        box[..., 0] /= pipe.cutout
    return np.concatenate([gates, *flat, box], axis=-1).astype(np.float32)


def _places(u: Numbers, n: Numbers, height: int, width: int) -> list[Numbers]:
    """Each transformation of places, in order, undone."""
    size, stretch = np.exp2(0.2 * n[0]), np.exp2(0.2 * n[1])
    return [
        _scale(1 - 2 * np.floor(2 * u[0]), 1),
        _turn(np.pi / 2 * np.floor(4 * u[1])),
        _shift(_whole(u[2], width), _whole(u[3], height)),
        _scale(1 / size, 1 / size),
        _turn(np.pi * (2 * u[4] - 1)),
        _scale(1 / stretch, stretch),
        _turn(np.pi * (2 * u[5] - 1)),
        _shift(-0.125 * width * n[2], -0.125 * height * n[3]),
    ]


def _colours(u: Numbers, n: Numbers) -> list[Numbers]:
    """Each transformation of colours, in order."""
    angle = np.pi * (2 * u[7] - 1)
    return [
        _colour(np.ones_like(n[4]), 0.0, 0.0, 0.2 * n[4]),
        _colour(np.exp2(0.5 * n[5])),
        _colour(np.ones_like(u[6]), -2 * np.floor(2 * u[6])),
        _colour(np.cos(angle), 1 - np.cos(angle), np.sin(angle)),
        _colour(np.exp2(n[6]), 1 - np.exp2(n[6])),
    ]


def _whole(unit: Numbers, size: int) -> Numbers:
    return -np.round(0.125 * size * (2 * unit - 1))


def _scale(x: Any, y: Any) -> Numbers:
    return _matrix([[x, 0, 0], [0, y, 0]])


def _turn(angle: Numbers) -> Numbers:
    sine, cosine = np.sin(angle), np.cos(angle)
    return _matrix([[cosine, -sine, 0], [sine, cosine, 0]])


def _shift(x: Numbers, y: Numbers) -> Numbers:
    return _matrix([[1, 0, x], [0, 1, y]])


def _matrix(rows: list[list[Any]]) -> Numbers:
    entries = np.broadcast_arrays(*(x for row in rows for x in row))
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, len(rows), -1)


def _colour(
    own: Numbers, grey: Any = 0.0, across: Any = 0.0, added: Any = 0.0
) -> Numbers:
    """From c to own c + grey v v' c + across v x c + added (1, 1, 1)."""
    own, grey, across, added = (
        x[..., None, None] for x in np.broadcast_arrays(own, grey, across, added)
    )
    linear = own * np.eye(3) + grey * _GREY + across * _ACROSS
    return np.concatenate([linear, np.broadcast_to(added, (*linear.shape[:-1], 1))], -1)
