"""Scores of generated images, on features and class probabilities in NumPy.

Features are arrays [count, features]; ``real`` stands before ``fake``. All distances
are Euclidean.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr, stdtrit

Vectors = NDArray[np.floating]
Images = NDArray[np.uint8]

# Of squared lengths: what float64 loses of squared distances, with room to spare.
_ROUNDING = 1e-12
# Samples whose distances to all others are in memory.
_AT_ONCE = 1024
# Of images that may be copies: the most blocks in a row, how many of those that are
# nearest by their blocks are looked at, and the side from which on they are sought on
# images averaged down.
_COARSE_SIDE = 16
_CANDIDATES = 8
_LARGE = 128


def frechet_distance(real: Vectors, fake: Vectors) -> float:
    """Frechet distance of two Gaussians with the sets' moments; FID on its features.

    |m_r - m_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)), with unbiased covariances

    Biased upwards, the more so the fewer the samples: compare equal counts only.

    Args:
        real: at least two samples.
        fake: at least two samples.

    Returns:
        From 0; smaller is better.

    References:
        Heusel et al. 2017, arXiv:1706.08500, Eq. 6.
    """
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    s_real, s_fake = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    # S_r S_f has the eigenvalues of root S_f root, which is symmetric: no complex
    # numbers, and singular covariances do no harm.
    values, vectors = np.linalg.eigh(s_real)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.maximum(np.linalg.eigvalsh(root @ s_fake @ root), 0)
    means = np.square(real.mean(axis=0) - fake.mean(axis=0)).sum()
    traces = np.trace(s_real) + np.trace(s_fake) - 2 * np.sqrt(product).sum()
    return float(max(means + traces, 0.0))


def kernel_distance(real: Vectors, fake: Vectors) -> float:
    """Squared maximum mean discrepancy with a cubic kernel; KID on its features.

    E k(r, r') + E k(f, f') - 2 E k(r, f), k(x, y) = (x.y / features + 1)^3, r != r'

    Args:
        real: at least two samples.
        fake: at least two samples.

    Returns:
        The unbiased estimate, which may be negative; smaller is better.

    References:
        Binkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    # Imported here: scikit-learn takes a second to import.
    from sklearn.metrics.pairwise import polynomial_kernel

    real, fake = real.astype(np.float64), fake.astype(np.float64)

    def kernel(x: Vectors, y: Vectors) -> Vectors:
        return polynomial_kernel(x, y, degree=3, gamma=None, coef0=1)

    def within(x: Vectors) -> float:
        k = kernel(x, x)
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

    return float(within(real) + within(fake) - 2 * kernel(real, fake).mean())


def inception_score(probabilities: Vectors) -> float:
    """Exp of the mean KL divergence of each image's classes from all images' classes.

    Args:
        probabilities: p(class | image), shape [count, classes].

    Returns:
        From 1 to the number of classes; larger is better.

    References:
        Salimans et al. 2016, arXiv:1606.03498, section 4.
    """
    p = probabilities.astype(np.float64)
    return float(np.exp(rel_entr(p, p.mean(axis=0)).sum(axis=1).mean()))


def precision(real: Vectors, fake: Vectors, k: int = 3) -> float:
    """Share of generated samples within the manifold of the real ones; quality.

    The manifold: closed balls around each sample, out to its k-th neighbour.

    References:
        Kynkaanniemi et al. 2019, arXiv:1904.06991, Eqs. 1 and 2.
    """
    return float(_in_balls(real, fake, k).any(axis=0).mean())


def recall(real: Vectors, fake: Vectors, k: int = 3) -> float:
    """Share of real samples within the manifold of the generated ones; variety.

    References:
        Kynkaanniemi et al. 2019, arXiv:1904.06991, Eqs. 1 and 2.
    """
    return precision(fake, real, k)


def density(real: Vectors, fake: Vectors, k: int = 5) -> float:
    """How many real samples' balls hold a generated sample, over k; quality.

    Unlike `precision` not fooled by an outlier's large ball; may exceed 1. The balls
    are closed: a set has (k + 1) / k against itself, as each also holds its centre.

    References:
        Naeem et al. 2020, arXiv:2002.09797, section 3.2.
    """
    return float(_in_balls(real, fake, k).sum(axis=0).mean() / k)


def coverage(real: Vectors, fake: Vectors, k: int = 5) -> float:
    """Share of real samples whose ball holds a generated sample; variety.

    References:
        Naeem et al. 2020, arXiv:2002.09797, section 3.2.
    """
    return float(_in_balls(real, fake, k).any(axis=1).mean())


def class_divergence(real_labels: NDArray, fake_labels: NDArray) -> float:
    """KL divergence of the classes of generated images from those of the data.

    sum_c p_f(c) log(p_f(c) / p_r(c)): finite also where classes are missing.

    Args:
        real_labels: class ids.
        fake_labels: class ids, each of which occurs among the real ones.

    Returns:
        In nats, from 0; smaller is better.

    References:
        Metz et al. 2017, arXiv:1611.02163, section 3.3.
    """
    classes = 1 + max(real_labels.max(), fake_labels.max())
    p_real, p_fake = (
        np.bincount(x, minlength=classes) / len(x) for x in (real_labels, fake_labels)
    )
    return float(rel_entr(p_fake, p_real).sum())


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
    from sklearn.metrics import pairwise_distances  # as above

    flat = queries.reshape(len(queries), -1).astype(np.float64)
    distances = np.empty((len(queries), 0))
    indices = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(images), 1024):
        piece = images[start : start + 1024].reshape(-1, flat.shape[1])
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
        found = _squared_distances(vectors, _blocks(_middle(piece, reach), block))
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


def mean_interval(values: list[float]) -> tuple[float, float | None]:
    """Mean of independent draws, and half the width of its 95% confidence interval.

    By Student's t distribution; None for a single draw.
    """
    if len(values) < 2:
        return float(np.mean(values)), None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(stdtrit(len(values) - 1, 0.975) * error)


class _Move(NamedTuple):
    """A shift of an image, which may be mirrored first."""

    mirrored: bool
    down: int
    """Where the middle begins in the image, in rows."""
    right: int


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


def _in_balls(centres: Vectors, points: Vectors, k: int) -> NDArray[np.bool_]:
    """Which points lie in the closed balls out to each centre's k-th neighbour.

    Args:
        centres: shape [centres, features].
        points: shape [points, features].
        k: which neighbour; a centre is none of its own.

    Returns:
        Shape [centres, points].
    """
    centres, points = centres.astype(np.float64), points.astype(np.float64)
    inside = np.empty((len(centres), len(points)), bool)
    for start in range(0, len(centres), _AT_ONCE):
        some = centres[start : start + _AT_ONCE]
        among = _squared_distances(some, centres)
        rows = np.arange(len(some))
        among[rows, start + rows] = np.inf
        radii = np.partition(among, k - 1, axis=1)[:, k - 1, None]
        # What lies on the sphere, as a copy of the k-th neighbour does, is inside
        # however its distance is rounded.
        slack = _ROUNDING * (_squares(some)[:, None] + _squares(points))
        inside[start + rows] = _squared_distances(some, points) <= radii + slack
    return inside


def _squared_distances(x: Vectors, y: Vectors) -> NDArray[Any]:
    """Of each x to each y: |x|^2 - 2 x.y + |y|^2, as products are fast."""
    return _squares(x)[:, None] - 2 * (x @ y.T) + _squares(y)


def _squares(x: Vectors) -> NDArray[Any]:
    return np.einsum("nf,nf->n", x, x)
