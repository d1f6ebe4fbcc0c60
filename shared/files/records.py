"""Files of one JSON object a line."""

import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.config.values import MISSING, Mismatch, conform
from shared.errors import UsageError
from shared.files.atomic import append, write_atomically
from shared.files.reading import check_regular, parse_json
from shared.quantities import QUANTITIES

# A line has a few hundred bytes.
_MOST_BYTES = 2**20
_NUMBER = float | None
_SCALAR = str | float | bool | None
_PROTOCOL = dict[str, _SCALAR]


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line; numbers that are not finite become null.

    Args:
        path: the file; made where it is missing.
        record: a flat object with ``step``; Python or NumPy scalars.

    Raises:
        UsageError: the line cannot be written.
    """
    line = json.dumps({name: finite(x) for name, x in record.items()})
    append(path, (line + "\n").encode())


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records; none of a missing file; a last line that was cut off is left out.

    Raises:
        UsageError: the file is damaged elsewhere, or no file; line and field are named.
    """
    return _read(path, math.inf, tail=1)


def read_records_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The records up to a step, whatever a loss of power has left after them.

    Raises:
        UsageError: the file is damaged before them, or no file.
    """
    return _read(path, step, tail=math.inf)


def _read(path: Path, until: float, tail: float) -> list[dict[str, Any]]:
    """Records up to a step, after which so many last lines may be unreadable."""
    if not os.path.lexists(path):
        return []
    check_regular(path)
    records: list[dict[str, Any]] = []
    damaged = None
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                try:
                    record = _record(line)
                except ValueError as error:
                    damaged = damaged or (number, error)
                    continue
                if record["step"] <= until:
                    _check(path, number, record)
                    records.append(record)
                    tail = tail if damaged is None else -1
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if damaged is not None and damaged[0] <= number - tail:
        raise _no_record(path, *damaged) from damaged[1]
    return records


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace the file by one with these records, which JSON knows as they are.

    Raises:
        UsageError: the file cannot be written.
    """
    text = "".join(json.dumps(record) + "\n" for record in records)
    write_atomically(path, text.encode())


def _lines(file: io.BufferedReader) -> Iterator[bytes]:
    # A longer line would be no record; it is cut, so that it cannot fill the memory.
    return iter(lambda: file.readline(_MOST_BYTES), b"")


def _record(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: it is none, or has no step.
    """
    record = parse_json(line)
    if not isinstance(record, dict):
        raise Mismatch("", record, "must be an object")
    if "step" not in record:
        raise Mismatch("step", MISSING, "is missing")
    if conform(record["step"], int, "step") < 0:
        raise Mismatch("step", record["step"], "must be 0 or more")
    return record


def _check(path: Path, line: int, record: Mapping[str, Any]) -> None:
    """Refuse fields of other types than those who read them rely on.

    Raises:
        UsageError: one has another.
    """
    try:
        for name, value in record.items():
            # Nearly all values, and without a call: there are millions.
            if value is None or (type(value) is float and value - value == 0):
                continue
            of_others = _NUMBER if name in QUANTITIES else _SCALAR
            conform(value, _PROTOCOL if name == "protocol" else of_others, name)
    except Mismatch as error:
        raise _no_record(path, line, error) from error


def _no_record(path: Path, line: int, error: ValueError) -> UsageError:
    # Of JSON's errors, not the place in the line.
    reason = getattr(error, "msg", error)
    return UsageError(f"{path}: line {line} is no record: {reason}")


def finite(value: Any) -> Any:
    """A value as JSON knows it; null for a number that is not finite.

    Args:
        value: a scalar, of NumPy too; or dictionaries and lists of such.
    """
    if isinstance(value, dict):
        return {name: finite(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [finite(x) for x in value]
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
