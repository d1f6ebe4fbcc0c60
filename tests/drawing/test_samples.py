"""What is drawn, in pixels."""

import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np

from shared.drawing import images
from shared.drawing.samples import draw_images, in_batches


def test_on_the_way_to_pixels_images_take_little_memory() -> None:
    z = np.linspace(-1.1, 1.1, 1000, dtype=np.float32)[:, None]
    shape = (1, 64, 64, 1)

    def draw(z: Any, labels: Any) -> Any:
        return np.tile(z[..., None, None], shape)

    backend: Any = SimpleNamespace(
        sample_batches=lambda batches, training: [draw(*x) for x in batches]
    )
    expected = images.to_uint8(draw(z, None))
    # Of the result's: floats take four times as much, and once they are asked for all.
    for drawn, most in (
        (lambda: draw_images(backend, z, None), 7),
        (lambda: in_batches(draw, z, None), 4),
    ):
        tracemalloc.start()
        try:
            found = drawn()
            assert tracemalloc.get_traced_memory()[1] < most * found.nbytes
        finally:
            tracemalloc.stop()
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.uint8


def test_points_stay_what_they_are() -> None:
    z = np.arange(140, dtype=np.float32).reshape(70, 2)
    drawn = in_batches(lambda z, labels: z.reshape(-1, 1, 1, 2), z, None)
    np.testing.assert_array_equal(drawn, z)
