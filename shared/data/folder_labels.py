"""The classes of a folder's images: its subfolders, or what a file beside them says.

Ids count the classes that have an image, in the order of their names, without gaps: a
network cannot learn a class that it never sees. Where that gives a class another id
than its name or file says, it is said.
"""

import csv
import hashlib
import io
import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from shared.config.choices import FOLDER
from shared.config.values import in_line
from shared.data.folder_files import File, Listing, normal
from shared.errors import UsageError
from shared.words import legible, listed

_SPLITS = {
    *("train", "training", "val", "valid", "validation", "dev", "eval"),
    *("test", "testing", "holdout"),
}


# Its number, and what it says of a file and of its label.
_Line = tuple[int, Any, Any]


class Labelled(NamedTuple):
    """Images with their classes."""

    files: list[File]
    class_names: tuple[str, ...]
    """By id; empty without classes."""
    ids: list[int]
    """One for each file; 0 without classes."""
    notes: list[str]
    """What is left out or strange, a line each."""
    flags: Mapping[str, Any] = MappingProxyType({})
    """Settings that would suit them better."""
    digest: str = ""
    """Of the file of labels."""


def label(listing: Listing, path: str) -> Labelled:
    """Find the classes.

    Args:
        listing: the folder.
        path: how the user calls it.

    Raises:
        UsageError: a file of labels cannot be read, or there are two.
    """
    where = f"--dataset folder:{path}"
    if len(there := [name for name in READERS if name in listing.kept]) > 1:
        both = " and ".join(there[:2])
        raise UsageError(f"{where}: holds both {both}; keep one")
    for name, content in listing.kept.items():
        try:
            labels = READERS[name](content)
        except (ValueError, RecursionError, csv.Error) as error:
            raise UsageError(f"{where}: {name}: {error}") from error
        if labels is not None:
            found = _by_file(listing.files, labels, name)
            if not found.files:
                raise UsageError(f"{where}: {name}: names none of its images")
            return found._replace(digest=hashlib.sha256(content).hexdigest())
        return _by_folder(listing, path, [f"{name} holds no labels"])
    return _by_folder(listing, path, [])


