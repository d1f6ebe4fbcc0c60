"""ADA: affine maps of an image's places and colours, each step with probability p.

Pure functions of images and of what was drawn for each of them: no image looks at
another. All of it is linear in the image, made of products and gathers, and so can be
differentiated twice, as PyTorch's own grid_sample cannot. A box may be cut out of the
image, with a probability of its own. The controller moves p.

References:
    Karras et al. 2020, arXiv:2006.06676, section 3 and appendix B; order and numbers
    are those of the authors' code, stylegan2-ada-pytorch. A departure: they pad all
    images of a batch as far as the one that reaches furthest; here each has its whole
    mirror image on every side, so that none depends on its batch.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Shaped

from gans_jax.shapes import Images
from shared.config.augmentation import INTERVAL, TARGET, adjustment
from shared.config.train_config import TrainConfig
from shared.randomness.ada import COLOURS, GATES, PLACES, SIDE
from shared.resampling import centres, coarser, finer

Maps = Float[Array, "*batch outputs inputs"]
Memory = dict[str, Shaped[Array, ""]]


def augment(images: Images, maps: Float[Array, "batch 21"]) -> Images:
    """T(x): images as ADA's pipe has D see them.

    Args:
        images: in [-1, 1]; of one channel, or of three.
        maps: what `maps_of` makes, for each image.
    """
    places, colours, boxes = jnp.split(maps, [6, 18], axis=1)
    images = warp(images, places.reshape(-1, 2, 3))
    return cutout(recolour(images, colours.reshape(-1, 3, 4)), boxes)


def maps_of(
    records: Float[Array, "*batch fields"], p: float | Float[Array, ""]
) -> Float[Array, "*batch 21"]:
    """What the steps that were drawn amount to, with this probability.

    Args:
        records: rows of `shared.randomness.ada.records`.
        p: probability of each step, from 0 up; from 1 on all are made, but for those
            that the records have at a share of p.

    Returns:
        Two maps [A b] in a row: from a place (x, y) in what D sees to one in the image,
        in pixels from the centre, [2, 3]; and from a colour in the image to one that D
        sees, [3, 4]. Then the box that is cut out, as `cutout` takes it.
    """
    batch = records.shape[:-1]
    ends = np.cumsum([GATES, 6 * PLACES, 12 * COLOURS, 1])
    gates, places, colours, gate, centre = jnp.split(records, ends, axis=-1)
    is_on = gates < p
    place, *later = _gated(places.reshape(*batch, PLACES, 2, 3), is_on[..., :PLACES])
    for step in later:
        place = _composed(place, step)
    colour, *later = _gated(colours.reshape(*batch, COLOURS, 3, 4), is_on[..., PLACES:])
    for step in later:
        colour = _composed(step, colour)
    side = jnp.where(gate < p, SIDE, 0.0).astype(centre.dtype)
    return jnp.concatenate(
        [place.reshape(*batch, 6), colour.reshape(*batch, 12), side, centre], axis=-1
    )


def warp(images: Images, places: Float[Array, "batch 2 3"]) -> Images:
    """Each image, moved, turned and stretched.

    y(q) = x(A q + b), at twice the resolution, between low-pass filters

    Args:
        images: in [-1, 1].
        places: [A b] of each image; (x, y) in pixels from the centre.
    """
    _, height, width, _ = images.shape
    dtype = images.dtype
    images = _along_axes(
        _matrix(finer, height, dtype), _matrix(finer, width, dtype), images
    )
    _, fine_height, fine_width, _ = images.shape
    up, left = _matrix(coarser, height, dtype), _matrix(coarser, width, dtype)
    rows, columns = up.shape[1], left.shape[1]
    # From fine pixels to (x, y) in pixels from the centre, and back.
    y = 0.5 * (jnp.arange(rows, dtype=places.dtype) + (1 - rows / 2))[:, None]
    x = 0.5 * (jnp.arange(columns, dtype=places.dtype) + (1 - columns / 2))[None, :]
    a = places[:, :, :, None, None]
    column = 2 * (a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2]) + (fine_width / 2 - 1)
    row = 2 * (a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2]) + (fine_height / 2 - 1)
    return _along_axes(up, left, bilinear(images, row, column))


def bilinear(
    images: Images,
    row: Float[Array, "batch out_height out_width"],
    column: Float[Array, "batch out_height out_width"],
) -> Float[Array, "batch out_height out_width channels"]:
    """Values at places between pixels, from the four around each; 0 outside.

    Args:
        images: of any values.
        row: of each place, counted in pixels from the first one's centre.
        column: likewise.
    """
    batch, height, width, channels = images.shape
    pixels = images.reshape(batch, -1, channels)
    top, left = jnp.floor(row), jnp.floor(column)
    below, beside = row - top, column - left
    found = []
    for r, high in ((top, 1 - below), (top + 1, below)):
        for c, wide in ((left, 1 - beside), (left + 1, beside)):
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            weight = jnp.where(inside, high * wide, 0.0).reshape(batch, -1, 1)
            # Whole numbers: float32 cannot number the pixels of a very fine image.
            down = jnp.clip(r, 0, height - 1).astype(jnp.int32)
            index = down * width + jnp.clip(c, 0, width - 1).astype(jnp.int32)
            index = index.reshape(batch, -1, 1)
            found.append(weight * jnp.take_along_axis(pixels, index, 1, mode="clip"))
    one, two, three, four = found
    values = one + two + three + four
    return values.reshape(*row.shape, channels)


def recolour(images: Images, colours: Float[Array, "batch 3 4"]) -> Images:
    """Each pixel's colour c as A c + b; of grey images, what becomes of their mean.

    Args:
        images: in [-1, 1]; of one channel, or of three.
        colours: [A b] of each image.
    """
    if images.shape[3] == 1:
        colours = colours.mean(axis=1, keepdims=True)
        factor = colours[:, :, :3].sum(axis=2)
        return images * factor[:, None, None, :] + colours[:, None, None, :, 3]
    linear = colours[:, None, None, :, :3] * images[:, :, :, None, :]
    return linear.sum(axis=4) + colours[:, None, None, :, 3]


def cutout(images: Images, boxes: Float[Array, "batch 3"]) -> Images:
    """Images with a box of zeros each, which may reach beyond them.

    Args:
        images: of any values.
        boxes: side, 0 for none, and x and y of the centre; in sides of the image.
    """
    _, height, width, _ = images.shape
    side, x, y = jnp.split(boxes, 3, axis=1)
    across = jnp.abs(_matrix(centres, width, boxes.dtype) - x) < side / 2
    down = jnp.abs(_matrix(centres, height, boxes.dtype) - y) < side / 2
    is_out = down[:, :, None, None] & across[:, None, :, None]
    return jnp.where(is_out, 0.0, images)


def probability(config: TrainConfig, memory: Memory, dtype: Any) -> Float[Array, ""]:
    """The p of a step, where the controller has brought it.

    Args:
        config: the run's configuration, with ADA.
        memory: of the training state.
        dtype: of what is computed with it.
    """
    return memory["ada.adjustments"].astype(dtype) * adjustment(config.images_per_step)


def adapted(config: TrainConfig, memory: Memory, real_sign: Float[Array, ""]) -> Memory:
    """The controller's memory after a step.

    After every fourth step p goes up by one adjustment where the mean sign of D(T(x))
    over these steps was above 0.6, and down, to 0 at the least, where it was below.

    All is counted in whole numbers: signs, steps, and adjustments, of which p is a
    multiple. So no order of adding up and no precision makes a difference. A departure:
    the authors also count the signs that D gives in R1's own updates.

    Args:
        config: the run's configuration.
        memory: before it.
        real_sign: mean sign of D's output on the step's real images.

    References:
        Karras et al. 2020, arXiv:2006.06676, section 3, r_t.
    """
    images = config.batch_size * config.n_critic
    steps = memory["ada.steps"] + 1
    signs = memory["ada.signs"] + jnp.round(real_sign * images).astype(jnp.int32)
    is_due = steps == INTERVAL
    part, whole = TARGET
    change = jnp.sign(whole * signs - part * INTERVAL * images)
    adjusted = jnp.maximum(memory["ada.adjustments"] + change, 0)
    return {
        "ada.adjustments": jnp.where(is_due, adjusted, memory["ada.adjustments"]),
        "ada.signs": jnp.where(is_due, 0, signs),
        "ada.steps": jnp.where(is_due, 0, steps),
    }


def _gated(
    steps: Float[Array, "*batch steps outputs inputs"],
    is_on: Shaped[Array, "*batch steps"],
) -> list[Array]:
    """Each step, or where it is off the map that changes nothing."""
    nothing = jnp.eye(*steps.shape[-2:], dtype=steps.dtype)
    gated = jnp.where(is_on[..., None, None], steps, nothing)
    return [gated[..., i, :, :] for i in range(steps.shape[-3])]


def _composed(outer: Maps, inner: Maps) -> Maps:
    """[A b] of A (A' q + b') + b."""
    # Sums instead of a product, which TF32 would round: they are places.
    found = (outer[..., :-1, None] * inner[..., None, :, :]).sum(axis=-2)
    shift = found[..., -1:] + outer[..., -1:]
    return jnp.concatenate([found[..., :-1], shift], axis=-1)


def _along_axes(
    down: Float[Array, "rows height"],
    right: Float[Array, "columns width"],
    images: Images,
) -> Float[Array, "batch rows columns channels"]:
    moved = jnp.einsum("rh,bhwc->brwc", down, images)
    return jnp.einsum("sw,brwc->brsc", right, moved)


def _matrix(make: Any, size: int, dtype: jnp.dtype) -> Float[Array, "..."]:
    return jnp.asarray(make(size), dtype)
