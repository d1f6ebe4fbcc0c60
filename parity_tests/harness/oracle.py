"""Losses, penalties, augmentation once more, in NumPy's float64, from the papers.

Independent of both twins and without any automatic differentiation: `gradient` uses
complex steps. That works because every function here is analytic in its arrays, apart
from kinks, where only the real part decides on a side and the subgradient is 0.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.randomness.ada import COLOURS, GATES, PLACES
from shared.randomness.augmentation import Record
from shared.resampling import FILTER

# float64; complex128 inside `gradient`.
Numbers = NDArray[Any]
Number = Any
InputGradient = Callable[[Numbers], Numbers]
"""Images to the gradient of each one's logit, flattened to [batch, pixels]."""

_STEP = 1e-100


def gradient(function: Callable[..., Number], *arrays: Numbers) -> list[Numbers]:
    """Gradient of a real function with respect to each array, exact to rounding.

    df/dx = Im f(x + ih) / h, which loses nothing to cancellation, however small h is.

    Args:
        function: of the arrays, to a number.
        arrays: float64.

    References:
        Squire and Trapp 1998, doi:10.1137/S003614459631241X.
    """
    arrays = tuple(np.asarray(array, np.complex128) for array in arrays)
    gradients = [np.zeros(array.shape) for array in arrays]
    for array, out in zip(arrays, gradients, strict=True):
        for index in np.ndindex(array.shape):
            array[index] += 1j * _STEP
            out[index] = np.imag(function(*arrays)) / _STEP
            array[index] = array[index].real
    return gradients


def softplus(x: Numbers) -> Numbers:
    """log(1 + exp(x))."""
    return relu(x) + np.log1p(np.exp(np.where(x.real > 0, -x, x)))


def relu(x: Numbers) -> Numbers:
    """max(0, x), with slope 0 at 0."""
    return np.where(x.real > 0, x, 0.0)


def non_saturating_discriminator_loss(
    real_logits: Numbers,
    fake_logits: Numbers,
    real_target: Numbers | float = 1.0,
    fake_target: Numbers | float = 0.0,
) -> Number:
    """Goodfellow 2014, Eq. 1: -E log sigma(D(x)) - E log(1 - sigma(D(G(z))))."""
    both = ((real_logits, real_target), (fake_logits, fake_target))
    return sum(
        np.mean(t * softplus(-logits) + (1 - t) * softplus(logits))
        for logits, t in both
    )


def non_saturating_generator_loss(fake_logits: Numbers) -> Number:
    """Goodfellow 2014, section 3: -E log sigma(D(G(z)))."""
    return np.mean(softplus(-fake_logits))


minimax_discriminator_loss = non_saturating_discriminator_loss


def minimax_generator_loss(fake_logits: Numbers) -> Number:
    """Goodfellow 2014, Eq. 1: E log(1 - sigma(D(G(z))))."""
    return np.mean(-softplus(fake_logits))


def wasserstein_discriminator_loss(
    real_logits: Numbers, fake_logits: Numbers
) -> Number:
    """Arjovsky 2017, Algorithm 1: E D(G(z)) - E D(x)."""
    return np.mean(fake_logits) - np.mean(real_logits)


def wasserstein_generator_loss(fake_logits: Numbers) -> Number:
    """Arjovsky 2017, Algorithm 1: -E D(G(z))."""
    return np.mean(-fake_logits)


def least_squares_discriminator_loss(
    real_logits: Numbers,
    fake_logits: Numbers,
    real_target: float = 1.0,
    fake_target: float = 0.0,
) -> Number:
    """Mao 2017, Eq. 2: E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2."""
    real, fake = real_logits - real_target, fake_logits - fake_target
    return np.mean(real * real) / 2 + np.mean(fake * fake) / 2


def least_squares_generator_loss(fake_logits: Numbers, target: float = 1.0) -> Number:
    """Mao 2017, Eq. 2: E (D(G(z)) - c)^2 / 2."""
    return np.mean((fake_logits - target) * (fake_logits - target)) / 2


def least_squares_pearson_discriminator_loss(
    real_logits: Numbers, fake_logits: Numbers
) -> Number:
    """Mao 2017, Eq. 8: E (D(x) - 1)^2 / 2 + E (D(G(z)) + 1)^2 / 2."""
    real, fake = real_logits - 1, fake_logits + 1
    return np.mean(real * real) / 2 + np.mean(fake * fake) / 2


def least_squares_pearson_generator_loss(fake_logits: Numbers) -> Number:
    """Mao 2017, Eq. 8: E D(G(z))^2 / 2."""
    return np.mean(fake_logits * fake_logits) / 2


def hinge_discriminator_loss(real_logits: Numbers, fake_logits: Numbers) -> Number:
    """Miyato 2018, Eq. 16: E max(0, 1 - D(x)) + E max(0, 1 + D(G(z)))."""
    return np.mean(relu(1 - real_logits)) + np.mean(relu(1 + fake_logits))


def hinge_generator_loss(fake_logits: Numbers) -> Number:
    """Miyato 2018, Eq. 17: -E D(G(z))."""
    return np.mean(-fake_logits)


