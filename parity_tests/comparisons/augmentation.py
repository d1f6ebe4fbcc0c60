"""Augmentation: each transformation, their compositions, and slopes through them."""

import functools
import itertools
import math
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

import gans_jax
import gans_jax.ada
import gans_jax.augmentation
import gans_jax.penalties
import gans_torch
import gans_torch.ada
import gans_torch.augmentation
import gans_torch.penalties
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness import oracle
from parity_tests.harness.jax_side import jax_gradients
from parity_tests.harness.tasks import normal, probe, to_nchw, to_nhwc
from parity_tests.harness.torch_side import torch_gradients
from shared.config.augmentation import ADA, PIPES, POLICIES
from shared.randomness import ada
from shared.randomness.augmentation import Record, box_side, largest_shift

Array = NDArray[Any]

# Even and odd, in colour and grey, of different height and width; NCHW.
_SHAPES = ((3, 8, 12), (1, 9, 7))

# What each transformation takes of a record.
_ARGUMENTS = {
    "brightness": ("brightness",),
    "saturation": ("saturation",),
    "contrast": ("contrast",),
    "translation": ("rows", "columns"),
    "cutout": ("box_row", "box_column"),
}

# What of a record does nothing.
_NEUTRAL = {"brightness": 0.0, "saturation": 1.0, "contrast": 1.0}

_ORDERS = tuple(
    order for length in (1, 2, 3) for order in itertools.permutations(POLICIES, length)
)


_ADA: dict[ModuleType, Any] = {
    gans_torch: gans_torch.ada.augment,
    gans_jax: jax.jit(gans_jax.ada.augment),
}


def _images(shape: tuple[int, int, int]) -> Array:
    return normal(6, *shape).astype(np.float64)