def _by_folder(listing: Listing, path: str, notes: list[str]) -> Labelled:
    files = listing.files
    loose = [file for file in files if len(file.parts) == 1]
    if loose:
        if len(loose) < len(files):
            notes.append(
                f"{len(loose)} of {len(files)} images lie beside the subfolders, so the"
                " data set has no labels"
            )
        return Labelled(files, (), [0] * len(files), notes)
    names = sorted({file.parts[0] for file in files})
    id_of = {name: number for number, name in enumerate(names)}
    ids = [id_of[file.parts[0]] for file in files]
    if empty := sorted(set(listing.folders) - set(names)):
        notes.append(
            f"{len(empty)} of {len(listing.folders)} subfolders hold no image, and are"
            f" no class: {listed(empty)}"
        )
    flags = {}
    if within := _better_within(files, names):
        flags["dataset"] = f"{FOLDER}{path}/{within}"
        what = "one class with subfolders"
        if len(names) > 1 or within.lower() in _SPLITS:
            what = "parts of a data set rather than classes"
        notes.append(
            f"the classes are {listed(names)}, which looks like {what} (--dataset"
            f" {shlex.quote(flags['dataset'])} reads {legible(within)} alone)"
        )
    notes += _told_ids(names)
    return Labelled(files, _told_apart(names), ids, notes, flags)


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes as any terminal can print them, no two of them alike."""
    looks = [normal(legible(name)) for name in names]
    alike = Counter(looks)
    # Those that differ in what nobody sees alone have it spelled: a\u200b.
    return tuple(
        legible(name) if alike[look] == 1 else ascii(name)[1:-1]
        for name, look in zip(names, looks, strict=True)
    )


def _better_within(files: list[File], names: list[str]) -> str | None:
    """The subfolder that looks like the data set itself, if one does."""
    if {name.lower() for name in names} <= _SPLITS:
        return next((x for x in names if x.lower().startswith("train")), names[0])
    if len(names) == 1 and any(len(file.parts) > 2 for file in files):
        return names[0]
    return None


def _told_ids(names: Sequence[str], order: str = "text") -> list[str]:
    """What there is to say where names are numbers, and ids others."""
    if not all(name.isdecimal() for name in names):
        return []
    other = [f"{x} has id {i}" for i, x in enumerate(names) if int(x) != i]
    if not other:
        return []
    return [
        "the classes' names are numbers, but their ids count those that have images,"
        f" in the order of the names as {order}: {listed(other)}"
    ]


def _by_file(files: list[File], labels: dict[str, str | int], source: str) -> Labelled:
    names = sorted({labels[file.name] for file in files if file.name in labels})
    id_of = {name: number for number, name in enumerate(names)}
    kept = [file for file in files if file.name in labels]
    notes = [f"the labels are those of {source}"]
    if others := [file.name for file in files if file.name not in labels]:
        notes.append(
            f"{len(others)} of {len(files)} images have no label in {source}, and are"
            f" left out: {listed(others)}"
        )
    if missing := sorted(labels.keys() - {file.name for file in files}):
        count = len(missing)
        are = "1 file that is no image"
        if count > 1:
            are = f"{count} files that are no images"
        notes.append(f"{source} has labels of {are} here: {listed(missing)}")
    texts = _told_apart(list(map(str, names)))
    are_numbers = all(isinstance(name, int) for name in names)
    notes += _told_ids(texts, "numbers" if are_numbers else "text")
    return Labelled(kept, texts, [id_of[labels[file.name]] for file in kept], notes)


def _read_stylegan(content: bytes) -> dict[str, str | int] | None:
    """``{"labels": [["00000/img00000000.png", 3], ...]}``; None: without labels."""
    found: Any = json.loads(content)
    if not isinstance(found, dict) or "labels" not in found:
        raise ValueError('must hold {"labels": [[FILE, CLASS], ...]}')
    rows = found["labels"]
    if rows is None:
        return None
    if isinstance(rows, dict):
        rows = list(rows.items())
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise ValueError(
            '"labels" must be pairs of a file and a class, a whole number from 0 up'
        )
    labels: dict[str, str | int] = {}
    for name, number in rows:
        before = labels.setdefault(_place(name), number)
        if before != number:
            raise ValueError(f"{in_line(name)} is {number} here, and {before} before")
    return labels


def _is_row(row: Any) -> bool:
    match row:
        case [str(), int() as number] | (str(), int() as number):
            return not isinstance(number, bool) and number >= 0
    return False


def _read_table(content: bytes) -> dict[str, str | int] | None:
    """Columns ``file_name`` and ``label``; None: without the latter."""
    text = io.StringIO(content.decode("utf-8-sig"))
    rows = csv.DictReader(text, strict=True, skipinitialspace=True)
    columns = rows.fieldnames or []
    if "file_name" not in columns:
        raise ValueError("must have the columns file_name and label")
    for name in ("file_name", "label"):
        if columns.count(name) > 1:
            raise ValueError(f"has the column {name} twice")
    if "label" not in columns:
        return None
    lines: list[_Line] = []
    for row in rows:
        if any(row.get(None) or ()):  # not of commas alone, as some programs add
            raise ValueError(
                f"line {rows.line_num}: has more fields than the header; quote what"
                " holds a comma"
            )
        lines.append((rows.line_num, row["file_name"], row["label"]))
    return _of_lines(lines)


def _read_objects(content: bytes) -> dict[str, str | int] | None:
    """In each line an object with both; None: without labels."""
    lines: list[_Line] = []
    has_labels = False
    for number, line in enumerate(content.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number}: no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number}: must be an object with file_name, label")
        name, label = row.get("file_name"), row.get("label")
        has_labels |= label is not None
        if type(label) is int and label >= 0:
            label = str(label)
        lines.append((number, name, label))
    return _of_lines(lines) if has_labels else None


def _of_lines(lines: Sequence[_Line]) -> dict[str, str | int]:
    """The label of each file, as a number where all are."""
    labels: dict[str, str] = {}
    for number, file, label in lines:
        # Nobody sees a blank at the end.
        text = label.strip(" ") if isinstance(label, str) else ""
        if not (isinstance(file, str) and file and text):
            raise ValueError(f"line {number}: has no file_name, or no label")
        name = _place(file)
        if (before := labels.setdefault(name, text)) != text:
            raise ValueError(
                f"line {number}: {in_line(name)} is {in_line(text)} here, and"
                f" {in_line(before)} before"
            )
    if all(label.isdecimal() for label in labels.values()):
        numbers = {label: int(label) for label in labels.values()}
        # 01 and 1 are two names, if both are there.
        if len({*numbers.values()}) == len(numbers):
            return {name: numbers[label] for name, label in labels.items()}
    return {**labels}


def _place(name: str) -> str:
    """A file's name as `File.name` is."""
    return normal(name.replace("\\", "/").removeprefix("./"))


READERS: dict[str, Callable[[bytes], dict[str, str | int] | None]] = {
    "dataset.json": _read_stylegan,
    "metadata.csv": _read_table,
    "metadata.jsonl": _read_objects,
}
"""Files of labels: as StyleGAN's tools write them, and as Hugging Face's read them."""
