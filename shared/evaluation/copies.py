"""The nearest images, pixel by pixel, by which copies are found."""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.evaluation.metrics import squared_distances

Images = NDArray[np.uint8]

# Images whose distances to all queries are in memory.
_AT_ONCE = 1024
# From this side on, copies are sought on images averaged down.
_LARGE = 128
# At most so many blocks are in a row, by whose means candidates are found.
_COARSE_SIDE = 16
# So many of those that are nearest by their blocks are looked at in full.
_CANDIDATES = 8


class _Move(NamedTuple):
    """A shift of an image, which may be mirrored first."""

    mirrored: bool
    down: int
    """Where the middle begins in the image, in rows."""
    right: int


def nearest_images(
    queries: Images, images: Images, k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The ``k`` images nearest to each query, pixel by pixel.

    Args:
        queries: shape [queries, height, width, channels].
        images: of the same size; may be mapped from a file, is read in pieces.
        k: at most the number of images.

    Returns:
        Distances per pixel (root mean square, of 255), ascending, and places in
        ``images``; both [queries, k].
    """
    # Imported here: scikit-learn takes a second to import.
    from sklearn.metrics import pairwise_distances

    flat = queries.reshape(len(queries), -1).astype(np.float64)
    distances = np.empty((len(queries), 0))
    indices = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(images), _AT_ONCE):
        piece = images[start : start + _AT_ONCE].reshape(-1, flat.shape[1])
        found = pairwise_distances(flat, piece.astype(np.float64))
        distances, indices = _nearest(distances, indices, found, start, k)
    return distances / np.sqrt(flat.shape[1]), indices


def nearest_moved(
    queries: Images, images: Images, own: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Distances to the nearest image, however it is shifted or mirrored.

    Shifts go up to a sixteenth of each side, a pixel at least; compared is the middle,
    which stays inside. Candidates are found by means over blocks, and judged by pixels;
    of images of 128 pixels and more by averaged ones first, and the best by its own.

    Args:
        queries: shape [queries, height, width, channels].
        images: of the same size; may be mapped from a file, is read in pieces.
        own: places of the queries among the images, which do not count.

    Returns:
        Root mean squares, of 255; shape [queries].
    """
    factor = _factor(queries)
    small = _reduced(queries, factor)
    reach = _reach(small)
    places = _candidates(small, images, own, factor)
    candidates = np.stack([_reduced(images[x], factor) for x in places.T])
    candidates = _middle(candidates, reach).astype(np.float32)
    moves = _moves(reach, (1, 1))
    # Mean squares, [moves, candidates, queries].
    errors = np.stack(
        [_mean_squares(candidates, _moved(small, reach, move)) for move in moves]
    )
    if own is not None:
        errors[:, own == places.T] = np.inf
    least = errors.min(axis=(0, 1))
    if factor > 1:
        for i in np.flatnonzero(np.isfinite(least)):
            move, which = divmod(errors[..., i].argmin(), len(candidates))
            image = images[places[i, which]]
            least[i] = _refined(queries[i], image, moves[move], factor, reach)
    return np.sqrt(least.astype(np.float64))


def _candidates(
    queries: NDArray[Any], images: Images, own: NDArray[np.int64] | None, factor: int
) -> NDArray[np.int64]:
    """Places of the images nearest to each query, by means over blocks.

    Args:
        queries: averaged down.
        images: as they are.
        own: as for `nearest_moved`.
        factor: by which the queries are averaged down.

    Returns:
        Ascending; shape [queries, at most `_CANDIDATES`].
    """
    reach = _reach(queries)
    kept = min(_middle(queries, reach).shape[1:3])
    block = -(-kept // _COARSE_SIDE)
    few = max(1, reach[0] // 2), max(1, reach[1] // 2)
    coarse = np.concatenate([_moved(queries, reach, x) for x in _moves(reach, few)])
    vectors = _blocks(coarse, block)
    nearest = np.full((len(queries), 0), np.inf)
    places = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(images), _AT_ONCE):
        piece = _reduced(images[start : start + _AT_ONCE], factor)
        found = squared_distances(vectors, _blocks(_middle(piece, reach), block))
        found = found.reshape(-1, len(queries), len(piece)).min(axis=0)
        if own is not None:
            found[np.equal.outer(own, start + np.arange(len(piece)))] = np.inf
        nearest, places = _nearest(nearest, places, found, start, _CANDIDATES)
    return places


def _nearest(
    distances: NDArray[Any],
    places: NDArray[np.int64],
    found: NDArray[Any],
    start: int,
    k: int,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The k nearest of what was kept so far and of the next piece, ascending.

    Args:
        distances: of what was kept; shape [queries, at most k].
        places: where that is; of the same shape.
        found: distances of the piece; shape [queries, images].
        start: place of the piece's first image.
        k: how many to keep.
    """
    distances = np.concatenate([distances, found], axis=1)
    there = np.broadcast_to(start + np.arange(found.shape[1]), found.shape)
    places = np.concatenate([places, there], axis=1)
    best = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return (
        np.take_along_axis(distances, best, axis=1),
        np.take_along_axis(places, best, axis=1),
    )


def _factor(images: NDArray[Any]) -> int:
    """By how much images are averaged down, in a power of two, where copies are sought.

    Moves, and pixels that each of them compares, grow with an image's area each.
    """
    factor, sides = 1, images.shape[1:3]
    while min(sides) // factor >= _LARGE and not any(x % (2 * factor) for x in sides):
        factor *= 2
    return factor


def _reduced(images: NDArray[Any], factor: int) -> NDArray[Any]:
    if factor == 1:
        return images
    count, height, width, channels = images.shape
    small = height // factor, width // factor, channels
    return _blocks(images, factor).reshape(count, *small)


def _reach(images: NDArray[Any]) -> tuple[int, int]:
    """The furthest shift, in rows and columns."""
    height, width = images.shape[1:3]
    return max(1, height // 16), max(1, width // 16)


def _refined(
    query: Images, image: Images, move: _Move, factor: int, reduced: tuple[int, int]
) -> np.float32:
    """The least mean square near a move that was found on images averaged down.

    Args:
        query: as it is.
        image: likewise.
        move: of both, averaged down.
        factor: by how much.
        reduced: the furthest shift of such images.
    """
    queries = query[np.newaxis]
    reach = _reach(queries)
    shifts = zip(move[1:], reduced, reach, strict=True)
    at = [(most + factor * (x - few), most) for x, few, most in shifts]
    near = [range(max(0, x - factor), min(2 * most, x + factor) + 1) for x, most in at]
    middle = _middle(image, reach).astype(np.float32)
    moves = (_Move(move.mirrored, *shift) for shift in itertools.product(*near))
    return min(_mean_squares(middle, _moved(queries, reach, x))[0] for x in moves)


def _middle(images: NDArray[Any], reach: tuple[int, int]) -> NDArray[Any]:
    down, right = reach
    return images[..., down:-down, right:-right, :]


def _moves(reach: tuple[int, int], strides: tuple[int, int]) -> list[_Move]:
    """All moves within reach, at so many pixels from each other."""
    shifts = [
        sorted({*range(0, 2 * most + 1, stride), most})
        for most, stride in zip(reach, strides, strict=True)
    ]
    return [
        _Move(mirrored, down, right)
        for mirrored in (False, True)
        for down, right in itertools.product(*shifts)
    ]


def _moved(
    images: NDArray[Any], reach: tuple[int, int], move: _Move
) -> NDArray[np.float32]:
    """The middles of the images as they are moved."""
    height, width = _middle(images, reach).shape[1:3]
    turned = images[:, :, ::-1] if move.mirrored else images
    part = turned[:, move.down : move.down + height, move.right : move.right + width]
    return part.astype(np.float32)


def _mean_squares(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[Any]:
    return np.square(x - y).mean(axis=(-3, -2, -1))


def _blocks(images: NDArray[Any], block: int) -> NDArray[np.float32]:
    """Means over blocks of pixels, as vectors; a last block may be left out."""
    count, height, width, channels = images.shape
    rows, columns = height // block, width // block
    parts = images[:, : rows * block, : columns * block].astype(np.float32)
    parts = parts.reshape(count, rows, block, columns, block, channels)
    return parts.mean(axis=(2, 4)).reshape(count, -1)
