"""Data sets by name: where the images come from; each is resized once and cached."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.backend import ImageData

NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "stacked-mnist")
"""Data sets that have a name of their own; ``folder:PATH`` is anybody's images."""

STACKED = "stacked-mnist"
"""Three random digits of MNIST as the channels of a colour image; 1,000 classes."""

POINTS = ("ring", "grid", "swiss-roll")
"""Points in the plane: 8 Gaussians on a circle, 25 on a lattice, a noisy spiral."""

FOLDER = "folder:"


def validate_name(dataset: str) -> None:
    """Check the name alone: no file is opened, nothing heavy is imported.

    Args:
        dataset: one of `NAMES` or `POINTS`, or ``folder:PATH``.

    Raises:
        UsageError: there is no such data set.
    """
    known = NAMES + POINTS
    if dataset in known or (dataset.startswith(FOLDER) and dataset != FOLDER):
        return
    if near := difflib.get_close_matches(dataset.lower(), known, n=1):
        hint = f"; did you mean {near[0]}?"
    elif "/" in dataset or "\\" in dataset:
        hint = f"; did you mean {FOLDER}{dataset}?"
    else:
        hint = ""
    raise UsageError(
        f"--dataset {dataset}: must be {', '.join(known)} or {FOLDER}PATH{hint}"
    )


def is_folder(dataset: str) -> bool:
    """Whether a data set is a folder of anybody's images."""
    return dataset.startswith(FOLDER)


def load(dataset: str, image_size: int, data_dir: Path) -> "ImageData":
    """The training images of a data set, resized, with their labels.

    The first call reads the originals (mnist, fashion-mnist and cifar10 are fetched
    into ``data_dir`` where they are missing) and writes the resized images under
    ``data_dir/cache``; later calls only map that file into memory.

    Args:
        dataset: one of `NAMES`, one of `POINTS` (see `shared.points`), or
            ``folder:PATH`` (see `shared.folder_images`).
        image_size: height and width of the images in pixels, from 1 up.
        data_dir: folder of the fetched files and of the cache; made where missing.

    Raises:
        UsageError: there is no such data set, it cannot be fetched or holds no readable
            image, or ``data_dir`` cannot be written.
    """
    validate_name(dataset)
    # Imported here: shared.config checks names with this module, and must neither wait
    # for Pillow nor be imported in a circle.
    from shared import folder_images, image_cache, image_sources, points

    if dataset in POINTS:
        return points.load(dataset)

    if is_folder(dataset):
        source = folder_images.source(dataset.removeprefix(FOLDER))
    elif dataset == "digits":
        source = image_sources.digits()
    elif dataset == STACKED:
        source = image_sources.stacked_mnist(data_dir)
    else:
        source = image_sources.fetched(dataset, data_dir)
    return image_cache.load(source, image_size, data_dir)
