"""XLA's own convolution, its transpose and the gradient of its kernel.

XLA differentiates the transposed convolution with respect to its kernel by a
convolution whose window is as large as the image, and finds no fast kernel for it on a
GPU: three of those took half of DCGAN's step. It is the gradient of a convolution's
kernel, for which there is one, with images and features in each other's places. So the
derivatives of each of the three are declared to be the other two.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from gans_jax._convolutions.derivatives import declare

LAYOUT = ("NHWC", "HWIO", "NHWC")
"""Of images, kernels and features."""


@dataclasses.dataclass(frozen=True)
class Convolution:
    """Which sum it is."""

    stride: int
    padding: int
    groups: int
    image: tuple[int, ...]
    """Height, width and channels of an image."""
    kernel: tuple[int, ...]
    """Shape of the kernel."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def features(form: Convolution, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of images."""
    return _apart(_convolve(form, x, kernel))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def images(form: Convolution, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution of features."""
    like = jax.ShapeDtypeStruct((y.shape[0], *form.image), y.dtype)
    (x,) = jax.linear_transpose(lambda x: _convolve(form, x, kernel), like)(y)
    return _apart(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_gradient(form: Convolution, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of `features` with respect to its kernel."""
    like = jax.ShapeDtypeStruct(form.kernel, x.dtype)
    (kernel,) = jax.linear_transpose(lambda kernel: _convolve(form, x, kernel), like)(y)
    return _apart(kernel)


def _convolve(form: Convolution, x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        (form.stride, form.stride),
        [(form.padding, form.padding)] * 2,
        dimension_numbers=LAYOUT,
        feature_group_count=form.groups,
    )


def _apart(x: jax.Array) -> jax.Array:
    """The same; on a GPU, XLA may not take a factor behind it into the convolution.

    It would round the factor to float32.
    """
    return lax.optimization_barrier(x) if x.dtype == jnp.float64 else x


declare(features, images, kernel_gradient)