def _records(shape: tuple[int, int, int]) -> Array:
    """Both ends of what is drawn, and what is between them."""
    _, height, width = shape
    down, right = largest_shift(height), largest_shift(width)
    last = (height - box_side(height) % 2, width - box_side(width) % 2)
    records = (
        Record(-0.5, 0.0, 0.5, -down, -right, 0, 0),
        Record(0.5, 2.0, 1.5, down, right, *last),
        Record(-0.25, 1.25, 1.0, -down, right, 0, last[1]),
        Record(0.375, 0.5, 0.75, down, -right, last[0], 0),
        Record(0.125, 1.5, 1.25, 0, 1, height // 2, 2),
        Record(-0.375, 0.75, 0.875, 1, 0, 3, width // 2),
    )
    return np.array(records, np.float64)


def ada_records(shape: tuple[int, int, int]) -> Array:
    """Records of ADA, of such images as many as there are of the others."""
    channels, height, width = shape
    random, pipe = np.random.default_rng(height), PIPES["ada:r3gan"]
    unit, bell = random.random((6, ada.GATES + 8)), random.standard_normal((6, 7))
    unit = np.concatenate([unit, random.random((6, ada.CUTOUT))], axis=1)
    image = (height, width, channels)
    return ada.records(image, unit, bell, pipe).astype(np.float64)


def _rows(what: Any, shape: tuple[int, int, int]) -> Array:
    """What `_transform` takes of each image."""
    if what != ADA:
        return _records(shape)
    # All that there is; hardly anything; and what is between them.
    chances = (1.0, 1.0, 0.1, 0.3, 0.5, 0.7)
    pairs = zip(ada_records(shape), chances, strict=True)
    maps = np.stack([oracle.ada_maps(record, p) for record, p in pairs])
    # And what no steps lead to: colours of which each channel is changed otherwise.
    return maps + normal(*maps.shape, std=0.05, mean=0.0).astype(np.float64)


def _transform(twin: ModuleType, what: Any, images: Any, records: Any) -> Any:
    """What is named, or the policies that are listed, in either twin."""
    if what == ADA:
        # In one piece, as it takes JAX long to compile it piece by piece.
        return _ADA[twin](images, records)
    if isinstance(what, tuple):
        return twin.augmentation.augment(what, images, records)
    fields = [Record._fields.index(name) for name in _ARGUMENTS[what]]
    return getattr(twin.augmentation, what)(images, *(records[:, i] for i in fields))


def _expected(what: Any, images: Array, records: Array) -> Array:
    """The same by the oracle; images [batch, ..., channels, height, width]."""
    return np.stack(
        [
            _expected_one(what, image, record)
            for image, record in zip(images, records, strict=True)
        ]
    )


def _expected_one(what: Any, image: Array, numbers: Array) -> Array:
    if what == ADA:
        return oracle.ada(image, numbers)
    record = Record(*numbers)
    if isinstance(what, tuple):
        for policy in what:
            image = getattr(oracle, policy)(image, record)
        return image
    if what not in _NEUTRAL:
        return getattr(oracle, what)(image, record)
    return oracle.color(
        image, record._replace(**{k: v for k, v in _NEUTRAL.items() if k != what})
    )


def _run(twin: str, what: Any, shape: tuple[int, int, int], dtype: str) -> list[Array]:
    """Images, transformed; and the gradient of their weighted sum."""
    images, records = _images(shape), _rows(what, shape)
    weights = probe(images.shape).astype(np.float64)
    if twin == "torch":

        def total(images: Any, records: Any, weights: Any) -> Any:
            return (_transform(gans_torch, what, images, records) * weights).sum()

        found = torch_gradients(
            total, images, records=records, weights=weights, dtype=dtype
        )
        tensors = (torch.from_numpy(x.astype(dtype)) for x in (images, records))
        return [_transform(gans_torch, what, *tensors).numpy(), found.gradients[0]]

    def total(images: Any, records: Any, weights: Any) -> Any:
        return (_transform(gans_jax, what, images, records) * weights).sum()

    images, weights = to_nhwc(images), to_nhwc(weights)
    found = jax_gradients(total, images, records=records, weights=weights, dtype=dtype)
    with jax.enable_x64(dtype == "float64"):
        arrays = (jnp.asarray(x, dtype) for x in (images, records))
        value = np.asarray(_transform(gans_jax, what, *arrays))
    return [to_nchw(value), to_nchw(found.gradients[0])]


def _oracle(what: Any, shape: tuple[int, int, int]) -> list[Array]:
    images, records = _images(shape), _rows(what, shape)
    value = _expected(what, images, records)
    weights = probe(images.shape).reshape(len(images), -1)
    gradient = np.einsum("nij,ni->nj", _matrices(what, records, shape), weights)
    return [value, gradient.reshape(images.shape)]


def _matrices(what: Any, records: Array, shape: tuple[int, int, int]) -> Array:
    """Each record's linear part: what becomes of images with a single 1."""
    ones = np.eye(math.prod(shape)).reshape(-1, *shape)
    origin = np.zeros((1, *shape))
    return np.stack(
        [
            (_expected_one(what, ones, record) - _expected_one(what, origin, record))
            .reshape(len(ones), -1)
            .T
            for record in records
        ]
    )


def _compare(named: tuple[Any, ...]) -> list[Finding]:
    worst = Worst()
    for what, shape in itertools.product(named, _SHAPES):
        case = f"{what}, {shape}"
        run = functools.partial(_run, what=what, shape=shape)
        torch64, jax64 = (run(twin, dtype="float64") for twin in ("torch", "jax"))
        pairs = {
            "": (torch64, jax64, "float64"),
            ", PyTorch to formula": (torch64, _oracle(what, shape), "float64"),
            ", PyTorch float32 to float64": (
                run("torch", dtype="float32"),
                torch64,
                "float32",
            ),
        }
        # ADA takes JAX seconds to compile: once in float32, in colour.
        if what != ADA or shape == _SHAPES[0]:
            found = run("jax", dtype="float32")
            pairs[", JAX float32 to float64"] = (found, jax64, "float32")
        for aspect, (first, second, precision) in pairs.items():
            for i, of in enumerate(("value", "gradient")):
                worst.compare(
                    of + aspect, first[i], second[i], f"augmentation, {precision}", case
                )
    return worst.findings()


for _name in _ARGUMENTS:
    check(f"augmentation/{_name}", "augmentation", (f"augmentation.{_name}",))(
        functools.partial(_compare, (_name,))
    )
check("augmentation/policies", "augmentation", ("augmentation.augment",))(
    functools.partial(_compare, _ORDERS)
)


check(
    "augmentation/ada",
    "augmentation",
    ("ada.augment", "ada.bilinear", "ada.cutout", "ada.recolour", "ada.warp"),
)(functools.partial(_compare, (ADA,)))


@check("augmentation/mirror", "augmentation", ("augmentation.mirror",))
def _mirror() -> list[Finding]:
    """Exactly the images that are named, left to right."""
    worst = Worst()
    images, mirrored = _images(_SHAPES[0]), np.array([True, False] * 3)
    expected = np.where(mirrored[:, None, None, None], images[..., ::-1], images)
    tensors = torch.from_numpy(images), torch.from_numpy(mirrored)
    found = gans_torch.augmentation.mirror(*tensors).numpy()
    worst.compare("value, PyTorch to formula", found, expected, "exact", "3 of 6")
    with jax.enable_x64(True):
        arrays = jnp.asarray(to_nhwc(images)), jnp.asarray(mirrored)
        found = to_nchw(np.asarray(gans_jax.augmentation.mirror(*arrays)))
    worst.compare("value, JAX to formula", found, expected, "exact", "3 of 6")
    return worst.findings()


@check("augmentation/each image by itself", "augmentation", ("augmentation.augment",))
def _alone() -> list[Finding]:
    """A batch is augmented as its images are, one by one: it may be split."""
    worst = Worst()
    shape = _SHAPES[0]
    images, records = _images(shape), _records(shape)
    with jax.enable_x64(True):
        for twin, as_array in (
            (gans_torch, torch.from_numpy),
            (gans_jax, lambda x: jnp.asarray(to_nhwc(x))),
        ):
            given = [as_array(x) for x in (images, records)]
            whole, *alone = (
                np.asarray(_transform(twin, POLICIES, *(x[rows] for x in given)))
                for rows in (slice(0, 6), *(slice(i, i + 1) for i in range(6)))
            )
            worst.compare(
                f"value, {twin.__name__}",
                whole,
                np.concatenate(alone),
                "augmentation, float64",
                "six images",
            )
    return worst.findings()


@check("augmentation/slope", "augmentation", ("augmentation.augment", "ada.augment"))
def _slope() -> list[Finding]:
    """R1 through the policies, at the images before them: value and second order.

    Of D(y) = sum a y^2 / 2 + sum w y the slope at x is A'(a T(x) + w), A the linear
    part of T.
    """
    worst = Worst()
    orders = (*((policy,) for policy in POLICIES), POLICIES, POLICIES[::-1])
    cases = [*itertools.product(orders, _SHAPES), (ADA, _SHAPES[1])]
    for order, shape in cases:
        images, records = _images(shape), _rows(order, shape)
        w, a = (normal(*shape, mean=m).astype(np.float64) for m in (0.1, 0.5))
        matrices = _matrices(order, records, shape)
        seen = _expected(order, images, records)

        def penalty(
            w: Array, a: Array, matrices: Array = matrices, seen: Array = seen
        ) -> Any:
            outer = (a * seen + w).reshape(len(seen), -1)
            slopes = np.einsum("nij,ni->nj", matrices, outer)
            return np.mean(np.sum(slopes * slopes, axis=1))

        expected = [penalty(w, a), *oracle.gradient(penalty, w, a)]
        found = {
            twin: _slope_of(twin, order, w, a, images, records)
            for twin in ("torch", "jax")
        }
        for twin, numbers in found.items():
            for i, aspect in enumerate(("value", "second order", "second order")):
                worst.compare(
                    f"{aspect}, {twin} to formula",
                    numbers[i],
                    expected[i],
                    "augmentation, float64",
                    f"{order}, {shape}",
                )
    return worst.findings()


def _slope_of(twin: str, order: Any, *arrays: Array) -> list[Array]:
    """R1, and its gradient with respect to the critic's w and a."""
    module = gans_torch if twin == "torch" else gans_jax
    if twin == "jax":
        arrays = tuple(
            to_nhwc(x) if x.ndim == 4 else x.transpose(1, 2, 0) if x.ndim == 3 else x
            for x in arrays
        )
    *leaves, images, records = arrays

    def penalty(w: Any, a: Any, images: Any, records: Any) -> Any:
        def score(images: Any) -> Any:
            seen = _transform(module, order, images, records)
            return (seen * seen * a[None] / 2 + seen * w[None]).sum((1, 2, 3))

        return module.penalties.r1_penalty(score, images).penalty

    differentiate = torch_gradients if twin == "torch" else jax_gradients
    found = differentiate(penalty, *leaves, images=images, records=records)
    gradients = found.gradients
    if twin == "jax":
        gradients = tuple(x.transpose(2, 0, 1) for x in gradients)
    return [found.value, *gradients]
