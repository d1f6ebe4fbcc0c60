"""Files of one JSON object a line: appended to, cut off, replaced."""

import math
import os
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


DAMAGE = {
    '{"st': "Invalid control character at",
    "3": "3: must be an object",
    "": "Expecting value",
    '{"x": 1}': "step: is missing",
    '{"step": "1"}': "step '1': must be a whole number",
    '{"step": true}': "step True: must be a whole number",
    '{"step": 1.5}': "step 1.5: must be a whole number",
    '{"step": -1}': "step -1: must be 0 or more",
    '{"step": 9223372036854775808}': "step 9223372036854775808: must be less than",
    '{"step": 1, "d_loss": "2"}': "d_loss '2': must be a finite number or null",
    '{"step": 1, "fid": true}': "fid True: must be a finite number or null",
    '{"step": 1, "fid": NaN}': "fid nan: must be a finite number or null",
    '{"step": 1, "fid": 1e999}': "fid inf: must be a finite number or null",
    '{"step": 1, "mine": [2]}': "mine [2]: must be a text or a finite number or",
    '{"step": 1, "protocol": 3}': "protocol 3: must be an object",
    '{"step": 1, "protocol": {"draws": [1]}}': "protocol.draws [1]: must be a text",
    '{"step": 1, "d_loss": ' + "[" * 100_000: "nests too deep",
    '{"step": 1, "d_loss": ' + "1" * 5000 + "}": "Exceeds the limit",
}


@pytest.mark.parametrize("line", DAMAGE, ids=range(len(DAMAGE)))
def test_damage_elsewhere_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"step": 0}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(UsageError) as caught:
        read_records(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: line 2 is no record: {DAMAGE[line]}")
    assert len(message) < len(str(path)) + 200


def test_a_last_line_that_is_json_is_held_to_its_types(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"step": 1}\n{"step": 1, "d_loss": "2"}')
    with pytest.raises(UsageError, match=r"line 2 is no record: d_loss '2': must be"):
        read_records(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    text = '{"step": 1, "protocol": {"features": "Kätzchen"}}\n'
    path.write_text(text, encoding="utf-8")
    assert read_records(path)[0]["protocol"] == {"features": "Kätzchen"}
    path.write_text(2 * text, encoding=encoding)
    with pytest.raises(UsageError, match="line 1 is no record"):
        read_records(path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="a pipe, socket or device, not a file"):
        read_records(path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(UsageError, match="Too many levels of symbolic links"):
        read_records(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UsageError, match="a folder, not a file"):
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
