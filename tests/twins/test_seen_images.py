"""What each twin does to images, pixel by pixel; channels and layout are its own."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.randomness.augmentation import Record
from support import Twin

NEUTRAL = Record(0.0, 1.0, 1.0, 0, 0, 99, 99)
IMAGE = np.arange(1, 65, dtype=np.float32).reshape(8, 8) / np.float32(64)


@pytest.fixture
def augmentation(twin: Twin) -> ModuleType:
    return importlib.import_module(f"gans_{twin.name}.augmentation")


def augment(
    twin: Twin,
    module: ModuleType,
    policy: str,
    image: NDArray[Any],
    **drawn: Any,
) -> NDArray[Any]:
    """One grey image or, with a last axis, one in colour."""
    nhwc = image.reshape(1, 8, 8, -1)
    record = np.array([NEUTRAL._replace(**drawn)], np.float32)
    if twin.name == "torch":
        import torch

        images = torch.from_numpy(nhwc).movedim(-1, 1)
        found = module.augment((policy,), images, torch.from_numpy(record))
        return found.movedim(1, -1).numpy().reshape(image.shape)
    import jax.numpy as jnp

    found = module.augment((policy,), jnp.asarray(nhwc), jnp.asarray(record))
    return np.asarray(found).reshape(image.shape)


def test_an_image_moves_up_and_to_the_left(
    twin: Twin, augmentation: ModuleType
) -> None:
    found = augment(twin, augmentation, "translation", IMAGE, rows=1, columns=-1)
    np.testing.assert_array_equal(found[:-1, 1:], IMAGE[1:, :-1])
    assert not found[-1].any()
    assert not found[:, 0].any()


@pytest.mark.parametrize(
    ("row", "column", "rows", "columns"),
    [
        (4, 2, slice(2, 6), slice(0, 4)),
        (0, 8, slice(0, 2), slice(6, 8)),
        (8, 1, slice(6, 8), slice(0, 3)),
    ],
)
def test_a_box_is_cut_out_and_may_hang_over(
    twin: Twin,
    augmentation: ModuleType,
    row: int,
    column: int,
    rows: slice,
    columns: slice,
) -> None:
    expected = IMAGE.copy()
    expected[rows, columns] = 0.0
    drawn = {"box_row": row, "box_column": column}
    found = augment(twin, augmentation, "cutout", IMAGE, **drawn)
    np.testing.assert_array_equal(found, expected)


def test_colours_are_changed_and_never_clipped(
    twin: Twin, augmentation: ModuleType
) -> None:
    image = np.stack([IMAGE, IMAGE**2, 0 * IMAGE], axis=-1)
    found = augment(twin, augmentation, "color", image, brightness=0.5)
    np.testing.assert_allclose(found, image + 0.5, rtol=1e-6)
    assert found.max() > 1.4
    grey = augment(twin, augmentation, "color", image, saturation=0.0)
    np.testing.assert_allclose(grey, np.repeat(image.mean(-1)[..., None], 3, -1), 1e-5)
    pale = augment(twin, augmentation, "color", image, contrast=0.5)
    np.testing.assert_allclose(pale.mean(), image.mean(), rtol=1e-5)
    np.testing.assert_allclose(pale.std(), image.std() / 2, rtol=1e-5)


def test_nothing_is_drawn_that_changes_what_is_off(
    twin: Twin, augmentation: ModuleType
) -> None:
    drawn = {"brightness": 0.5, "contrast": 0.5, "rows": 1, "box_row": 3}
    for policy, own in (("color", "brightness contrast"), ("translation", "rows")):
        others = {k: v for k, v in drawn.items() if k not in own.split()}
        found = augment(twin, augmentation, policy, IMAGE, **others)
        np.testing.assert_allclose(found, IMAGE, rtol=1e-6)


def test_more_pixels_than_float32_can_number_are_told_apart(twin: Twin) -> None:
    # Those of an image of 1024 pixels, twice as fine between its mirror images.
    stripes = np.tile(np.array([0.0, 1.0], np.float16), 3 * 2**22)
    stripes = stripes.reshape(1, 3, 2**23, 1)
    row, column = np.full((1, 1, 4), 2.0, np.float32), np.arange(5.0, 9.0)
    places = row, column.astype(np.float32).reshape(1, 1, 4)
    ada = importlib.import_module(f"gans_{twin.name}.ada")
    if twin.name == "torch":
        import torch

        images = torch.from_numpy(stripes).movedim(-1, 1)
        found = ada.bilinear(images, *map(torch.from_numpy, places)).numpy()
    else:
        import jax.numpy as jnp

        found = ada.bilinear(jnp.asarray(stripes), *map(jnp.asarray, places))
    np.testing.assert_array_equal(np.ravel(found), [1, 0, 1, 0])
