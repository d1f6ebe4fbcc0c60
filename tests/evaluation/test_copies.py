"""The search for copies: what was copied is found, however it was moved."""

import itertools

import numpy as np
import pytest

from shared.evaluation.copies import nearest_images, nearest_moved


def test_nearest_images_are_those_of_a_whole_table() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2500, 4, 4, 3), np.uint8)
    queries = np.concatenate([images[[2, 2400]], images[[7]] ^ np.uint8(1)])
    distances, places = nearest_images(queries, images, 3)
    assert places[:, 0].tolist() == [2, 2400, 7]
    assert distances[:, 0] == pytest.approx([0, 0, 1])
    table = np.sqrt(
        np.square(queries[:, None].astype(float) - images).mean(axis=(2, 3, 4))
    )
    np.testing.assert_array_equal(places, np.argsort(table, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(table, axis=1)[:, :3], atol=1e-5)


@pytest.mark.parametrize("shape", [(128, 256), (224, 224)])
def test_copies_of_large_images_are_found_in_seconds(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (20, *(side // 8 for side in shape), 3), np.uint8)
    pictures = coarse.repeat(8, 1).repeat(8, 2)
    reach = [side // 16 for side in shape]
    for share in (-1, 0.4, 1):
        shift = [round(share * most) for most in reach]
        moved = np.roll(pictures[:3], shift, (1, 2))
        for copies in (moved, moved[:, :, ::-1]):
            assert nearest_moved(copies, pictures).max() == 0
    assert nearest_moved(pictures[:3], pictures, np.arange(3)).min() > 50
    one = pictures[:1]
    assert nearest_moved(one, one, np.arange(1)) == np.inf


def test_copies_are_found_however_they_are_moved() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (60, 32, 32, 1), np.uint8)
    queries = pictures[:6]
    moved = [np.roll(queries, shift, (1, 2)) for shift in ((2, -1), (0, 0), (-2, 2))]
    for copies in (*moved, *(x[:, :, ::-1] for x in moved)):
        assert nearest_moved(copies, pictures).max() == 0
    assert nearest_moved(np.roll(queries, 5, 1), pictures).min() > 50
    own = np.arange(6)
    assert nearest_moved(queries, pictures, own).min() > 50


@pytest.mark.parametrize("shape", [(12, 48), (48, 12)])
def test_copies_of_rectangles_are_found_too(shape: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (40, *shape, 1), np.uint8)
    queries = pictures[:6]
    reach = [max(1, side // 16) for side in shape]
    for signs in itertools.product((-1, 0, 1), repeat=2):
        shift = [sign * most for sign, most in zip(signs, reach, strict=True)]
        moved = np.roll(queries, shift, (1, 2))
        for copies in (moved, moved[:, :, ::-1]):
            assert nearest_moved(copies, pictures).max() == 0
    assert nearest_moved(queries[:, ::-1], pictures).min() > 20