def relativistic_discriminator_loss(
    real_logits: Numbers, fake_logits: Numbers
) -> Number:
    """RpGAN, Jolicoeur-Martineau 2018: E softplus(D(G(z)) - D(x))."""
    return np.mean(softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits: Numbers, fake_logits: Numbers) -> Number:
    """RpGAN, Jolicoeur-Martineau 2018: E softplus(D(x) - D(G(z)))."""
    return np.mean(softplus(real_logits - fake_logits))


def relativistic_average_discriminator_loss(
    real_logits: Numbers, fake_logits: Numbers
) -> Number:
    """RaSGAN, Jolicoeur-Martineau 2018: both sides relative to the other's mean."""
    return np.mean(softplus(np.mean(fake_logits) - real_logits)) + np.mean(
        softplus(fake_logits - np.mean(real_logits))
    )


def relativistic_average_generator_loss(
    real_logits: Numbers, fake_logits: Numbers
) -> Number:
    """RaSGAN: the same with real and generated exchanged."""
    return np.mean(softplus(np.mean(real_logits) - fake_logits)) + np.mean(
        softplus(real_logits - np.mean(fake_logits))
    )


def game_value(real_logits: Numbers, fake_logits: Numbers) -> Number:
    """V(D, G) = E log sigma(D(x)) + E log(1 - sigma(D(G(z))))."""
    return np.mean(-softplus(-real_logits)) + np.mean(-softplus(fake_logits))


def wasserstein_estimate(real_logits: Numbers, fake_logits: Numbers) -> Number:
    """Arjovsky 2017, Eq. 2, with the critic that there is."""
    return np.mean(real_logits) - np.mean(fake_logits)


def batch_mean(x: Numbers) -> Number:
    """The arithmetic mean."""
    return np.sum(x) / len(x)


def feature_matching_loss(real_features: Numbers, fake_features: Numbers) -> Number:
    """Salimans 2016, section 3.1: || E f(x) - E f(G(z)) ||^2."""
    gap = np.mean(real_features, axis=0) - np.mean(fake_features, axis=0)
    return np.sum(gap * gap)


def class_cross_entropy(class_logits: Numbers, labels: Numbers) -> Number:
    """Odena 2017, Eq. 3: -E log p(c | x)."""
    shifted = class_logits - np.max(class_logits.real, axis=1, keepdims=True)
    log_sum = np.log(np.sum(np.exp(shifted), axis=1))
    return np.mean(log_sum - shifted[np.arange(len(labels)), labels])


def norm(rows: Numbers) -> Numbers:
    """Euclidean norm of each row, with subgradient 0 where it is 0."""
    squares = np.sum(rows * rows, axis=1)
    return np.where(squares.real > 0, np.sqrt(squares), 0.0)


def wgan_gp_penalty(
    input_gradient: InputGradient, real: Numbers, fake: Numbers, alpha: Numbers
) -> Number:
    """Gulrajani 2017, Eq. 3; alpha weights the real sample."""
    slope = norm(input_gradient(_mix(real, fake, alpha)))
    return np.mean((slope - 1) * (slope - 1))


def wgan_lp_penalty(
    input_gradient: InputGradient, real: Numbers, fake: Numbers, alpha: Numbers
) -> Number:
    """Petzka 2018: the one-sided form."""
    excess = relu(norm(input_gradient(_mix(real, fake, alpha))) - 1)
    return np.mean(excess * excess)


def dragan_penalty(
    input_gradient: InputGradient, real: Numbers, penalty_noise: Numbers
) -> Number:
    """Kodali 2017, the authors' code: around x + std(x) u / 2."""
    spread = np.sqrt(np.mean((real - np.mean(real)) ** 2))
    slope = norm(input_gradient(real + spread * penalty_noise / 2))
    return np.mean((slope - 1) * (slope - 1))


def r1_penalty(input_gradient: InputGradient, real: Numbers) -> Number:
    """Mescheder 2018, Eq. 9, without gamma / 2."""
    slopes = input_gradient(real)
    return np.mean(np.sum(slopes * slopes, axis=1))


def r2_penalty(input_gradient: InputGradient, fake: Numbers) -> Number:
    """Mescheder 2018, Eq. 10, without gamma / 2."""
    return r1_penalty(input_gradient, fake)


def r1_r2_penalty(
    input_gradient: InputGradient, real: Numbers, fake: Numbers
) -> Number:
    """Huang 2024: the sum of both, without gamma / 2."""
    return r1_penalty(input_gradient, real) + r2_penalty(input_gradient, fake)


def color(image: Numbers, record: Record) -> Numbers:
    """Zhao 2020, DiffAugment: brightness, then saturation, then contrast."""
    image = image + record.brightness
    mean = np.mean(image, axis=-3, keepdims=True)
    image = mean + (image - mean) * record.saturation
    mean = np.mean(image, axis=(-3, -2, -1), keepdims=True)
    return mean + (image - mean) * record.contrast


