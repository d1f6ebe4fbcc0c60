"""Data sets by name: where the images come from; each is resized once and cached."""

from pathlib import Path

from shared.config.choices import FOLDER, POINTS, STACKED, is_folder, validate_name
from shared.data import folder_images, image_cache, image_sources, points
from shared.data.image_data import ImageData


def load(
    dataset: str, image_size: int = 32, data_dir: str | Path = "data"
) -> ImageData:
    """The training images of a data set, resized, with their labels.

    The first call reads the originals (mnist, fashion-mnist and cifar10 are fetched
    into ``data_dir`` where they are missing) and writes the resized images under
    ``data_dir/cache``; later calls only map that file into memory.

    Args:
        dataset: one of `choices.NAMES`, one of `choices.POINTS` (see `points`), or
            ``folder:PATH`` (see `folder_images`).
        image_size: height and width of the images in pixels, from 1 up.
        data_dir: folder of the fetched files and of the cache; made where missing.

    Raises:
        UsageError: there is no such data set, it cannot be fetched or holds no readable
            image, or ``data_dir`` cannot be written.
    """
    validate_name(dataset)
    if dataset in POINTS:
        return points.load(dataset)._replace(name=dataset)

    data_dir = Path(data_dir)
    if is_folder(dataset):
        source = folder_images.source(dataset.removeprefix(FOLDER))
    elif dataset == "digits":
        source = image_sources.digits()
    elif dataset == STACKED:
        source = image_sources.stacked_mnist(data_dir)
    else:
        source = image_sources.fetched(dataset, data_dir)
    return image_cache.load(source, image_size, data_dir)._replace(name=dataset)


def from_folder(
    path: str | Path, image_size: int = 32, data_dir: str | Path = "data"
) -> ImageData:
    """The images below a folder, as ``--dataset folder:PATH`` reads them.

    Args:
        path: the folder; its subfolders are the classes (see `folder_images`).
        image_size: height and width of the images in pixels, from 1 up.
        data_dir: folder of the cache; made where missing.

    Raises:
        UsageError: there is no such folder, it holds no readable image, or ``data_dir``
            cannot be written.
    """
    return load(f"{FOLDER}{path}", image_size, data_dir)
