"""The words that a configuration may use, and what the names of data sets mean."""

import os
from pathlib import Path
from typing import Literal, TypeGuard

from shared.errors import UsageError
from shared.words import suggestion

# Where the training images are kept.
DataPlace = Literal["auto", "device", "host"]


# What images are compared by.
Features = Literal["classifier", "inception", "none"]


# How many channels the images of a data set are given.
Channels = Literal["auto", "grey", "colour"]


# What becomes of an image that is not square.
Crop = Literal["centre", "pad", "stretch"]


# Images to learn from, and others that were set aside when the data set was made.
Split = Literal["train", "test"]


# What to do when losses or weights are no longer finite.
OnNan = Literal["stop", "rollback"]


# Which checkpoint of a run: of this step, or with the best scores.
WhichStep = int | Literal["best"]


# How many of the last checkpoints stay, besides the best and the history; or all.
Keep = int | Literal["all"]

KEEP_RULE = "must be 1 or more, or all"
"""What `is_keep` asks for, in words."""


DiscriminatorNorm = Literal["batch", "instance", "layer", "group", "none"]


GeneratorNorm = Literal[
    "batch", "conditional-batch", "instance", "layer", "group", "none"
]


WeightNorm = Literal["none", "spectral", "weight"]


Optimizer = Literal["adam", "rmsprop"]


SLOTS: dict[Optimizer, tuple[str, ...]] = {
    "adam": ("exp_avg", "exp_avg_sq"),
    "rmsprop": ("square_avg",),
}
"""What an optimiser keeps for each parameter, by PyTorch's names; squares come last."""


Schedule = Literal["constant", "linear", "cosine"]


Precision = Literal["float32", "tf32", "bfloat16", "float64"]


STACKED = "stacked-mnist"
"""Three random digits of MNIST as the channels of a colour image; 1,000 classes."""


TESTED = ("mnist", "fashion-mnist", "cifar10", STACKED)
"""Data sets with a test split."""


NAMES = ("digits", *TESTED)
"""Data sets that have a name of their own; ``folder:PATH`` is anybody's images."""


POINTS = ("ring", "grid", "swiss-roll")
"""Points in the plane: 8 Gaussians on a circle, 25 on a lattice, a noisy spiral."""


FOLDER = "folder:"


ARRAYS = "arrays"
"""Arrays in memory, which only Python can hand over."""


def is_keep(value: object) -> TypeGuard[Keep]:
    """Whether this says which checkpoints stay."""
    return value == "all" or (isinstance(value, int) and value > 0)


def check_dataset_name(dataset: str) -> None:
    """Check the name alone: no file is opened, nothing heavy is imported.

    Args:
        dataset: one of `NAMES` or `POINTS`, or ``folder:PATH``.

    Raises:
        UsageError: there is no such data set.
    """
    known = NAMES + POINTS
    if dataset in known or (dataset.startswith(FOLDER) and dataset != FOLDER):
        return
    # Less has to agree than elsewhere: names are short, or known by a part of them.
    hint = suggestion(dataset, known, cutoff=0.6)
    if (meant := folder_meant(dataset)) and not hint:
        hint = f"; did you mean {meant}?"
    elif not hint and dataset == ARRAYS:
        hint = "; a run on arrays in memory goes on in Python: fit(..., resume=RUN)"
    raise UsageError(
        f"--dataset {dataset}: must be {', '.join(known)} or {FOLDER}PATH{hint}"
    )


def check_split(split: Split, dataset: str) -> None:
    """Refuse a split that a data set does not have.

    Args:
        split: asked for.
        dataset: its name.

    Raises:
        UsageError: it was never split.
    """
    if split == "test" and dataset not in TESTED:
        raise UsageError(f"--split test: of {', '.join(TESTED)} only, not of {dataset}")


def folder_meant(word: str) -> str:
    """The folder as a data set that a word may have been meant for; empty: none.

    Args:
        word: of a name that nobody knows.
    """
    path = word.removeprefix(FOLDER)
    is_path = "/" in path or "\\" in path or path.endswith(".zip")
    # No error where a name is too long, unlike `Path.is_dir`.
    is_meant = path != word or is_path or os.path.isdir(path)  # noqa: PTH112
    return f"{FOLDER}{path}" if path and is_meant else ""


def is_folder(dataset: str) -> bool:
    """Whether a data set is a folder of anybody's images."""
    return dataset.startswith(FOLDER)


def place_of(dataset: str) -> str:
    """Where a folder of images is, with ``~`` expanded."""
    # No error where nobody has such a home, unlike `Path.expanduser`.
    return os.path.expanduser(dataset.removeprefix(FOLDER))  # noqa: PTH111


def check_not_moved(dataset: str) -> None:
    """Refuse a run's folder of images that is not where the run found it.

    Raises:
        UsageError: it is not.
    """
    # No error where a name is too long, unlike `Path.exists`.
    if is_folder(dataset) and not os.path.exists(place_of(dataset)):  # noqa: PTH110
        raise UsageError(
            f"--dataset {dataset}: the run's images are not found there; if they were"
            f" moved, --dataset {FOLDER}PATH says where they are now"
        )


def portable_name(dataset: str) -> str:
    """A data set's name that says nothing of this machine: a folder's last part."""
    path = Path(dataset.removeprefix(FOLDER))
    return f"{FOLDER}{path.name}" if is_folder(dataset) else dataset


FEWEST_SCORED = 16
"""Images, or points, that can be scored, at the least."""
