"""Latents that are cut off."""

import math

import numpy as np
import pytest

from shared.randomness.latents import draw_latents


@pytest.mark.parametrize("truncation", [0.05, 0.5, 2.0])
def test_cut_off_latents_are_as_normal_ones_that_lie_within(truncation: float) -> None:
    z = draw_latents(3, "drawn samples", 0, 500, 8, truncation)
    whole = draw_latents(3, "drawn samples", 0, 500, 8)
    assert np.abs(z).max() <= truncation
    # What was near enough stays what it was.
    near = np.abs(whole) <= truncation
    np.testing.assert_array_equal(z[near], whole[near])
    assert len(np.unique(z)) == z.size
    # The variance of the truncated normal; and its mean, up to five standard errors.
    density = math.exp(-(truncation**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * truncation * density / math.erf(truncation / math.sqrt(2))
    assert abs(z.mean()) < 5 * math.sqrt(variance / z.size)
    assert np.square(z).mean() == pytest.approx(variance, rel=0.1)


def test_a_sample_is_the_same_however_many_are_drawn() -> None:
    few, many = (draw_latents(3, "drawn samples", 0, n, 5, 0.3) for n in (4, 90))
    np.testing.assert_array_equal(few, many[:4])
