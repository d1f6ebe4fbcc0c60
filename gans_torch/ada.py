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

import functools
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from gans_torch.shapes import Images
from shared.config.augmentation import INTERVAL, TARGET, adjustment
from shared.config.train_config import TrainConfig
from shared.randomness.ada import COLOURS, GATES, PLACES, SIDE
from shared.resampling import centres, coarser, finer

Maps = Float[Tensor, "*batch outputs inputs"]
Memory = dict[str, Shaped[Tensor, ""]]


def augment(images: Images, maps: Float[Tensor, "batch 21"]) -> Images:
    """T(x): images as ADA's pipe has D see them.

    Args:
        images: in [-1, 1]; of one channel, or of three.
        maps: what `maps_of` makes, for each image.
    """
    places, colours, boxes = maps.split([6, 12, 3], dim=1)
    # Not in bfloat16, which the networks may compute in.
    with torch.autocast(images.device.type, enabled=False):
        images = warp(images, places.unflatten(1, (2, 3)))
        return cutout(recolour(images, colours.unflatten(1, (3, 4))), boxes)


def maps_of(
    records: Float[Tensor, "*batch fields"], p: float | Float[Tensor, ""]
) -> Float[Tensor, "*batch 21"]:
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
    parts = [GATES, 6 * PLACES, 12 * COLOURS, 1, 2]
    gates, places, colours, gate, centre = records.split(parts, dim=-1)
    is_on = gates < p
    place, *later = _gated(places.unflatten(-1, (PLACES, 2, 3)), is_on[..., :PLACES])
    for step in later:
        place = _composed(place, step)
    colour, *later = _gated(colours.unflatten(-1, (COLOURS, 3, 4)), is_on[..., PLACES:])
    for step in later:
        colour = _composed(step, colour)
    side = torch.where(gate < p, SIDE, 0.0).to(centre)
    return torch.cat([place.flatten(-2), colour.flatten(-2), side, centre], dim=-1)


def warp(images: Images, places: Float[Tensor, "batch 2 3"]) -> Images:
    """Each image, moved, turned and stretched.

    y(q) = x(A q + b), at twice the resolution, between low-pass filters

    Args:
        images: in [-1, 1].
        places: [A b] of each image; (x, y) in pixels from the centre.
    """
    height, width = images.shape[2:]
    kind = (images.dtype, images.device)
    images = _matrix(finer, height, *kind) @ images @ _matrix(finer, width, *kind).T
    fine_height, fine_width = images.shape[2:]
    up, left = _matrix(coarser, height, *kind), _matrix(coarser, width, *kind)
    rows, columns = up.shape[1], left.shape[1]
    # From fine pixels to (x, y) in pixels from the centre, and back.
    dtype, device = places.dtype, places.device
    down = torch.arange(rows, dtype=dtype, device=device)[:, None]
    right = torch.arange(columns, dtype=dtype, device=device)[None, :]
    y, x = 0.5 * (down + (1 - rows / 2)), 0.5 * (right + (1 - columns / 2))
    a = places[:, :, :, None, None]
    column = 2 * (a[:, 0, 0] * x + a[:, 0, 1] * y + a[:, 0, 2]) + (fine_width / 2 - 1)
    row = 2 * (a[:, 1, 0] * x + a[:, 1, 1] * y + a[:, 1, 2]) + (fine_height / 2 - 1)
    return up @ bilinear(images, row, column) @ left.T


def bilinear(
    images: Images,
    row: Float[Tensor, "batch out_height out_width"],
    column: Float[Tensor, "batch out_height out_width"],
) -> Float[Tensor, "batch channels out_height out_width"]:
    """Values at places between pixels, from the four around each; 0 outside.

    Args:
        images: of any values.
        row: of each place, counted in pixels from the first one's centre.
        column: likewise.
    """
    height, width = images.shape[2:]
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    top, left = row.floor(), column.floor()
    below, beside = row - top, column - left
    found = []
    for r, high in ((top, 1 - below), (top + 1, below)):
        for c, wide in ((left, 1 - beside), (left + 1, beside)):
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            weight = torch.where(inside, high * wide, 0.0).flatten(1)[:, :, None]
            # Whole numbers: float32 cannot number the pixels of a very fine image.
            pixel = r.clamp(0, height - 1).long() * width + c.clamp(0, width - 1).long()
            index = pixel.flatten(1)[:, :, None].expand(-1, -1, images.shape[1])
            found.append(weight * pixels.gather(1, index))
    one, two, three, four = found
    values = one + two + three + four
    return values.unflatten(1, row.shape[1:]).permute(0, 3, 1, 2)


