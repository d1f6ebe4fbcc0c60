"""What is drawn for ADA: each step as the authors' code makes it, and how often."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.config.augmentation import PIPES
from shared.config.train_config import TrainConfig
from shared.randomness import ada, draws
from shared.resampling import FILTER, coarser, finer

CONFIG = TrainConfig(image_size=16, batch_size=8, z_dim=5, augment="ada", n_critic=2)
KNOWN = [0.30657089, 0.02339524, 0.52937776, 0.32250851]


def drawn(config: TrainConfig, steps: range) -> NDArray[np.float32]:
    found = draws.draw(config, 3, 50, 100, steps).augmentation
    assert found is not None
    return found


def steps_of(record: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Places, [2, 3], then colours, [3, 4]."""
    steps = record[ada.GATES : -ada.CUTOUT]
    places, colours = np.split(steps, [6 * ada.PLACES])
    return [*places.reshape(-1, 2, 3), *colours.reshape(-1, 3, 4)]


def one(**numbers: tuple[int, float]) -> list[NDArray[np.float32]]:
    """The steps of one image of 8x12, of numbers that change nothing but these."""
    unit, normal = np.zeros(ada.GATES + 8), np.zeros(7)
    unit[ada.GATES :] = [0, 0, 0.5, 0.5, 0.5, 0.5, 0, 0.5]
    for kind, (place, value) in numbers.items():
        if kind == "uniform":
            unit[ada.GATES + place] = value
        else:
            normal[place] = value
    return steps_of(ada.records((8, 12, 3), unit, normal, PIPES["ada"]))


def test_numbers_in_the_middle_change_nothing() -> None:
    for step in one():
        np.testing.assert_allclose(step, np.eye(*step.shape), atol=1e-7)


@pytest.mark.parametrize(
    ("step", "numbers", "expected"),
    [
        (0, {"uniform": (0, 0.5)}, [[-1, 0, 0], [0, 1, 0]]),
        (1, {"uniform": (1, 0.25)}, [[0, -1, 0], [1, 0, 0]]),
        # An eighth of 12 is 1.5: rounded to even, as NumPy and PyTorch do.
        (2, {"uniform": (2, 0.0)}, [[1, 0, 2], [0, 1, 0]]),
        (2, {"uniform": (3, 1.0)}, [[1, 0, 0], [0, 1, -1]]),
        (3, {"normal": (0, 5.0)}, [[0.5, 0, 0], [0, 0.5, 0]]),
        (4, {"uniform": (4, 0.75)}, [[0, -1, 0], [1, 0, 0]]),
        (5, {"normal": (1, 5.0)}, [[0.5, 0, 0], [0, 2, 0]]),
        (6, {"uniform": (5, 0.25)}, [[0, 1, 0], [-1, 0, 0]]),
        (7, {"normal": (2, 2.0)}, [[1, 0, -3], [0, 1, 0]]),
        (7, {"normal": (3, 2.0)}, [[1, 0, 0], [0, 1, -2]]),
    ],
)
def test_places(
    step: int, numbers: dict[str, tuple[int, float]], expected: list[list[float]]
) -> None:
    np.testing.assert_allclose(one(**numbers)[step], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("step", "numbers", "colour", "expected"),
    [
        (8, {"normal": (4, 2.0)}, [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]),
        (9, {"normal": (5, 2.0)}, [0.1, 0.2, 0.3], [0.2, 0.4, 0.6]),
        # Mirrored at the plane of colours without brightness.
        (10, {"uniform": (6, 0.5)}, [0.2, 0.2, 0.2], [-0.2, -0.2, -0.2]),
        (10, {"uniform": (6, 0.5)}, [0.2, -0.2, 0.0], [0.2, -0.2, 0.0]),
        # A third of a turn: red becomes green.
        (11, {"uniform": (7, 5 / 6)}, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
        (12, {"normal": (6, 1.0)}, [0.3, 0.2, 0.1], [0.4, 0.2, 0.0]),
    ],
)
def test_colours(
    step: int,
    numbers: dict[str, tuple[int, float]],
    colour: list[float],
    expected: list[float],
) -> None:
    found = one(**numbers)[step] @ [*colour, 1.0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_each_step_is_made_as_often_as_p_says_and_one_of_two_turns() -> None:
    config = dataclasses.replace(CONFIG, batch_size=50)
    gates = drawn(config, range(40)).reshape(-1, ada.FIELDS)[:, : ada.GATES]
    on = gates < 0.3
    often = on.mean(axis=0)
    turns = [4, 6]
    expected = np.full(ada.GATES, 0.3)
    expected[turns] = 1 - np.sqrt(0.7)
    np.testing.assert_allclose(often, expected, atol=5 * np.sqrt(0.25 / len(gates)))
    assert abs(on[:, turns].any(axis=1).mean() - 0.3) < 5 * np.sqrt(0.25 / len(gates))


def test_every_step_is_made_with_probability_1() -> None:
    # The largest numbers there are, and what becomes of them where they are turns'.
    for nearly in (1 - 2.0**-24, 1 - 2.0**-13):
        unit = np.full(ada.GATES + 8, nearly, np.float32)
        record = ada.records((8, 12, 3), unit, np.zeros(7), PIPES["ada"])
        assert record[: ada.GATES].max() < 1


def test_the_pipe_of_r3gan_cuts_out_and_changes_colours_half_as_often() -> None:
    config = dataclasses.replace(CONFIG, batch_size=50, augment="ada:r3gan")
    records = drawn(config, range(40)).reshape(-1, ada.FIELDS)
    gates, (cut, x, y) = records[:, : ada.GATES], records[:, -ada.CUTOUT :].T
    error = 5 * np.sqrt(0.25 / len(records))
    for p in (0.3, 1.0):
        often = (gates[:, ada.PLACES :] < p).mean(axis=0)
        np.testing.assert_allclose(often, 0.5 * p, atol=error)
        assert abs((cut < p).mean() - p) < error
    for centre in (x, y):
        quarters, _ = np.histogram(centre, bins=4, range=(0, 1))
        np.testing.assert_allclose(quarters / len(records), 0.25, atol=error)
    assert abs(np.corrcoef([cut, x, y]) - np.eye(3)).max() < 0.1


def test_the_default_pipe_never_cuts_out() -> None:
    assert (drawn(CONFIG, range(9))[..., -ada.CUTOUT] > 1).all()


def test_numbers_are_what_they_were() -> None:
    record = drawn(CONFIG, range(1))[0, 0, 0, 0]
    np.testing.assert_allclose(record[:4], KNOWN, rtol=1e-6)


def test_a_part_of_the_batch_has_its_own_records() -> None:
    whole = drawn(CONFIG, range(2))
    assert whole.shape == (2, 3, 2, 8, ada.FIELDS)
    part = draws.draw(CONFIG, 3, 50, 100, range(2), samples=slice(2, 5)).augmentation
    assert part is not None
    np.testing.assert_array_equal(part, whole[:, :, :, 2:5])
    assert len(np.unique(whole[..., 0])) == whole[..., 0].size


def test_the_filter_is_orthogonal_to_itself_two_pixels_on() -> None:
    products = [np.dot(FILTER[2 * k :], FILTER[: 12 - 2 * k]) for k in range(6)]
    np.testing.assert_allclose(products, [0.5, 0, 0, 0, 0, 0], atol=1e-11)


def test_finer_and_coarser_again_is_the_image() -> None:
    fine = finer(7)
    beside = (len(fine) - coarser(7).shape[1]) // 2
    again = coarser(7) @ fine[beside : len(fine) - beside]
    np.testing.assert_allclose(again, np.eye(7), atol=1e-10)
