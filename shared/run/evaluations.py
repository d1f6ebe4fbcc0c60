"""The files that ``evaluate`` leaves in a run's folder, as they are read again."""

import re
from pathlib import Path
from typing import NotRequired, TypedDict

from shared.config.values import Mismatch, conform
from shared.errors import UsageError
from shared.files.reading import read_object


class StoredScore(TypedDict):
    """A score of ``evaluate``, as its file holds it."""

    title: str
    shown: str
    value: float | None
    """None: it is not finite."""
    interval_95: float | None
    """None: likewise, or of a single draw."""
    protocol: str


class StoredEvaluation(TypedDict):
    """A file of ``evaluate``."""

    step: int
    protocol: dict[str, str | float]
    scores: dict[str, StoredScore]
    warnings: NotRequired[list[str]]
    sanity: NotRequired[dict[str, dict[str, float | None]]]
    """The same scores of sets that everybody knows, such as noise."""


def read_evaluation(path: Path) -> StoredEvaluation:
    """What a file of ``evaluate`` says.

    Raises:
        UsageError: it is damaged.
    """
    try:
        return conform(read_object(path), StoredEvaluation)
    except Mismatch as error:
        raise UsageError(f"{path}: is no evaluation: {error}") from error


def judged_step(name: str) -> int:
    """The step that a file of ``evaluate`` is about; of any other file, -1."""
    found = re.fullmatch(r"(evaluation|nearest)-([0-9]{6,})[^.]*\.(json|png)", name)
    return int(found[2]) if found else -1
