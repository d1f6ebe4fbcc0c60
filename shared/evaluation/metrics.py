"""Scores of generated images, on features and class probabilities in NumPy.

Features are arrays [count, features]; ``real`` stands before ``fake``. All distances
are Euclidean.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr, stdtrit

Vectors = NDArray[np.floating]

# Of squared lengths: what float64 loses of squared distances, with room to spare.
_ROUNDING = 1e-12
# Samples whose distances to all others are in memory.
_AT_ONCE = 1024


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


def mean_interval(values: list[float]) -> tuple[float, float | None]:
    """Mean of independent draws, and half the width of its 95% confidence interval.

    By Student's t distribution; None for a single draw.
    """
    if len(values) < 2:
        return float(np.mean(values)), None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(stdtrit(len(values) - 1, 0.975) * error)


def squared_distances(x: Vectors, y: Vectors) -> NDArray[Any]:
    """Of each x to each y: |x|^2 - 2 x.y + |y|^2, as products are fast."""
    return _squares(x)[:, None] - 2 * (x @ y.T) + _squares(y)


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
        among = squared_distances(some, centres)
        rows = np.arange(len(some))
        among[rows, start + rows] = np.inf
        radii = np.partition(among, k - 1, axis=1)[:, k - 1, None]
        # What lies on the sphere, as a copy of the k-th neighbour does, is inside
        # however its distance is rounded.
        slack = _ROUNDING * (_squares(some)[:, None] + _squares(points))
        inside[start + rows] = squared_distances(some, points) <= radii + slack
    return inside


def _squares(x: Vectors) -> NDArray[Any]:
    return np.einsum("nf,nf->n", x, x)