def translation(image: Numbers, record: Record) -> Numbers:
    """Zhao 2020: each pixel from that many rows below and columns to the right."""
    height, width = image.shape[-2:]
    moved = np.zeros_like(image)
    for row, column in np.ndindex(height, width):
        below, right = row + int(record.rows), column + int(record.columns)
        if 0 <= below < height and 0 <= right < width:
            moved[..., row, column] = image[..., below, right]
    return moved


def cutout(image: Numbers, record: Record) -> Numbers:
    """Zhao 2020: zeros in a box; what would be outside falls on the image's edge."""
    height, width = image.shape[-2:]
    cut = image.copy()
    for below, right in np.ndindex(*(int(0.5 * n + 0.5) for n in (height, width))):
        row = int(record.box_row) + below - int(0.5 * height + 0.5) // 2
        column = int(record.box_column) + right - int(0.5 * width + 0.5) // 2
        cut[..., np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)] = 0.0
    return cut


def ada_maps(record: Numbers, p: float) -> Numbers:
    """Karras 2020: the steps that are made, multiplied as homogeneous matrices."""
    on = record[:GATES] < p
    places, colours = np.eye(3), np.eye(4)
    for i in range(PLACES):
        if on[i]:
            step = record[GATES + 6 * i :][:6].reshape(2, 3)
            places = places @ np.vstack([step, [0, 0, 1]])
    for i in range(COLOURS):
        if on[PLACES + i]:
            step = record[GATES + 6 * PLACES + 12 * i :][:12].reshape(3, 4)
            colours = np.vstack([step, [0, 0, 0, 1]]) @ colours
    gate, *centre = record[GATES + 6 * PLACES + 12 * COLOURS :]
    box = [0.5 if gate < p else 0.0, *centre]
    return np.concatenate([places[:2].ravel(), colours[:3].ravel(), box])


def ada(image: Numbers, maps: Numbers) -> Numbers:
    """Karras 2020: places, then colours, then a box is cut out."""
    places, colours, (side, x, y) = np.split(maps, [6, 18])
    image = warp(image, places.reshape(2, 3))
    linear, added = np.split(colours.reshape(3, 4), [3], axis=1)
    if image.shape[-3] == 1:  # as the mean of three equal channels
        image = image * linear.sum() / 3 + added.mean()
    else:
        image = np.einsum("dc,...chw->...dhw", linear, image) + added[:, :, None]
    height, width = image.shape[-2:]
    for i, j in np.ndindex(height, width):
        if max(abs((i + 0.5) / height - y), abs((j + 0.5) / width - x)) < side / 2:
            image[..., i, j] = 0.0
    return image


def warp(image: Numbers, place: Numbers) -> Numbers:
    """Karras 2020: mirror, double, sample, filter, halve; pixel by pixel."""
    height, width = image.shape[-2:]
    image = _doubled(_doubled(image, -1), -2)
    rows, columns = 2 * height + 12, 2 * width + 12
    sampled = np.zeros((*image.shape[:-2], rows, columns), image.dtype)
    for i, j in np.ndindex(rows, columns):
        # Fine pixels lie half a pixel before those that they come from.
        centre = np.array([(j + 1 - columns / 2) / 2, (i + 1 - rows / 2) / 2, 1.0])
        x, y = 2 * (place @ centre)
        x, y = x + image.shape[-1] / 2 - 1, y + image.shape[-2] / 2 - 1
        for r, c in ((r, c) for r in (0, 1) for c in (0, 1)):
            top, left = math.floor(y) + r, math.floor(x) + c
            if 0 <= top < image.shape[-2] and 0 <= left < image.shape[-1]:
                weight = (1 - abs(y - top)) * (1 - abs(x - left))
                sampled[..., i, j] += weight * image[..., top, left]
    return _halved(_halved(sampled, -1), -2)


def _doubled(image: Numbers, axis: int) -> Numbers:
    image = np.moveaxis(image, axis, -1)
    size = image.shape[-1]
    mirrored = image[
        ..., [*range(size - 1, 0, -1), *range(size), *range(size - 2, -1, -1)]
    ]
    between = np.zeros((*mirrored.shape[:-1], 2 * mirrored.shape[-1] + 11), image.dtype)
    between[..., 6:-5:2] = mirrored
    return np.moveaxis(_correlated(between, 2 * FILTER[::-1]), -1, axis)


def _halved(image: Numbers, axis: int) -> Numbers:
    image = np.moveaxis(image, axis, -1)[..., 1:-1]
    return np.moveaxis(_correlated(image, FILTER)[..., ::2], -1, axis)


def _correlated(image: Numbers, taps: Numbers) -> Numbers:
    """Along the last axis, as far as there is an image under all taps."""
    windows = np.lib.stride_tricks.sliding_window_view(image, len(taps), axis=-1)
    return windows @ taps


def _mix(real: Numbers, fake: Numbers, alpha: Numbers) -> Numbers:
    return np.stack(
        [a * x + (1 - a) * y for a, x, y in zip(alpha, real, fake, strict=True)]
    )
