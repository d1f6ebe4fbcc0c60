"""The two convolutions, in XLA's form or as matrix products; see this room's page.

A convolution, its transpose and the gradient of its kernel are the derivatives of one
sum over products of a pixel, a weight and a feature. So the derivatives of each are the
other two, and declaring that makes derivatives of every order as fast as the first.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax import lax

from gans_jax._convolutions import xlas
from gans_jax._convolutions.derivatives import declare
from gans_jax._convolutions.patches import Patches
from gans_jax._convolutions.shifts import Shifts
from gans_jax._convolutions.winograd import Winograd

# Bytes of matrices that are made at a time.
_CACHE = 8 * 2**20

# Channels of an image, in which a convolution that keeps its size mostly copies.
_FEW = 4
# Channels from which the gradient of such a kernel is faster in Winograd's form too.
_MANY = 128

_Form = Patches | Winograd

_in_xlas_form = contextvars.ContextVar("in_xlas_form", default=False)


@contextlib.contextmanager
def in_xlas_form() -> Iterator[None]:
    """Have XLA's own form of what is traced inside, for other devices than this one's.

    The others are for the CPU, and for a batch whose length is known. What is traced
    inside must be a function of its own: JAX keeps what it has traced before.
    """
    token = _in_xlas_form.set(True)
    try:
        yield
    finally:
        _in_xlas_form.reset(token)


def conv(
    x: jax.Array, kernel: jax.Array, *, stride: int, padding: int, groups: int = 1
) -> jax.Array:
    """Convolve as `torch.nn.functional.conv2d` does, in NHWC.

    Args:
        x: images, `[N, H, W, C]`.
        kernel: `[h, w, C, O]`: PyTorch's `weight.transpose(2, 3, 1, 0)`.
        stride: step between neighbouring patches, in both directions.
        padding: zeros added on every side of the images.
        groups: parts of the channels, each convolved by itself; the kernel then has
            the channels of one, `[h, w, C / groups, O]`.

    Returns:
        `[N, H', W', O]` with `H' = (H + 2 * padding - h) // stride + 1`, in the
        precision of the images.
    """
    kernel = kernel.astype(x.dtype)
    size, width = kernel.shape[:2]
    if size != width:
        covers = padding == 0 and x.shape[1:3] == (size, width)
        if covers and groups == 1 and _is_here():
            y = x.reshape(len(x), -1) @ kernel.reshape(-1, kernel.shape[3])
            return y[:, None, None]
        return _xlas_own(x, kernel, stride, padding, groups)
    if groups > 1 and _keeps_size(size, stride, padding):
        parts = (_stack(x, groups), _stack(kernel, groups))
        stacked = lax.map(lambda of: _same(*of), parts)
        return jnp.moveaxis(stacked, 0, 3).reshape(*x.shape[:3], -1)
    if size > 1 and _keeps_size(size, stride, padding):
        return _same(x, kernel)
    if groups == 1 and (extra := _missing(size, stride)):
        kernel, x = _longer(kernel, (0, 1), extra), _longer(x, (1, 2), extra)
        return conv(x, kernel, stride=stride, padding=padding)
    if groups > 1 or not _as_matmul(size, padding):
        return _xlas_own(x, kernel, stride, padding, groups)
    return _features(_form(kernel, stride, padding, x.shape[1], x.shape[2]), x, kernel)


def conv_transpose(
    x: jax.Array, kernel: jax.Array, *, stride: int, padding: int
) -> jax.Array:
    """Convolve as `torch.nn.functional.conv_transpose2d` does, in NHWC.

    Args:
        x: images, `[N, H, W, C]`.
        kernel: `[h, w, O, C]`: PyTorch's `weight.transpose(2, 3, 1, 0)`, not flipped.
        stride: step between the places where neighbouring pixels are written.
        padding: pixels cut from every side of the result.

    Returns:
        `[N, H', W', O]` with `H' = (H - 1) * stride + h - 2 * padding`, in the
        precision of the images.
    """
    kernel = kernel.astype(x.dtype)
    size, width = kernel.shape[:2]
    if size != width:
        if padding == 0 and x.shape[1:3] == (1, 1) and _is_here():
            y = x[:, 0, 0] @ kernel.reshape(-1, kernel.shape[3]).T
            return y.reshape(-1, *kernel.shape[:3])
        return _xlas_own_transposed(x, kernel, stride, padding)
    if size > 1 and _keeps_size(size, stride, padding):
        return _same(x, _turned(kernel))
    if extra := _missing(size, stride):
        kernel = _longer(kernel, (0, 1), extra)
        y = conv_transpose(x, kernel, stride=stride, padding=padding)
        return y[:, :-extra, :-extra]
    if not _as_matmul(size, padding):
        return _xlas_own_transposed(x, kernel, stride, padding)
    height, width = (_edge(n, size, stride, padding) for n in x.shape[1:3])
    return _images(_form(kernel, stride, padding, height, width), x, kernel)


def _xlas_own(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, groups: int
) -> jax.Array:
    form = xlas.Convolution(stride, padding, groups, x.shape[1:], kernel.shape)
    return xlas.features(form, x, kernel)


def _xlas_own_transposed(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int
) -> jax.Array:
    sides = zip(x.shape[1:3], kernel.shape[:2], strict=True)
    edges = (_edge(n, size, stride, padding) for n, size in sides)
    image = (*edges, kernel.shape[2])
    form = xlas.Convolution(stride, padding, 1, image, kernel.shape)
    return xlas.images(form, x, kernel)


def _edge(features: int, size: int, stride: int, padding: int) -> int:
    """Height or width of the image that a transposed convolution makes."""
    return (features - 1) * stride + size - 2 * padding


def _missing(size: int, stride: int) -> int:
    """Zeros that a kernel lacks to be tiled by blocks of `stride` pixels, of use here.

    A stride of two and a kernel of three make XLA's transposed form slow, as any other.
    """
    return -size % stride if _is_here() else 0


def _longer(x: jax.Array, axes: tuple[int, ...], extra: int) -> jax.Array:
    """With so many zeros at the end of these axes."""
    return jnp.pad(x, [(0, extra if axis in axes else 0) for axis in range(x.ndim)])


def _keeps_size(size: int, stride: int, padding: int) -> bool:
    """Whether images keep their size, on this CPU.

    Of nine patches for each pixel, most of the time goes into copying them: XLA takes
    half as long. It is the gradients that it is slow in.
    """
    return stride == 1 and size == 2 * padding + 1 and _is_here()


def _as_matmul(size: int, padding: int) -> bool:
    """Whether the matrix product is both possible and the faster form.

    The device is asked for in Python, while tracing, so only one form is ever traced,
    differentiated and compiled.
    """
    # A padding wider than the kernel's reach would ask the transposed form to cut more
    # than it has written.
    return padding < size and _is_here()


def _is_here() -> bool:
    """Whether it is this CPU that will compute, and not what an export goes to."""
    return _platform() == "cpu" and not _in_xlas_form.get()


def _platform() -> str:
    """What the computation is traced for: the default device, if one has been set."""
    # A checker does not see the settings, which JAX defines as it is imported.
    device = getattr(jax.config, "jax_default_device", None)
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def _form(
    kernel: jax.Array, stride: int, padding: int, height: int, width: int
) -> _Form:
    if form := _winograd(kernel, stride, padding, height, width):
        return form
    size = len(kernel)
    rows, columns = _features_of(size, stride, padding, height, width)
    if rows == columns == 1:
        stride = size  # A single patch takes no step: it is one block.
    return Patches(size, stride, padding, height, width, rows, columns)


def _winograd(
    kernel: jax.Array | jax.ShapeDtypeStruct,
    stride: int,
    padding: int,
    height: int,
    width: int,
) -> Winograd | None:
    """This form, where it is possible and pays."""
    size, _, channels, features = kernel.shape
    rows, columns = _features_of(size, stride, padding, height, width)
    if not Winograd.suits(size, stride, rows, columns) or not _can_spare(kernel):
        return None
    taps = size // stride
    form = Winograd(taps, stride, padding, height, width, rows // 2, columns // 2)
    return form if winograd_pays(form, channels, features) else None


def _features_of(
    size: int, stride: int, padding: int, height: int, width: int
) -> tuple[int, int]:
    """Height and width of the features."""
    rows, columns = (
        (length + 2 * padding - size) // stride + 1 for length in (height, width)
    )
    return rows, columns


def _can_spare(x: jax.Array | jax.ShapeDtypeStruct) -> bool:
    """Whether there are digits to spare for sums of few terms; bfloat16 has none."""
    return x.dtype != jnp.bfloat16


def winograd_pays(form: Winograd, channels: int, features: int) -> bool:
    """Whether so few products are faster than all.

    Of few channels, the sums take longer than the products that they save; and where
    these are small, compiling them costs two seconds and nothing is gained.
    """
    of_image = form.rows * form.columns * form.stride**2 * channels * features
    return min(channels, features) >= 64 and of_image >= 2**18


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _features(form: _Form, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of images."""
    matrices = form.of_kernel(kernel)

    def of_part(x: jax.Array) -> jax.Array:
        # Of matrices, on which XLA's product is fastest: one pair, or a stack of them.
        return form.to_features(form.of_images(x) @ matrices)

    return _map(of_part, _split(form, x, *kernel.shape[2:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _images(form: _Form, y: jax.Array, kernel: jax.Array) -> jax.Array:
    """The transposed convolution of features."""
    matrices = form.of_kernel(kernel)

    def of_part(y: jax.Array) -> jax.Array:
        return form.to_images(form.of_features(y) @ jnp.swapaxes(matrices, -2, -1))

    return _map(of_part, _split(form, y, *kernel.shape[2:]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(form: _Form | Shifts, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of `_features` with respect to its kernel."""
    channels, features = x.shape[3], y.shape[3]
    xs, ys = (_split(form, of, channels, features) for of in (x, y))
    # Parts are added up in no less than float32.
    dtype = jnp.promote_types(x.dtype, jnp.float32)

    def of_part(i: int | jax.Array) -> jax.Array:
        # XLA's product that sums over the first axes of both operands is slow. So one
        # is turned beforehand; the barriers keep XLA from undoing that, and from
        # computing it while it is being turned.
        of_images = lax.optimization_barrier(form.of_images(_part(xs, i)))
        turned = lax.optimization_barrier(jnp.swapaxes(of_images, -2, -1))
        of_features = form.of_features(_part(ys, i))
        product = jnp.matmul(turned, of_features, preferred_element_type=dtype)
        return lax.optimization_barrier(product)

    def add_part(i: int | jax.Array, total: jax.Array) -> jax.Array:
        return total + of_part(i)

    total = lax.fori_loop(1, len(xs), add_part, of_part(0))
    return form.to_kernel(total).astype(x.dtype)


declare(_features, _images, _kernel_gradient)


@jax.custom_vjp
def _same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The convolution of images that keeps their size."""
    size, _, _, features = kernel.shape
    _, height, width, _ = x.shape
    if features <= _FEW and _can_spare(kernel):
        # Their sums are small, and XLA's own form takes as long for them as for many.
        form = Patches(size, 1, size // 2, height, width, height, width)
        return _images(form, x, _turned(kernel))
    if form := _winograd(kernel, 1, size // 2, height, width):
        return _features(form, x, kernel)
    pads = [(kernel.shape[0] // 2,) * 2] * 2
    return lax.conv_general_dilated(
        x, kernel, (1, 1), pads, dimension_numbers=xlas.LAYOUT
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _same_gradient(size: int, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of `_same` with respect to its kernel."""
    _, height, width, channels = x.shape
    features = y.shape[3]
    kernel = jax.ShapeDtypeStruct((size, size, channels, features), x.dtype)
    if min(channels, features) >= _MANY and (
        form := _winograd(kernel, 1, size // 2, height, width)
    ):
        return _kernel_gradient(form, x, y)
    form = Shifts.fewest(size, height, width, channels, features)
    return _kernel_gradient(form, x, y)


def _turned(kernel: jax.Array) -> jax.Array:
    """The kernel with which `_same` is its own gradient with respect to images."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


_same.defvjp(
    lambda x, kernel: (_same(x, kernel), (x, kernel)),
    lambda of, y: (_same(y, _turned(of[1])), _same_gradient(len(of[1]), of[0], y)),
)
_same_gradient.defvjp(
    lambda size, x, y: (_same_gradient(size, x, y), (x, y)),
    lambda size, of, kernel: (_same(of[1], _turned(kernel)), _same(of[0], kernel)),
)


def _stack(x: jax.Array, groups: int) -> jax.Array:
    """The parts of the last axis, one after the other: `[groups, ...]`."""
    return jnp.moveaxis(x.reshape(*x.shape[:-1], groups, -1), -2, 0)


def _split(
    form: _Form | Shifts, x: jax.Array, channels: int, features: int
) -> jax.Array:
    """A batch in equal parts, `[parts, N / parts, ...]`.

    Args:
        form: of the convolution.
        x: images or features.
        channels: of the images.
        features: channels of the features.
    """
    n, itemsize = len(x), x.dtype.itemsize
    of_image, of_kernel = form.sizes(channels, features)
    # Every part passes over the whole kernel, so it is at least as large as that.
    cache = _CACHE * (2 if isinstance(form, Winograd) and form.taps == 3 else 1)
    needed = n * of_image * itemsize / max(cache, of_kernel * itemsize)
    parts = (k for k in range(1, n) if n % k == 0 and k >= needed)
    return x.reshape(next(parts, n), -1, *x.shape[1:])


def _map(function: Callable[[jax.Array], jax.Array], xs: jax.Array) -> jax.Array:
    """A function of every part, put together: as `lax.map`, in less memory."""
    if len(xs) == 1:
        return function(xs[0])
    shape = jax.eval_shape(function, xs[0]).shape
    # Filled with any number that comes out of `xs`. Zeros, as in `lax.map`, depend on
    # nothing: XLA would set the results of all convolutions aside when the program
    # starts, and a step of WGAN-GP would take twice the memory.
    out = jnp.broadcast_to(xs[(0,) * xs.ndim], (len(xs), *shape))

    def step(i: jax.Array, out: jax.Array) -> jax.Array:
        return lax.dynamic_update_index_in_dim(out, function(_part(xs, i)), i, 0)

    return lax.fori_loop(0, len(xs), step, out).reshape(-1, *shape[1:])


def _part(xs: jax.Array, i: int | jax.Array) -> jax.Array:
    return lax.dynamic_index_in_dim(xs, i, keepdims=False)