def recolour(images: Images, colours: Float[Tensor, "batch 3 4"]) -> Images:
    """Each pixel's colour c as A c + b; of grey images, what becomes of their mean.

    Args:
        images: in [-1, 1]; of one channel, or of three.
        colours: [A b] of each image.
    """
    if images.shape[1] == 1:
        colours = colours.mean(dim=1, keepdim=True)
        factor = colours[:, :, :3].sum(dim=2)
        return images * factor[:, :, None, None] + colours[:, :, 3, None, None]
    linear = colours[:, :, :3, None, None] * images[:, None]
    return linear.sum(dim=2) + colours[:, :, 3, None, None]


def cutout(images: Images, boxes: Float[Tensor, "batch 3"]) -> Images:
    """Images with a box of zeros each, which may reach beyond them.

    Args:
        images: of any values.
        boxes: side, 0 for none, and x and y of the centre; in sides of the image.
    """
    height, width = images.shape[2:]
    kind = (boxes.dtype, boxes.device)
    side, x, y = boxes.split(1, dim=1)
    across = (_matrix(centres, width, *kind) - x).abs() < side / 2
    down = (_matrix(centres, height, *kind) - y).abs() < side / 2
    is_out = down[:, None, :, None] & across[:, None, None, :]
    return torch.where(is_out, 0.0, images)


def probability(config: TrainConfig, memory: Memory, dtype: Any) -> Float[Tensor, ""]:
    """The p of a step, where the controller has brought it.

    Args:
        config: the run's configuration, with ADA.
        memory: of the training state.
        dtype: of what is computed with it.
    """
    return memory["ada.adjustments"].to(dtype) * adjustment(config.images_per_step)


def adapted(
    config: TrainConfig, memory: Memory, real_sign: Float[Tensor, ""]
) -> Memory:
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
    signs = memory["ada.signs"] + torch.round(real_sign * images).long()
    is_due = steps == INTERVAL
    part, whole = TARGET
    change = torch.sign(whole * signs - part * INTERVAL * images)
    adjusted = (memory["ada.adjustments"] + change).clamp(min=0)
    return {
        "ada.adjustments": torch.where(is_due, adjusted, memory["ada.adjustments"]),
        "ada.signs": torch.where(is_due, 0, signs),
        "ada.steps": torch.where(is_due, 0, steps),
    }


def _gated(
    steps: Float[Tensor, "*batch steps outputs inputs"],
    is_on: Shaped[Tensor, "*batch steps"],
) -> tuple[Tensor, ...]:
    """Each step, or where it is off the map that changes nothing."""
    nothing = torch.eye(*steps.shape[-2:], dtype=steps.dtype, device=steps.device)
    return torch.where(is_on[..., None, None], steps, nothing).unbind(dim=-3)


def _composed(outer: Maps, inner: Maps) -> Maps:
    """[A b] of A (A' q + b') + b."""
    # Sums instead of a product, which TF32 would round: they are places.
    found = (outer[..., :-1, None] * inner[..., None, :, :]).sum(dim=-2)
    shift = found[..., -1:] + outer[..., -1:]
    return torch.cat([found[..., :-1], shift], dim=-1)


@functools.cache
def _matrix(
    make: Any, size: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "..."]:
    """Sent once: a recorded step cannot wait for the host."""
    # What is made in inference mode could not be trained through later.
    with torch.inference_mode(False):
        return torch.as_tensor(make(size), dtype=dtype, device=device)
