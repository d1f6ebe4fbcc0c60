"""Where what is made once of a data set is kept, such as resized images."""

import os
from collections.abc import Sequence
from pathlib import Path

import platformdirs


def places(data_dir: Path, cache_dir: Path | None = None) -> list[Path]:
    """The folders to read from; what is new goes to `first_writable`.

    Args:
        data_dir: folder of data sets, with its ``cache``, beside which the user's own
            folder of caches serves where the former may only be read.
        cache_dir: the one folder; None: the two.
    """
    if cache_dir is not None:
        return [cache_dir]
    try:
        own = platformdirs.user_cache_path("gans-twins", appauthor=False)
    except RuntimeError:  # a user without a home
        return [data_dir / "cache"]
    return [data_dir / "cache", own]


def first_writable(folders: Sequence[Path]) -> Path:
    """The first folder that may be written; where there is none, the first."""
    return next((x for x in folders if _may_be_written(x)), folders[0])


def _may_be_written(folder: Path) -> bool:
    """Whether the folder, or else the one that it would be made in, may be written."""
    # Not `Path.exists`, which raises where it may not enter, or the name is too long.
    exists = os.path.exists
    there = next(x for x in (folder, *folder.absolute().parents) if exists(x))
    return os.access(there, os.W_OK)
