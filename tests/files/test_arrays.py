"""Files of arrays: equal contents, equal bytes; whatever is wrong is noticed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from shared.errors import UsageError
from shared.files.arrays import ArrayFile, Arrays, digest
from shared.run import checkpoint

FILE = ArrayFile("toy", "toy")
ARRAYS: Arrays = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "count": np.asarray(3, np.int64),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    FILE.write(path, {"step": 3}, ARRAYS)
    metadata, arrays = FILE.read(path)
    assert metadata == {"step": 3, "sha256": digest({"step": 3}, ARRAYS)}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)
    assert FILE.is_intact(metadata, arrays)


def test_order_and_memory_layout_do_not_matter(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    FILE.write(one, {"a": 1, "b": 2}, ARRAYS)
    turned = {"matrix": np.asfortranarray(ARRAYS["matrix"])}
    FILE.write(other, {"b": 2, "a": 1}, {"count": ARRAYS["count"], **turned})
    assert one.read_bytes() == other.read_bytes()


def test_the_digest_is_of_names_types_shapes_and_bytes() -> None:
    matrix = ARRAYS["matrix"]
    others: list[tuple[Mapping[str, Any], Arrays]] = [
        ({"step": 4}, {"m": matrix}),
        ({"step": 3}, {"n": matrix}),
        ({"step": 3}, {"m": matrix.view(np.int32)}),
        ({"step": 3}, {"m": matrix.reshape(3, 2)}),
        ({"step": 3}, {"m": matrix + 1}),
        ({"step": 3}, {}),
    ]
    found = {digest(*contents) for contents in others}
    found.add(digest({"step": 3}, {"m": matrix}))
    assert len(found) == len(others) + 1
    # Files that were written before must stay readable.
    expected = hashlib.sha256(b'{"step":3}["m","float32",[2,3]]' + matrix.tobytes())
    assert digest({"step": 3}, {"m": matrix}) == expected.hexdigest()


def test_a_change_is_noticed() -> None:
    signed = {"step": 3, "sha256": digest({"step": 3}, ARRAYS)}
    assert FILE.is_intact(signed, ARRAYS)
    assert not FILE.is_intact(signed | {"step": 4}, ARRAYS)
    assert not FILE.is_intact(signed, ARRAYS | {"count": np.asarray(4, np.int64)})
    with pytest.raises(KeyError):
        FILE.is_intact({"step": 3}, ARRAYS)


def test_a_kind_of_file_may_have_a_digest_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    names = ArrayFile("toy", "toy", lambda metadata, arrays: "+".join(sorted(arrays)))
    names.write(path, {}, ARRAYS)
    metadata, arrays = names.read(path)
    assert metadata == {"sha256": "count+matrix"}
    assert names.is_intact(metadata, arrays)
    assert not FILE.is_intact(metadata, arrays)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    FILE.write(path, {}, ARRAYS)
    with pytest.raises(UsageError, match="not a checkpoint of this project"):
        checkpoint.FILE.read(path)
    with pytest.raises(UsageError, match="a folder, not a toy file"):
        FILE.read(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        FILE.read(tmp_path / "none")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null"])
def test_metadata_that_are_no_object_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors.numpy.save(ARRAYS, {"toy": text}))
    with pytest.raises(UsageError, match="damaged: unreadable metadata"):
        FILE.read(path)
    path.write_bytes(safetensors.numpy.save(ARRAYS, {"toy": json.dumps({})}))
    assert FILE.read(path)[0] == {}


def test_a_file_that_may_not_be_read_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    FILE.write(path, {}, {})

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        UsageError, match=f"^{path}: cannot be read: Permission denied$"
    ):
        FILE.read(path)
