"""Each metric against an independent oracle: a closed form, or another library."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from shared.evaluation import metrics


def normal(seed: int, count: int, size: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mixing = np.eye(size) + 0.3 * rng.standard_normal((size, size))
    return rng.standard_normal((count, size)) @ mixing + rng.standard_normal(size)


def whitened(seed: int, count: int, size: int) -> NDArray[np.float64]:
    """Samples whose mean is exactly 0 and whose covariance is exactly 1."""
    x = normal(seed, count, size)
    x -= x.mean(axis=0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def test_frechet_distance_of_gaussians_with_known_moments() -> None:
    scale, shift = np.array([2.0, 0.5, 3.0]), np.array([1.0, -2.0, 0.5])
    real, fake = whitened(0, 200, 3), whitened(1, 300, 3) * scale + shift
    # For covariances that commute: |shift|^2 + sum (s_r - s_f)^2.
    expected = np.square(shift).sum() + np.square(1 - scale).sum()
    assert metrics.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_singular_covariances() -> None:
    line = np.arange(10.0)[:, None] * np.array([[1.0, 1.0, 0.0]])
    assert metrics.frechet_distance(line, line) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(line, line + 2) == pytest.approx(12, rel=1e-9)


def test_kernel_distance_against_its_definition_in_loops() -> None:
    real, fake = normal(0, 7, 3), normal(1, 5, 3)

    def kernel(x: NDArray, y: NDArray) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    def within(x: NDArray) -> float:
        pairs = ((a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j)
        return float(np.mean([kernel(a, b) for a, b in pairs]))

    between = np.mean([kernel(a, b) for a in real for b in fake])
    expected = within(real) + within(fake) - 2 * between
    assert metrics.kernel_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_equal_distributions_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    values = [
        metrics.kernel_distance(
            rng.standard_normal((40, 4)), rng.standard_normal((40, 4))
        )
        for _ in range(200)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)


def test_inception_score_of_certain_and_of_uncertain_classes() -> None:
    uniform = np.full((20, 5), 0.2)
    assert metrics.inception_score(uniform) == pytest.approx(1)
    certain = np.eye(5)[np.arange(20) % 5]
    assert metrics.inception_score(certain) == pytest.approx(5)
    assert metrics.inception_score(np.eye(5)[np.zeros(20, int)]) == pytest.approx(1)
    # Two classes, each image 3:1 for its own: exp(log 2 - H(1/4)).
    mixed = np.array([[0.75, 0.25], [0.25, 0.75]])
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    expected = np.exp(np.log(2) - entropy)
    assert metrics.inception_score(mixed) == pytest.approx(expected, rel=1e-12)


# Ten real samples on a line, a unit apart: the ball of k=1 around each has radius 1.
LINE = np.stack([np.arange(10.0), np.zeros(10)], axis=1)
Metric = Callable[..., float]


@pytest.mark.parametrize(
    ("metric", "fake", "expected"),
    [
        # Two samples within balls, one far above the line, one beyond its end.
        (metrics.precision, [[2.5, 0], [7, 0.5], [5, 3], [10.5, 0]], 2 / 4),
        # Balls of k=1 around fake samples: radius 2 and 2, so real 1..7 are inside.
        (metrics.recall, [[3, 0], [5, 0]], 7 / 10),
        # 2.5 is in the balls of 2 and 3; 4 in those of 3, 4, 5; 50 in none.
        (metrics.density, [[2.5, 0], [4, 0], [50, 0]], 5 / 3),
        # The balls that hold a sample: those of 2, 3, and of 3, 4, 5.
        (metrics.coverage, [[2.5, 0], [4, 0], [50, 0]], 4 / 10),
    ],
)
def test_neighbourhoods_on_a_line(
    metric: Metric, fake: list[list[float]], expected: float
) -> None:
    assert metric(LINE, np.array(fake, float), k=1) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbourhoods_against_their_definitions_in_loops(k: int) -> None:
    real, fake = normal(0, 30, 3), normal(1, 20, 3)

    def distance(x: NDArray, y: NDArray) -> float:
        return float(np.sqrt(((x - y) ** 2).sum()))

    def radius(x: NDArray, others: NDArray) -> float:
        return sorted(distance(x, other) for other in others)[k]  # 0: itself

    def inside(x: NDArray, centres: NDArray) -> int:
        return sum(distance(x, c) <= radius(c, centres) for c in centres)

    expected = {
        metrics.precision: np.mean([inside(x, real) > 0 for x in fake]),
        metrics.recall: np.mean([inside(x, fake) > 0 for x in real]),
        metrics.density: np.mean([inside(x, real) for x in fake]) / k,
        metrics.coverage: np.mean(
            [any(distance(x, f) <= radius(x, real) for f in fake) for x in real]
        ),
    }
    for metric, value in expected.items():
        assert metric(real, fake, k=k) == pytest.approx(value), metric.__name__


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5])
def test_a_set_against_itself_fills_closed_balls(kind: type, k: int) -> None:
    # More than are looked at together, and far from the origin: rounding is worst.
    real = (normal(0, 1500, 20) + 30).astype(kind)
    other = real[::-1].copy()
    assert metrics.density(real, other, k=k) == pytest.approx((k + 1) / k, abs=1e-12)
    assert metrics.coverage(real, other, k=k) == 1
    assert metrics.precision(real, other, k=k) == 1
    # Balls of no radius hold what lies in their centres, and nothing else.
    copies = real[:4].repeat(10, axis=0)
    assert metrics.density(copies, real[:4], k=k) == pytest.approx(10 / k)
    assert metrics.density(copies, real[4:8], k=k) == 0


@pytest.mark.parametrize("size", [64, 513])
@pytest.mark.parametrize("count", [1, 2, 3, 37])
def test_copies_on_the_sphere_are_inside_whatever_is_rounded(
    size: int, count: int
) -> None:
    real = np.random.default_rng(0).standard_normal((300, size)) + 30
    among = cdist(real, real)  # without products, and so exact where it counts
    np.fill_diagonal(among, np.inf)
    radii = np.sort(among, axis=1)[:, 4, None]
    some = real[5 : 5 + count].copy()
    expected = (cdist(real, some) <= radii).sum(axis=0).mean() / 5
    assert metrics.density(real, some) == pytest.approx(expected, rel=1e-12)


def test_class_divergence_from_the_definition() -> None:
    real = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert metrics.class_divergence(real, real) == 0
    one_of_four = metrics.class_divergence(real, np.array([3, 3, 3]))
    assert one_of_four == pytest.approx(np.log(4))
    uneven = metrics.class_divergence(real, np.array([0, 0, 0, 1]))
    assert uneven == pytest.approx(0.75 * np.log(3) + 0.25 * np.log(1))


def test_interval_holds_the_mean_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        mean, half = metrics.mean_interval(list(rng.normal(3, 2, 5)))
        assert half is not None
        held.append(abs(mean - 3) <= half)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)
    assert metrics.mean_interval([4.0]) == (4.0, None)


# Counts of both sets, and features; of most, both covariances are singular.
SIZES = [(60, 40, 5), (10, 12, 64), (2, 2, 1), (2, 3, 16), (400, 30, 32), (64, 64, 64)]


@pytest.mark.needs("torch")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("real_count", "fake_count", "size"), SIZES)
def test_frechet_distance_against_torchmetrics_at_every_rank(
    real_count: int, fake_count: int, size: int
) -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Features(torch.nn.Module):
        num_features = size

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 0, 0]

    fid = FrechetInceptionDistance(Features(), normalize=True)
    fid.set_dtype(torch.float64)
    fid.normalize = False
    sets = normal(0, real_count, size), normal(1, fake_count, size)
    for x, is_real in zip(sets, (True, False), strict=True):
        fid.update(torch.tensor(x)[:, :, None, None], real=is_real)
    found = metrics.frechet_distance(*sets)
    # Theirs takes the root of eigenvalues that should be 0, and of which each is 1e-16.
    assert found == pytest.approx(float(fid.compute()), rel=1e-5)


@pytest.mark.needs("torch")
@pytest.mark.parametrize(("real_count", "fake_count", "size"), SIZES)
def test_distances_against_torch_fidelity_at_every_rank(
    real_count: int, fake_count: int, size: int
) -> None:
    import torch
    from torch_fidelity import metric_fid, metric_kid

    sets = normal(0, real_count, size), normal(1, fake_count, size)
    if size > 1:  # theirs has no variance of a single feature
        statistics = (
            metric_fid.fid_features_to_statistics(torch.tensor(x)) for x in sets
        )
        fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
        expected = pytest.approx(fid["frechet_inception_distance"], rel=1e-5)
        assert metrics.frechet_distance(*sets) == expected
    count = min(real_count, fake_count)
    sets = tuple(x[:count] for x in sets)
    kid = metric_kid.kid_features_to_metric(
        *map(torch.tensor, sets), kid_subsets=1, kid_subset_size=count, verbose=False
    )
    expected = pytest.approx(kid["kernel_inception_distance_mean"], rel=1e-9)
    assert metrics.kernel_distance(*sets) == expected


@pytest.mark.parametrize(("real_count", "fake_count", "size"), SIZES)
def test_frechet_distance_against_the_root_of_the_product(
    real_count: int, fake_count: int, size: int
) -> None:
    """As the authors' code has it: SciPy's root of S_r S_f."""
    real, fake = normal(0, real_count, size), normal(1, fake_count, size)
    s_real, s_fake = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, fake))
    with warnings.catch_warnings():
        # Of a singular matrix, of which the offset below takes care, as theirs does.
        warnings.simplefilter("ignore")
        root = sqrtm(s_real @ s_fake)
        if not np.isfinite(root).all():
            offset = 1e-6 * np.eye(size)
            root = sqrtm((s_real + offset) @ (s_fake + offset))
    means = np.square(real.mean(axis=0) - fake.mean(axis=0)).sum()
    expected = means + np.trace(s_real + s_fake) - 2 * np.trace(np.real(root))
    assert metrics.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-3)


@pytest.mark.needs("torch")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_distances_and_score_against_torchmetrics() -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    class Features(torch.nn.Module):
        num_features = 5

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :, 0, 0]

    real, fake = (
        torch.tensor(normal(seed, 60, 5), dtype=torch.float32)[:, :, None, None]
        for seed in (0, 1)
    )
    arrays = real[:, :, 0, 0].numpy(), fake[:, :, 0, 0].numpy()
    fid = FrechetInceptionDistance(Features(), normalize=True)
    kid = KernelInceptionDistance(Features(), subsets=1, subset_size=60, normalize=True)
    for metric in (fid, kid):
        # As it is: scaling to bytes is for images.
        metric.normalize = False
        metric.update(real, real=True)
        metric.update(fake, real=False)
    found = metrics.frechet_distance(*arrays)
    assert found == pytest.approx(float(fid.compute()), rel=1e-4)
    found = metrics.kernel_distance(*arrays)
    assert found == pytest.approx(float(kid.compute()[0]), rel=1e-4)
    score = InceptionScore(Features(), splits=1)
    score.update(fake)
    exp = np.exp(arrays[1] - arrays[1].max(axis=1, keepdims=True))
    found = metrics.inception_score(exp / exp.sum(axis=1, keepdims=True))
    assert found == pytest.approx(float(score.compute()[0]), rel=1e-4)
