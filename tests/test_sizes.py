"""The sizes that images have: which fit, which are near, how they are written."""

import itertools

import pytest

from shared import sizes
from shared.sizes import ImageSize


@pytest.mark.parametrize(
    ("size", "base", "doublings"),
    [
        (8, (4, 4), 1),
        (28, (7, 7), 2),
        (32, (4, 4), 3),
        (48, (6, 6), 3),
        ((48, 64), (6, 8), 3),
        ((64, 48), (8, 6), 3),
        ((8, 32), (4, 16), 1),
        ((28, 40), (7, 10), 2),
    ],
)
def test_both_sides_double_as_often_as_the_shorter(
    size: ImageSize, base: tuple[int, int], doublings: int
) -> None:
    assert sizes.base(size) == base
    assert sizes.doublings(size) == doublings
    assert sizes.fits(size)


def test_squares_are_as_they_were() -> None:
    fitting = [size for size in range(-9, 130) if sizes.fits(size)]
    times = sorted(k << n for k in (4, 5, 6, 7) for n in range(1, 6))
    assert fitting == [size for size in times if size < 130]
    for size in range(8, 130):
        below, above = sizes.nearest(size)
        assert isinstance(below, int)
        assert isinstance(above, int)
        assert below <= size < above
        assert not any(below < x < above for x in fitting)


def test_what_is_near_fits_and_what_fits_is_nearest() -> None:
    for height, width in itertools.product(range(8, 90), repeat=2):
        size = sizes.normal((height, width))
        near = sizes.nearest(size)
        assert all(map(sizes.fits, near)), size
        if isinstance(size, int):
            continue
        short, long = sorted(size)
        unit = 1 << sizes.doublings(short)
        fits = sizes.fits(short) and long % unit == 0 and long <= 4 * short
        assert sizes.fits(size) == fits, size
        turned = [sizes.normal(sizes.height_and_width(x)[::-1]) for x in near]
        assert sizes.nearest((width, height)) == tuple(turned)


@pytest.mark.parametrize(
    ("written", "size"),
    [("32", 32), ("48x64", (48, 64)), ("64x48", (64, 48)), ("-3", -3), ("0x4", (0, 4))],
)
def test_a_size_is_read_as_it_is_written(written: str, size: ImageSize) -> None:
    assert sizes.parse(written) == size
    assert sizes.text(size) == written


def test_a_square_has_one_number() -> None:
    assert sizes.parse("64x64") == sizes.normal((64, 64)) == 64
    assert sizes.both(64) == "64x64"
    assert sizes.both((48, 64)) == "48x64"
    assert sizes.pixels((48, 64)) == 3072
    assert sizes.height_and_width(64) == (64, 64)


@pytest.mark.parametrize(
    "written", ["48x", "x64", "48x64x3", "48,64", "4.5", "", "٤x٤"]
)
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        sizes.parse(written)
