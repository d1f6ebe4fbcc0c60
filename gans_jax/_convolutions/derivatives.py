"""What is the same of each form: that its three sums are one another's derivatives."""

from typing import Any

import jax


def declare(
    features: "jax.custom_vjp[Any]",
    images: "jax.custom_vjp[Any]",
    kernel_gradient: "jax.custom_vjp[Any]",
) -> None:
    """Have the derivatives of each be the other two.

    Args:
        features: the convolution of images, of a form, images and a kernel.
        images: the transposed convolution, of a form, features and a kernel.
        kernel_gradient: of `features`; of a form, images and features.
    """
    features.defvjp(
        lambda form, x, kernel: (features(form, x, kernel), (x, kernel)),
        lambda form, of, y: (images(form, y, of[1]), kernel_gradient(form, of[0], y)),
    )
    images.defvjp(
        lambda form, y, kernel: (images(form, y, kernel), (y, kernel)),
        lambda form, of, x: (features(form, x, of[1]), kernel_gradient(form, x, of[0])),
    )
    kernel_gradient.defvjp(
        lambda form, x, y: (kernel_gradient(form, x, y), (x, y)),
        lambda form, of, kernel: (
            images(form, of[1], kernel),
            features(form, of[0], kernel),
        ),
    )
