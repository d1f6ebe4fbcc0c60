"""Mutants of the augmentation, and of where the steps apply it."""

from gans_jax import augmentation as jax_augmentation
from gans_torch import augmentation as torch_augmentation
from gans_torch import backend as torch_backend
from gans_torch import steps as torch_steps
from parity_tests.mutants.mutation import mutant

MUTANTS = (
    # The transformations.
    mutant(
        "images moved the other way",
        "t is taken for where a pixel goes, not for where it comes from",
        torch_augmentation.translation,
        {"rows.long()[:, None] + torch": "-rows.long()[:, None] + torch"},
        "augmentation/translation",
    ),
    mutant(
        "rows and columns exchanged",
        "an image as high as wide would not tell",
        jax_augmentation.translation,
        {
            "rows.astype(int), columns.astype(int)": (
                "columns.astype(int), rows.astype(int)"
            )
        },
        "augmentation/translation",
    ),
    mutant(
        "edges repeated where nothing was",
        "clamped indices alone, without the zeros",
        torch_augmentation.translation,
        {"torch.where(inside, moved, 0.0)": "moved"},
        "augmentation/translation",
    ),
    mutant(
        "values clipped",
        "back into [-1, 1], as for pictures: what is too bright has no gradient",
        torch_augmentation.augment,
        {"return images": "return images.clamp(-1.0, 1.0)"},
        "augmentation/policies",
    ),
    mutant(
        "box off by one",
        "the centre of an odd box is its lower middle",
        jax_augmentation._is_in_box,
        {"- side // 2": "- (side + 1) // 2"},
        "augmentation/cutout",
    ),
    mutant(
        "box a pixel too large",
        "its last row is taken along, and the one after it",
        torch_augmentation._is_in_box,
        {"place < first + side": "place <= first + side"},
        "augmentation/cutout",
    ),
    mutant(
        "contrast about the batch's mean",
        "images depend on what they are trained with, and on how a batch is split",
        torch_augmentation.contrast,
        {"dim=(1, 2, 3)": "dim=(0, 1, 2, 3)"},
        "augmentation/each image by itself",
    ),
    mutant(
        "contrast of each channel by itself",
        "the mean is over the pixels alone",
        jax_augmentation.contrast,
        {"axis=(1, 2, 3)": "axis=(1, 2)"},
        "augmentation/contrast",
    ),
    mutant(
        "policies in an order of their own",
        "not in that of the command line",
        torch_augmentation.augment,
        {"in policies:": "in sorted(policies):"},
        "augmentation/policies",
    ),
    mutant(
        "no gradient through the policies",
        "what is computed by NumPy, or detached: R1 is 0, G learns nothing",
        torch_augmentation.augment,
        {"return images": "return images.detach() + 0 * images"},
        "augmentation/slope",
    ),
    mutant(
        "mirrored upside down",
        "the axis of the other layout",
        jax_augmentation.mirror,
        {"jnp.flip(images, 2)": "jnp.flip(images, 1)"},
        "augmentation/mirror",
    ),
    # The steps.
    mutant(
        "real and generated images augmented alike",
        "the pairs share their draws",
        torch_steps.discriminator_step,
        {
            "_augment(config, part_fake, part.augmentation, 1)": (
                "_augment(config, part_fake, part.augmentation, 0)"
            )
        },
        "first steps/augmentation",
    ),
    mutant(
        "G's update with D's draws",
        "G's images are augmented as D has just seen them",
        torch_backend.Backend._train_step,
        {"records[t, n_critic]": "records[t, n_critic - 1]"},
        "first steps/augmentation",
    ),
    mutant(
        "G learns as if its images were not augmented",
        "values go through T, gradients past it",
        torch_steps.generator_step,
        {
            "_augment(config, images, part.augmentation, 1)": (
                "images + (_augment(config, images, part.augmentation, 1)"
                " - images).detach()"
            )
        },
        "first steps/augmentation",
    ),
    mutant(
        "only D's images augmented",
        "the update of G forgets it: G learns the gaps of D's view",
        torch_steps.generator_step,
        {"_augment(config, images, part.augmentation, 1)": "images"},
        "first steps/augmentation",
    ),
    mutant(
        "penalty at images as they are",
        "the slope of D, not of D(T(x))",
        torch_steps._penalty,
        {"_augment(config, images, batch.augmentation, 0)": "images"},
        "first steps/augmentation",
    ),
    mutant(
        "no image mirrored",
        "the draws are made and forgotten",
        torch_backend.Backend._batch,
        {"if mirrored is not None:": "if False:"},
        "first steps/augmentation",
    ),
)
