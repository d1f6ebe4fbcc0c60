"""Mutants of ADA: its maps, its pipe, its controller, and what is remembered."""

from gans_jax import ada as jax_ada
from gans_jax import arrays as jax_arrays
from gans_torch import ada as torch_ada
from gans_torch import arrays as torch_arrays
from gans_torch import steps as torch_steps
from gans_torch import terms as torch_terms
from parity_tests.mutants.mutation import mutant

MUTANTS = (
    # Maps.
    mutant(
        "steps of places forth, not back",
        "where a pixel goes is taken for where it comes from",
        torch_ada.maps_of,
        {"_composed(place, step)": "_composed(step, place)"},
        "ada/maps",
    ),
    mutant(
        "shifts that are not turned along",
        "b of the inner map passes the outer one",
        jax_ada._composed,
        {
            "shift = found[..., -1:]": (
                "shift = jnp.broadcast_to(inner, found.shape)[..., -1:]"
            )
        },
        "ada/maps",
    ),
    mutant(
        "every step made",
        "the probability is forgotten",
        jax_ada._gated,
        {"jnp.where(is_on[..., None, None], steps, nothing)": "steps"},
        "ada/maps",
    ),
    # The pipe.
    mutant(
        "half a pixel off",
        "the centre of an image is taken for a pixel's",
        torch_ada.warp,
        {"(fine_width / 2 - 1)": "(fine_width / 2 - 0.5)"},
        "augmentation/ada",
    ),
    mutant(
        "x for y",
        "rows and columns exchanged: an image as high as wide would hardly tell",
        torch_ada.warp,
        {"bilinear(images, row, column)": "bilinear(images, column, row)"},
        "augmentation/ada",
    ),
    mutant(
        "the nearest pixel",
        "no gradient of a place would tell, as none is asked for",
        torch_ada.bilinear,
        {
            "below, beside = row - top, column - left": (
                "below, beside = 0 * top, 0 * left"
            )
        },
        "augmentation/ada",
    ),
    mutant(
        "edges drawn out",
        "clamped indices alone, without zeros beyond the mirror images",
        torch_ada.bilinear,
        {"torch.where(inside, high * wide, 0.0)": "(high * wide)"},
        "augmentation/ada",
    ),
    mutant(
        "colours transposed",
        "the map is applied from the other side",
        torch_ada.recolour,
        {"colours[:, :, :3, None, None]": "colours[:, :, :3].mT[:, :, :, None, None]"},
        "augmentation/ada",
    ),
    mutant(
        "grey images changed as red ones are",
        "the first row, where it should be the mean of three",
        torch_ada.recolour,
        {"colours.mean(dim=1, keepdim=True)": "colours[:, :1]"},
        "augmentation/ada",
    ),
    mutant(
        "a box of the image's full size",
        "its side for half its side",
        torch_ada.cutout,
        {"- y).abs() < side / 2": "- y).abs() < side"},
        "augmentation/ada",
    ),
    mutant(
        "a grey box",
        "what is cut out is left half as bright",
        jax_ada.cutout,
        {"jnp.where(is_out, 0.0, images)": "jnp.where(is_out, 0.5 * images, images)"},
        "augmentation/ada",
    ),
    mutant(
        "a box that is cut out always",
        "its probability is forgotten",
        jax_ada.maps_of,
        {"jnp.where(gate < p, SIDE, 0.0)": "jnp.where(gate < 2, SIDE, 0.0)"},
        "ada/maps",
    ),
    mutant(
        "no gradient through the pipe",
        "what is sampled is detached: R1 is 0, G learns nothing",
        torch_ada.augment,
        {"recolour(images, colours": "recolour(images.detach() + 0 * images, colours"},
        "augmentation/slope",
    ),
    # The controller.
    mutant(
        "p below 0",
        "it is brought down further than it can be felt, and must come back first",
        torch_ada.adapted,
        {".clamp(min=0)": ""},
        "ada/controller",
    ),
    mutant(
        "signs that are never forgotten",
        "the mean is over the whole run",
        jax_ada.adapted,
        {'"ada.signs": jnp.where(is_due, 0, signs)': '"ada.signs": signs'},
        "ada/controller",
    ),
    mutant(
        "the last step's signs alone",
        "the decision forgets three steps of four",
        torch_ada.adapted,
        {'memory["ada.signs"] + torch': "torch"},
        "ada/controller",
    ),
    mutant(
        "an adjustment for each update of D",
        "p is as fast whatever the batch",
        jax_ada.probability,
        {"adjustment(config.images_per_step)": "adjustment(config.batch_size)"},
        "ada/controller",
    ),
    mutant(
        "outputs for their signs",
        "the mean of D(x), which has a scale",
        torch_terms.discriminator_terms,
        {"torch.sign(real.logits)": "real.logits"},
        "ada/steps",
    ),
    mutant(
        "signs of generated images",
        "they say how well G does, not what D has learnt by heart",
        torch_terms.discriminator_terms,
        {"torch.sign(real.logits)": "torch.sign(fake.logits)"},
        "ada/steps",
    ),
    mutant(
        "memory that is not kept",
        "the controller decides, and nothing remembers it",
        torch_steps._adapt,
        {"state.memory[name].copy_(value)": "pass"},
        "ada/steps",
    ),
    # Checkpoints.
    mutant(
        "memory lost in PyTorch",
        "a resumed run augments as if it were new",
        torch_arrays.arrays_to_state,
        {"arrays.get(on_file(name), number)": "number"},
        "ada/steps",
    ),
    mutant(
        "memory lost in JAX",
        "a resumed run augments as if it were new",
        jax_arrays.arrays_to_state,
        {"arrays.get(on_file(name), number)": "number"},
        "ada/steps",
    ),
)
