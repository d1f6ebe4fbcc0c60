"""Files of one JSON object a line."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UsageError
from shared.files.atomic import append, write_atomically


def append_record(path: Path, record: Mapping[str, Any]) -> None:
    """Add one line; numbers that are not finite become null.

    Args:
        path: the file; made where it is missing.
        record: a flat object with ``step``; Python or NumPy scalars.

    Raises:
        UsageError: the line cannot be written.
    """
    line = json.dumps({name: _plain(x) for name, x in record.items()})
    append(path, (line + "\n").encode())


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records; none of a missing file; a last line that was cut off is left out.

    Raises:
        UsageError: the file is damaged elsewhere.
    """
    return _read(path, math.inf, tail=1)


def read_records_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The records up to a step, whatever a loss of power has left after them.

    Raises:
        UsageError: the file is damaged before them.
    """
    return _read(path, step, tail=math.inf)


def _read(path: Path, until: float, tail: float) -> list[dict[str, Any]]:
    """Records up to a step, after which so many last lines may be unreadable."""
    if not path.exists():
        return []
    records, damaged = [], math.inf
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = _record(line)
        except ValueError:
            damaged = min(damaged, number)
            continue
        if record["step"] <= until:
            records.append(record)
            tail = tail if damaged == math.inf else -1
    if damaged <= len(lines) - tail:
        raise UsageError(f"{path}: line {damaged} is no record of metrics")
    return records


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace the file by one with these records, which JSON knows as they are.

    Raises:
        UsageError: the file cannot be written.
    """
    text = "".join(json.dumps(record) + "\n" for record in records)
    write_atomically(path, text.encode())


def _record(line: bytes) -> dict[str, Any]:
    record = json.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise ValueError("no object with a step")
    return record


def _plain(value: Any) -> Any:
    """A scalar as JSON knows it; null for a number that is not finite."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
