"""What is drawn for the augmentation: its ranges, and that nothing shifts it."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig
from shared.randomness import augmentation, draws, noise
from shared.randomness.augmentation import Record, box_side, largest_shift

CONFIG = TrainConfig(
    image_size=16, batch_size=8, z_dim=5, augment="diffaugment", flip=True, n_critic=2
)


KNOWN = [0.3614673, 0.15056133, 0.8263644, -1.0, 1.0, 12.0, 0.0]
KNOWN_MIRRORED = [0, 1, 0, 1, 1, 1, 0, 1]


def draw(config: TrainConfig, steps: range) -> draws.Draws:
    return draws.draw(config, 3, 50, 100, steps)


def records(config: TrainConfig, steps: range) -> NDArray[np.float32]:
    found = draw(config, steps).augmentation
    assert found is not None
    return found


def mirrored(config: TrainConfig, steps: range) -> NDArray[np.bool_]:
    found = draw(config, steps).mirrored
    assert found is not None
    return found


def test_shapes_and_types() -> None:
    drawn = draw(CONFIG, range(4))
    assert drawn.augmentation is not None
    assert drawn.augmentation.shape == (4, 3, 2, 8, len(Record._fields))
    assert drawn.augmentation.dtype == np.float32
    assert drawn.mirrored is not None
    assert (drawn.mirrored.shape, drawn.mirrored.dtype.name) == ((4, 2, 8), "bool")


def test_sizes_are_those_of_the_authors_code() -> None:
    assert [largest_shift(n) for n in (8, 16, 28, 32, 64)] == [1, 2, 4, 4, 8]
    assert [box_side(n) for n in (7, 8, 28, 32)] == [4, 4, 14, 16]


@pytest.mark.parametrize(("size", "last"), [(8, 8), (16, 16), (32, 32)])
def test_every_value_of_the_authors_code_comes_and_no_other(
    size: int, last: int
) -> None:
    config = dataclasses.replace(CONFIG, image_size=size, batch_size=50)
    found = Record(*records(config, range(10)).reshape(-1, len(Record._fields)).T)
    limit = largest_shift(size)
    for name, first, most in (
        ("rows", -limit, limit),
        ("columns", -limit, limit),
        ("box_row", 0, last),
        ("box_column", 0, last),
    ):
        values, counts = np.unique(getattr(found, name), return_counts=True)
        assert values.tolist() == list(range(first, most + 1)), name
        # Five standard errors of a uniform draw.
        mean = counts.sum() / len(values)
        assert np.abs(counts - mean).max() < 5 * np.sqrt(mean), name
    for name, low, high in (
        ("brightness", -0.5, 0.5),
        ("saturation", 0.0, 2.0),
        ("contrast", 0.5, 1.5),
    ):
        values = getattr(found, name)
        assert low <= values.min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < values.max() < high + 1e-7, name
        assert abs(values.mean() - (low + high) / 2) < 0.05 * (high - low), name


def test_an_odd_box_has_a_centre_and_one_place_less() -> None:
    assert [augmentation._last_centre(n) for n in (9, 10, 11)] == [8, 9, 11]


def test_policies_do_not_change_what_is_drawn() -> None:
    one = dataclasses.replace(CONFIG, augment="diffaugment:cutout", flip=False)
    np.testing.assert_array_equal(records(one, range(3)), records(CONFIG, range(3)))


def test_updates_of_d_have_their_draws_however_many_make_a_step() -> None:
    once = dataclasses.replace(CONFIG, n_critic=1)
    for_d = records(CONFIG, range(2))[:, :2]
    np.testing.assert_array_equal(
        records(once, range(4))[:, 0], for_d.reshape(4, *for_d.shape[2:])
    )
    # Those of G are the steps' own.
    np.testing.assert_array_equal(
        records(once, range(2))[:, 1], records(CONFIG, range(2))[:, 2]
    )
    np.testing.assert_array_equal(
        mirrored(once, range(4)).reshape(2, 2, 8), mirrored(CONFIG, range(2))
    )


def test_real_and_generated_images_and_both_networks_draw_their_own() -> None:
    rows = records(CONFIG, range(4))[..., :3].reshape(-1, 3)
    assert len(np.unique(rows, axis=0)) == len(rows) == 4 * 3 * 2 * 8


def test_a_share_of_the_batch_can_be_drawn_alone() -> None:
    share, fields = slice(4, 8), len(Record._fields)
    unit = noise.uniform(0, "augmentation for D", 5, share, 2 * fields)
    found = records(CONFIG, range(2, 3))[0, 1, :, share]
    np.testing.assert_array_equal(found[0, :, 0], unit[:, 0] - 0.5)
    np.testing.assert_array_equal(found[1, :, 1], 2 * unit[:, fields + 1])


def test_half_of_the_images_are_mirrored() -> None:
    found = mirrored(CONFIG, range(100))
    assert abs(found.mean() - 0.5) < 4 * 0.5 / np.sqrt(found.size)


def test_a_run_that_goes_back_is_augmented_otherwise() -> None:
    again = draws.draw(CONFIG, 3, 50, 100, range(2), rollbacks=1)
    assert again.augmentation is not None
    assert again.mirrored is not None
    assert not np.array_equal(again.augmentation, records(CONFIG, range(2)))
    assert not np.array_equal(again.mirrored, mirrored(CONFIG, range(2)))


def test_known_draws() -> None:
    """Changing these changes every augmented run."""
    known = records(CONFIG, range(5, 6))[0, 2, 1, 3]
    np.testing.assert_allclose(known, KNOWN, rtol=1e-6)
    assert mirrored(CONFIG, range(5, 6))[0, 1].astype(int).tolist() == KNOWN_MIRRORED
