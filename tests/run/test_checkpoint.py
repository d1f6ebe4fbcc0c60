"""The checkpoint file: exact, whole, and refused when anything about it is wrong."""

import dataclasses
import errno
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.run_dir import RunDir

DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="0" * 64)


def make_checkpoint(**changes: Any) -> Checkpoint:
    random = np.random.default_rng(0)
    arrays = {
        "generator.up.0.weight": random.normal(size=(3, 2, 4, 4)).astype(np.float32),
        "generator.norm.num_batches_tracked": np.array(7, np.int64),
        "discriminator.weight": random.normal(size=(2, 3)),
        "g_optimizer.step": np.array(2**40 + 1, np.int64),
        "g_optimizer.exp_avg.up.0.weight": np.array([np.nan, -0.0, 1e-45], np.float32),
        "d_optimizer.exp_avg.empty": np.zeros((0, 3), np.float32),
    }
    config = TrainConfig(dataset="folder:/pictures/Kätzchen", adam_betas=(0.0, 0.99))
    return Checkpoint(step=12, config=config, data=DATA, arrays=arrays)._replace(
        **changes
    )


def assert_same(left: Checkpoint, right: Checkpoint) -> None:
    assert left[:3] == right[:3]
    assert sorted(left.arrays) == sorted(right.arrays)
    for name, array in left.arrays.items():
        other = right.arrays[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape), name
        assert array.tobytes() == other.tobytes(), name


def message(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        checkpoint.load(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "000012.safetensors"
    checkpoint.save(path, make_checkpoint())
    return path


def test_load_gives_what_was_saved(saved: Path) -> None:
    loaded = checkpoint.load(saved)
    assert_same(loaded, make_checkpoint())
    for array in loaded.arrays.values():
        array[...] = 0  # a backend may use the arrays in place
    assert_same(checkpoint.load(saved), make_checkpoint())


@pytest.mark.parametrize(
    "strided",
    [
        np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        np.arange(24.0)[::-2],
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.broadcast_to(np.float32(3), (4, 4)),
    ],
)
def test_strided_arrays_keep_their_values(
    tmp_path: Path, strided: NDArray[Any]
) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, make_checkpoint(arrays={"generator.w": strided}))
    np.testing.assert_array_equal(
        checkpoint.load(path).arrays["generator.w"], strided, strict=True
    )


def test_equal_states_give_equal_bytes(tmp_path: Path, saved: Path) -> None:
    original = make_checkpoint()
    reordered = dict(reversed(original.arrays.items()))
    again = tmp_path / "again.safetensors"
    checkpoint.save(again, original._replace(arrays=reordered))
    assert again.read_bytes() == saved.read_bytes()


def test_equal_states_give_equal_bytes_in_another_process(
    tmp_path: Path, saved: Path
) -> None:
    again = tmp_path / "again.safetensors"
    program = (
        "import sys; from pathlib import Path; from shared.run import checkpoint;"
        "old, new = map(Path, sys.argv[1:]); checkpoint.save(new, checkpoint.load(old))"
    )
    command = [sys.executable, "-c", program, str(saved), str(again)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert again.read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"step": 13},
        {"config": dataclasses.replace(make_checkpoint().config, seed=1)},
        {"data": DATA._replace(count=1)},
        {"arrays": {**make_checkpoint().arrays, "g_optimizer.step": np.array(1)}},
    ],
)
def test_different_states_give_different_bytes(
    tmp_path: Path, saved: Path, changes: dict[str, Any]
) -> None:
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, make_checkpoint(**changes))
    assert other.read_bytes() != saved.read_bytes()
    assert_same(checkpoint.load(other), make_checkpoint(**changes))


@pytest.mark.needs("torch")
def test_pytorch_loads_the_generator_without_our_code(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    def network() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))

    generator = network()
    generator(torch.randn(5, 2))
    state = generator.state_dict()
    arrays = {f"generator.{k}": v.numpy() for k, v in state.items()}
    arrays["generator_ema.0.weight"] = np.zeros((1, 1))
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, make_checkpoint(arrays=arrays))

    loaded = load_file(path)
    g = "generator."
    part = {k.removeprefix(g): v for k, v in loaded.items() if k.startswith(g)}
    other = network()
    other.load_state_dict(part)
    for name, value in other.state_dict().items():
        assert torch.equal(value, state[name]), name
        assert value.shape == state[name].shape, name


@pytest.mark.parametrize("keep", [0, 4, 8, 200, -1])
def test_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    text = message(saved)
    assert "empty" in text if keep == 0 else "truncated or damaged" in text


def test_longer_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes() + b"\0")
    assert "damaged" in message(saved)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flip") / "000012.safetensors"
    checkpoint.save(path, make_checkpoint())
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"F64","shape":[2,3]', b'"F64","shape":[3,2]'),
        (b'"F64","shape":[2,3]', b'"I64","shape":[2,3]'),
        (b'"discriminator.weight"', b'"discriminator.height"'),
    ],
    ids=["shape", "type", "name"],
)
def test_consistently_changed_header_is_refused(
    saved: Path, old: bytes, new: bytes
) -> None:
    content = saved.read_bytes()
    assert content.count(old) == 1
    saved.write_bytes(content.replace(old, new))
    assert "contents and checksum disagree" in message(saved)


