"""Files of one JSON object a line: appended to, cut off, replaced."""

import math
from pathlib import Path

import numpy as np
import pytest

from shared.errors import UsageError
from shared.files.records import append_record, read_records, write_records


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert read_records(path) == []
    append_record(path, {"step": 1, "x": np.float32(0.5), "n": np.int64(3)})
    append_record(path, {"step": 2, "x": math.nan, "y": np.float64(math.inf)})
    assert path.read_text().splitlines()[0] == '{"step": 1, "x": 0.5, "n": 3}'
    assert read_records(path) == [
        {"step": 1, "x": 0.5, "n": 3},
        {"step": 2, "x": None, "y": None},
    ]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1}\n{"st')
    assert read_records(path) == [{"step": 1}]


@pytest.mark.parametrize("line", ['{"st', "3", '{"x": 1}', '{"step": "1"}'])
def test_damage_elsewhere_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{line}\n{{"step": 2}}\n')
    with pytest.raises(UsageError, match=r"a\.jsonl: line 1 is no record"):
        read_records(path)


def test_written_records_replace_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [{"step": 1, "x": 0.5}, {"step": 2, "x": None}]
    for record in [*records, {"step": 3}]:
        append_record(path, record)
    whole = path.read_bytes()
    write_records(path, records)
    assert read_records(path) == records
    assert whole == path.read_bytes() + b'{"step": 3}\n'
    write_records(path, [])
    assert path.read_bytes() == b""


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    for write in (
        lambda x: append_record(x, {"step": 1}),
        lambda x: write_records(x, []),
    ):
        with pytest.raises(UsageError, match="cannot be written"):
            write(tmp_path / "none" / "a.jsonl")
