"""What ``--out`` may name: nothing of a run's own, nor of another kind than is made.

Nor may anything lie among the images that are read.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from shared.config.choices import is_folder, place_of
from shared.config.flags import refuse
from shared.errors import UsageError
from shared.files.atomic import is_temporary, make_folder
from shared.files.locks import LOCK, MARK
from shared.run.evaluations import judged_step
from shared.run.run_dir import RunDir
from shared.terminal import UNSAID

# What a run writes besides, and what evaluates it; folders with all that is in them.
_OWN = frozenset(
    (
        *("config.json", "metrics.jsonl", "samples.jsonl", "scores.jsonl", "best.json"),
        *("samples", "checkpoints", "tensorboard", "real.png", UNSAID, LOCK, MARK),
        *("losses.png", "samples.png", "samples.gif", "interpolation.png"),
        "report.html",
    )
)
# Whoever calls a folder so has taken it for a file.
_FILES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".html", ".zip", ".safetensors")


def check_file(out: Path, suffix: str) -> None:
    """Refuse a place for a file.

    Args:
        out: the file.
        suffix: what its name ends in, unless it has none.

    Raises:
        UsageError: it ends in another one, is a folder, or a run's own.
    """
    if _suffix(out) not in ("", suffix):
        raise UsageError(f"--out {out}: must end in {suffix}")
    if os.path.isdir(out):  # noqa: PTH112  (no error where a name is too long)
        raise UsageError(f"--out {out}: is a folder; name a file in it")
    check_not_own(out, out)


def check_folder(out: Path) -> None:
    """Refuse a place for a folder.

    Args:
        out: the folder.

    Raises:
        UsageError: it holds anything, is called as files are, or is a run's own.
    """
    if _suffix(out) in _FILES:
        raise UsageError(f"--out {out}: names a file, and a folder is written")
    check_not_own(out, out)
    try:
        # What a killed process was still writing is nothing yet.
        if os.path.lexists(out) and not (
            out.is_dir() and all(map(is_temporary, out.iterdir()))
        ):
            raise UsageError(f"--out {out}: must be a new folder, or an empty one")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be used: {error.strerror}") from error


def make_out(out: Path, *names: str) -> None:
    """Make the folder that ``--out`` names, where it is missing.

    Args:
        out: the folder.
        names: of files that will be written into it.

    Raises:
        UsageError: it cannot be made, or holds a folder in the place of a file.
    """
    try:
        make_folder(out)
        out.mkdir(exist_ok=True)  # refuses a file that is there instead
        taken = [out / name for name in names if (out / name).is_dir()]
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be used: {error.strerror}") from error
    for path in taken:
        raise UsageError(f"--out {out}: {path} is a folder, and a file is written")


@contextlib.contextmanager
def made_out(out: Path, *names: str) -> Iterator[None]:
    """The same folder; made here, it goes again if an error leaves it empty.

    Args:
        out: as for `make_out`.
        names: as for `make_out`.

    Raises:
        UsageError: as by `make_out`.
    """
    is_new = not os.path.lexists(out)
    make_out(out, *names)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # something is in it
                out.rmdir()
        raise


def check_not_own(out: Path, path: Path) -> None:
    """Refuse what would replace a file of a run, or lie among such files.

    Args:
        out: what the user has named.
        path: what is written.

    Raises:
        UsageError: a run writes there itself.
    """
    if (own := own_place(path)) is not None:
        raise UsageError(f"--out {out}: {own} is the run's own; choose another name")


def own_place(path: Path) -> Path | None:
    """A place that a run writes at itself, as seen from its folder; None of others."""
    real = Path(os.path.realpath(path))  # unlike `Path.resolve`, of circles too
    for folder in real.parents:
        inside = real.relative_to(folder)
        name = inside.parts[0]
        if (name in _OWN or judged_step(name) >= 0) and RunDir(folder).has_records():
            return inside
    return None


def is_among(path: Path, dataset: str) -> bool:
    """Whether a place is in a folder of images, to which it would add its pictures.

    Args:
        path: what is written.
        dataset: the images.
    """
    if not is_folder(dataset):
        return False
    folder = os.path.realpath(place_of(dataset))
    return Path(os.path.realpath(path)).is_relative_to(folder)


def check_apart(argument: str, path: Path, dataset: str) -> None:
    """Refuse a place among the images that are read.

    Args:
        argument: that names the place.
        path: as for `is_among`.
        dataset: as for `is_among`.

    Raises:
        UsageError: it lies there.
    """
    if is_among(path, dataset):
        raise refuse(
            argument,
            path,
            f"lies within --dataset {dataset}, whose images would change; name another"
            " place",
        )


@contextlib.contextmanager
def writing(out: Path) -> Iterator[Path]:
    """Have errors of what is written within a ``with`` statement name ``--out``.

    Args:
        out: the file, or the folder around it.

    Yields:
        The same.
    """
    try:
        yield out
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
    except UsageError as error:
        if not str(error).startswith(str(out)):
            raise
        raise UsageError(f"--out {error}") from error


def placed(out: Path | None, usual: Path | None) -> AbstractContextManager[Path]:
    """Where to write within a ``with`` statement, which errors then name.

    Args:
        out: what the user has named, in a folder that is made at once; None: nothing.
        usual: where to write then; without a suffix, a folder. Where something is at
            it, the place is called so and by a number, from 2 up. It is taken when the
            statement is entered, so that of several processes each has its own, as an
            empty file or folder, and left again after an error.

    Raises:
        UsageError: the folder cannot be made.
    """
    if out is None:
        assert usual is not None, "one of the two is known"
        return _unused(usual)
    with writing(out):
        make_folder(out.parent)
    return writing(out)


@contextlib.contextmanager
def _unused(path: Path) -> Iterator[Path]:
    names = (path.with_stem(f"{path.stem}-{k}") for k in itertools.count(2))
    is_folder = not path.suffix
    with writing(path):
        make_folder(path.parent)
        for place in itertools.chain([path], names):
            with contextlib.suppress(FileExistsError):
                place.mkdir() if is_folder else place.touch(exist_ok=False)
                break
    try:
        with writing(place):
            yield place
    except BaseException:
        with contextlib.suppress(OSError):  # some of many images
            place.rmdir() if is_folder else place.unlink()
        raise


def _suffix(path: Path) -> str:
    """What a name ends in, if that says what a file is: not of ``cats-0.5``."""
    suffix = path.suffix.lower()
    return "" if suffix[1:].isdigit() else suffix