@settings(max_examples=400)
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_changed_byte_never_loads_as_something_else(
    intact: Path, position: float, byte: int
) -> None:
    content = bytearray(intact.read_bytes())
    content[int(position * len(content))] = byte
    changed = intact.with_name("changed.safetensors")
    changed.write_bytes(content)
    try:
        loaded = checkpoint.load(changed)
    except UsageError:
        return
    # Neither white space in the header's padding nor the case of a digit in an escaped
    # letter means anything.
    assert_same(loaded, make_checkpoint())


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "none.safetensors")


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "a folder" in message(tmp_path)


def test_pickle_is_refused_and_never_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (tmp_path.joinpath("executed").write_text, ("!",))

    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Trap()))
    assert "no safetensors file" in message(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_foreign_safetensors_file_is_refused(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}, metadata))
    assert "not a checkpoint of this project" in message(path)


def rewrite(path: Path, **changes: Any) -> None:
    """Change the metadata and make the checksum right again."""
    metadata, arrays = checkpoint.FILE.read(path)
    del metadata["sha256"]
    checkpoint.FILE.write(path, metadata | changes, arrays)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 3}, "checkpoint version 3: this program reads versions up to 2"),
        ({"version": "x"}, "version 'x': must be a whole number"),
        ({"version": True}, "version True: must be a whole number"),
        ({"version": 0}, "checkpoint version 0: this program reads versions up to 2"),
        ({"step": 1.0}, "step 1.0: must be a whole number"),
        ({"step": True}, "step True: must be a whole number"),
        ({"step": -1}, "step -1: must be 0 or more"),
        ({"step": 2**63}, "step 9223372036854775808: must be less than 2**63"),
        ({"step": "1"}, "step '1': must be a whole number"),
        ({"rollbacks": [[1]]}, "rollbacks[0] [1]: must be a list of 2"),
        ({"plugin": {"file": 3}}, "plugin.sha256: is missing"),
        ({"data": DATA._asdict() | {"count": 0.5}}, "data.count 0.5: must be a whole"),
        ({"data": DATA._asdict() | {"more": 0}}, "data.more 0: is unknown"),
        ({"config": {"version": 1, "width": [[4]]}}, "width [[4]]: must be a whole"),
        ({"config": {"version": 1, "g_lr": math.nan}}, "g_lr nan: must be a finite"),
        ({"config": {"version": 1, "adam_betas": 3}}, "adam_betas 3: must be a list"),
        ({"config": {"version": 99}}, "configuration version 99"),
        ({"config": {"version": 1, "colour": 3}}, "unknown colour"),
        ({"config": None}, "unreadable metadata"),
        ({"data": {"colour": 3}}, "unreadable metadata"),
    ],
)
def test_metadata_of_another_program_are_refused(
    saved: Path, changes: dict[str, Any], expected: str
) -> None:
    rewrite(saved)
    checkpoint.load(saved)
    rewrite(saved, **changes)
    assert expected in message(saved)


DEEP = '{"version":' + "[" * 100_000 + "]" * 100_000 + "}"
DIGITS = '{"version":' + "1" * 5000 + "}"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nonsense", '{"version": 1}', DEEP, DIGITS]
)
def test_unreadable_metadata_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.safetensors"
    content = safetensors.numpy.save({"a": np.zeros(2)}, {"gan_checkpoint": text})
    path.write_bytes(content)
    assert "unreadable metadata" in message(path)


def test_failed_write_leaves_the_old_file_and_no_debris(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written: No space left on device"):
        checkpoint.save(saved, make_checkpoint(step=13))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_interrupted_write_leaves_no_debris(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(saved, make_checkpoint(step=13))
    assert list(saved.parent.iterdir()) == [saved]


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.safetensors"
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        checkpoint.save(path, make_checkpoint())


def test_of_a_run_in_training_the_last_may_go_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir.create(tmp_path / "run", TrainConfig(), DATA)
    for step in (1, 2):
        checkpoint.save(run.checkpoint_path(step), make_checkpoint(step=step))
    load = checkpoint.load

    def load_late(path: Path) -> Checkpoint:
        if path.name == "000002.safetensors":  # a newer one has taken its place
            path.rename(run.checkpoint_path(3))
        return load(path)

    monkeypatch.setattr(checkpoint, "load", load_late)
    path, found = checkpoint.find(run.path, None)
    assert path == run.checkpoint_path(3)
    assert_same(found, make_checkpoint(step=2))
    path.rename(run.checkpoint_path(2))
    with pytest.raises(UsageError, match=r"000002\.safetensors: cannot be read"):
        checkpoint.find(run.path, 2)
    with pytest.raises(UsageError, match="nowhere"):
        checkpoint.find(tmp_path / "nowhere.safetensors", None)
