"""Several devices: what is refused, who speaks and writes, how a run ends together."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared.commands import command_line
from shared.commands import train as train_command
from shared.config import limits
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.data.placement import gather
from shared.errors import UsageError
from shared.randomness.draws import BATCH_AXES, Draws, draw
from shared.run import checkpoint
from shared.run.run_dir import RunDir
from shared.training.processes import (
    MOST_MINUTES,
    Processes,
    alone,
    as_place,
    find_address,
    find_processes,
    hear_flags,
    hear_slurm,
    processes,
    wait_for_others,
)
from support import (
    PATIENCE,
    TINY,
    Train,
    Twin,
    contents,
    copy,
    metrics,
    stopped,
    untimed_contents,
)

_LONG = (*TINY, "--precision", "float64", "--steps", "100000")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``told(rank, count)`` is what torchrun tells a process."""

    def tell(rank: int, count: int) -> None:
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        for name, value in zip(names, (rank, count, rank), strict=True):
            monkeypatch.setenv(name, str(value))

    return tell


def _draws(samples: slice | None) -> Draws:
    config = dataclasses.replace(
        PRESETS["cgan"],
        penalty="dragan",
        d_norm="layer",
        label_flip=0.3,
        instance_noise=0.1,
        n_critic=2,
        batch_size=12,
        image_size=8,
    )
    return draw(config, 1, 100, 50, range(3, 5), samples=samples)


def test_each_process_draws_its_own_part_of_the_batch() -> None:
    whole: dict[str, Any] = _draws(None)._asdict()
    part: dict[str, Any] = _draws(slice(4, 8))._asdict()
    for name, values in whole.items():
        if values is None or name not in BATCH_AXES:
            assert values is None or np.array_equal(values, part[name])
            continue
        own = np.take(values, range(4, 8), axis=BATCH_AXES[name])
        assert np.array_equal(own, part[name]), name


def test_the_axes_of_the_batch_are_named_for_all_that_have_one() -> None:
    drawn: dict[str, Any] = _draws(None)._asdict()
    sizes = {
        name: values.shape[BATCH_AXES[name]]
        for name, values in drawn.items()
        if values is not None and values.ndim > 1
    }
    assert set(sizes.values()) == {12}
    assert BATCH_AXES.keys() <= set(Draws._fields)


def test_images_of_a_call_lie_by_device() -> None:
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    labels = np.arange(20, dtype=np.int32)
    data = ImageData(images, labels, (), DataInfo(1, 20, 20, ""))
    draws = _draws(None)
    draws = draws._replace(indices=draws.indices % 20)
    chosen, numbered = gather(data, draws, devices=3)
    per_device = np.split(numbered.indices, 3, axis=-1)
    asked = np.split(draws.indices, 3, axis=-1)
    for device, (numbers, rows) in enumerate(zip(per_device, asked, strict=True)):
        own = chosen.images[device * rows.size : (device + 1) * rows.size]
        assert np.array_equal(own[numbers][..., 0, 0, 0], rows)
    assert chosen.labels is not None
    assert np.array_equal(chosen.labels, chosen.images[:, 0, 0, 0])


@pytest.mark.parametrize(
    ("size", "devices", "rule"),
    [
        (
            64,
            3,
            "--batch-size 64: must be a multiple of the 3 devices; the nearest are",
        ),
        (10, 4, "the nearest are 8 and 12"),
        (4, 8, "the nearest is 8"),
        (64, 0, "--devices 0: must be 1 or more"),
    ],
)
def test_devices_that_do_not_divide_the_batch_are_refused(
    size: int, devices: int, rule: str
) -> None:
    config = dataclasses.replace(PRESETS["dcgan"], batch_size=size)
    with pytest.raises(UsageError, match=rule):
        limits.check_devices(config, devices)
    limits.check_devices(config, size)


def test_local_norms_are_of_as_many_devices_as_compute() -> None:
    config = dataclasses.replace(PRESETS["dcgan"], local_batch_norm=4)
    limits.check_devices(config, 4)
    rule = "--local-batch-norm 4: norms are those of so many devices, and --devices 2"
    with pytest.raises(UsageError, match=rule):
        limits.check_devices(config, 2)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"g_norm": "none", "d_norm": "none"}, "2: neither network has batch norm"),
        ({"batch_size": 65}, "2: must divide batch_size 65, and leave two images"),
        ({"batch_size": 2}, "2: must divide batch_size 2, and leave two images"),
    ],
)
def test_local_norms_that_make_no_sense(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match=f"local_batch_norm {rule}"):
        dataclasses.replace(PRESETS["dcgan"], local_batch_norm=2, **changes)


def test_local_norms_of_one_device_are_those_of_the_batch(
    twin: Twin,
    train: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    train("dcgan", *TINY, "--local-batch-norm", 1, "--run-dir", run)
    assert json.loads((run / "config.json").read_text())["local_batch_norm"] == 1
    assert metrics(run) == metrics(finished)
    local, usual = (
        checkpoint.load(RunDir.open(x).checkpoint_path(6)).arrays
        for x in (run, finished)
    )
    for name, array in usual.items():
        assert np.array_equal(local[name], array), name
    for flags in (("--local-batch-norm", 2), ("--devices", 2)):
        stopped(2, lambda flags=flags: train("--resume", run, "--steps", 7, *flags))
        assert "--local-batch-norm " in capsys.readouterr().err


def test_processes_are_those_that_torchrun_tells_of(told: Callable[..., None]) -> None:
    assert processes() == Processes() == (0, 1, 0)
    assert not processes().follows
    told(2, 4)
    assert processes() == (2, 4, 2)
    assert processes().follows


def test_what_stands_for_what_is_not_told(untold: pytest.MonkeyPatch) -> None:
    untold.setenv("LOCAL_RANK", "3")
    for name in ("RANK", "WORLD_SIZE"):
        untold.setenv(name, "")
    assert find_processes() == processes() == (0, 1, 0)
    untold.setenv("RANK", "1")
    untold.setenv("WORLD_SIZE", "2")
    untold.delenv("LOCAL_RANK")
    assert find_processes() == processes() == (1, 2, 0)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"RANK": "1"}, "RANK=1: needs WORLD_SIZE"),
        ({"RANK": "", "WORLD_SIZE": "2"}, "WORLD_SIZE=2: needs RANK"),
        (
            {"RANK": "0", "WORLD_SIZE": "abc"},
            "WORLD_SIZE=abc: must be a whole number, 1 or more",
        ),
        (
            {"RANK": "0", "WORLD_SIZE": "0"},
            "WORLD_SIZE=0: must be a whole number, 1 or more",
        ),
        (
            {"RANK": "2", "WORLD_SIZE": "2"},
            "RANK=2: must be from 0 to 1, below WORLD_SIZE",
        ),
        (
            {"RANK": "-1", "WORLD_SIZE": "2"},
            "RANK=-1: must be from 0 to 1, below WORLD_SIZE",
        ),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "x"},
            "LOCAL_RANK=x: must be from 0 to 1, below WORLD_SIZE",
        ),
    ],
)
def test_variables_that_tell_of_no_processes(
    twin: Twin,
    untold: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    told: dict[str, str],
    line: str,
) -> None:
    """In every command, and from Python."""
    for name, value in told.items():
        untold.setenv(name, value)
    commands = {
        "train": [*TINY],
        "sample": ["x"],
        "evaluate": ["x"],
        "export": ["x"],
        "compare": ["x"],
        "data": ["digits"],
    }
    for command, words in commands.items():
        stopped(2, lambda x=command, words=words: twin.main(x)(words))
        prog = f"gans_{twin.name}.{command}"
        assert capsys.readouterr().err == f"{prog}: error: {line}\n"
    with pytest.raises(UsageError, match=line):
        twin.library.make_backend(PRESETS["dcgan"], DataInfo(1, 2, 64, ""), "cpu", None)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({}, "RANK=0: needs MASTER_ADDR and MASTER_PORT, where they meet"),
        ({"MASTER_ADDR": "a"}, "MASTER_PORT=: must be a port, from 1 to 65535"),
        (
            {"MASTER_ADDR": "a", "MASTER_PORT": "abc"},
            "MASTER_PORT=abc: must be a port, from 1 to 65535",
        ),
    ],
)
def test_variables_that_tell_of_no_place(
    twin: Twin, untold: pytest.MonkeyPatch, told: dict[str, str], line: str
) -> None:
    for name, value in ({"RANK": "0", "WORLD_SIZE": "2"} | told).items():
        untold.setenv(name, value)
    with pytest.raises(UsageError, match=line):
        twin.library.make_backend(PRESETS["dcgan"], DataInfo(1, 2, 64, ""), "cpu", None)


@pytest.mark.parametrize("command", ["export", "compare", "data"])
def test_of_what_cannot_be_shared_one_process_does_all(
    command: str,
    twin: Twin,
    told: Callable[..., None],
    finished: Path,
    tmp_path: Path,
    data_dir: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = {
        "export": [finished, "--out", tmp_path / "out"],
        "compare": [finished, "--out", tmp_path / "out.png"],
        "data": ["digits", "--data-dir", data_dir, "--out", tmp_path / "out.png"],
    }[command]
    call = twin.main(command)
    told(1, 2)
    stopped(0, lambda: call([*map(str, words)]))
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    told(0, 2)
    call([*map(str, words)])
    assert list(tmp_path.iterdir())


def test_a_process_of_several_ends_at_once_and_says_why() -> None:
    script = (
        "import atexit\n"
        "from shared.commands.process import run_command\n"
        "atexit.register(input)\n"  # as one that waits for the others
        "with run_command('gans_torch.train'):\n"
        "    raise RuntimeError('Connection closed by peer')\n"
    )
    told = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | told,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        said = process.stderr.read()
    assert said.startswith("Traceback")
    what = "RuntimeError: Connection closed by peer"
    assert said.endswith(f"{what}\nrank 1: gans_torch.train: {what}\n")


def _ended(rank: int, error: str) -> tuple[int, str]:
    """How a process of two ends by an error, if it is stopped then, and its stderr."""
    script = (
        "from shared.commands.process import run_command\n"
        "from shared.errors import Diverged, UsageError\n"
        "from shared.training import signals\n"
        "signals.say_at_last('continue')\n"
        "with run_command('gans_torch.train', None):\n"
        "    print('here', flush=True)\n"
        f"    raise {error}\n"
    )
    told = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | told,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "here\n"
        time.sleep(0.5)
        process.terminate()  # as torchrun does where another has ended
        return process.wait(60), process.stderr.read()


def test_what_all_processes_are_refused_is_said_by_the_first() -> None:
    status, said = _ended(0, "UsageError('--seed x: no')")
    assert (status, said) == (2, "gans_torch.train: error: --seed x: no\n")
    status, said = _ended(1, "UsageError('--seed x: no')")
    assert status == 128 + signal.SIGTERM
    assert "--seed" not in said


def test_that_a_run_has_diverged_is_said_once() -> None:
    _, said = _ended(0, "Diverged(1, 'NaN')")
    assert said.startswith("gans_torch.train: training has diverged: NaN; ")
    assert "continue" not in said
    _, said = _ended(1, "Diverged(1, 'NaN')")
    assert said == ""


def test_a_batch_that_the_processes_cannot_share_is_refused(
    twin: Twin, told: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    told(1, 3)
    with pytest.raises(SystemExit) as stop:
        twin.main("train")([*TINY])
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("rank 1: ")
    assert "--batch-size 8: must be a multiple of the 3 devices" in line


def test_devices_that_are_not_there_are_refused(
    twin: Twin,
    train: Train,
    finished: Path,
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hint = {"torch": "torchrun --nproc-per-node=4", "jax": "JAX_NUM_CPU_DEVICES=4"}
    asked = [str(finished), "--device", "cpu", "--devices", "4"]
    scores = ["--data-dir", str(data_dir), "--out", str(tmp_path), "--features", "none"]
    for call in (
        lambda: train(*TINY, "--devices", 4, "--run-dir", tmp_path / "run"),
        lambda: twin.main("sample")(asked),
        lambda: twin.main("evaluate")([*asked, *scores]),
    ):
        stopped(2, call)
        assert hint[twin.name] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.needs("jax")
def test_a_single_device_by_name_is_not_several() -> None:
    from gans_jax import backend

    with pytest.raises(UsageError, match="is a single one, --devices asks for 2"):
        backend._find_mesh("cpu:0", 2)


@pytest.mark.needs("torch")
def test_processes_of_pytorch_that_do_not_meet_are_refused(
    told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gans_torch.backend import Backend

    told(0, 2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", port)
        place = f"127.0.0.1:{port}: .*address already in use"
        with pytest.raises(UsageError, match=f"2 processes do not meet at {place}"):
            Backend(PRESETS["dcgan"], DataInfo(1, 2, 64, ""), "cpu")


@pytest.mark.needs("torch")
def test_processes_that_are_started_again_meet_apart_from_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gans_torch import _processes

    for name in ("GROUP_WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    assert _processes._attempt() == "attempt 0"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    assert _processes._attempt() == "attempt 2"
    # Several nodes may have counted otherwise.
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    assert _processes._attempt() == "attempt"


@pytest.mark.needs("jax")
def test_processes_that_do_not_meet_are_refused(
    told: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gans_jax.backend import Backend, find_device

    find_device("cpu")  # as from then on it is too late
    told(0, 2)
    monkeypatch.setenv("MASTER_ADDR", "here")
    monkeypatch.setenv("MASTER_PORT", "1000")
    with pytest.raises(UsageError, match="2 processes do not meet at here:1000: "):
        Backend(PRESETS["dcgan"], DataInfo(1, 2, 64, ""), "cpu")


@pytest.mark.needs("jax")
def test_jax_aborts_no_process_that_still_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gans_jax import _processes

    told: dict[str, Any] = {}
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    monkeypatch.setattr("jax.distributed.initialize", lambda *_, **x: told.update(x))
    monkeypatch.setattr(_processes, "_tell_each_other", lambda _: None)
    _processes._meet(Processes(1, 2, 1), 1, "here:1000")
    assert told["initialization_timeout"] > 60 * MOST_MINUTES
    # One may have long to do alone, when the others have ended.
    assert told["shutdown_timeout_seconds"] > 24 * 60 * 60


@pytest.mark.needs("jax")
def test_processes_that_the_user_has_had_meet_are_refused(
    untold: pytest.MonkeyPatch,
) -> None:
    """They would train a run each."""
    from gans_jax import _processes

    untold.setattr("jax.distributed.is_initialized", lambda: True)
    assert _processes.meet(1) == (0, 1, 0)
    untold.setattr("jax.process_count", lambda: 2)
    with pytest.raises(UsageError, match="initialize: has told JAX of 2 processes, wh"):
        _processes.meet(1)
    with alone():
        assert _processes.meet(1) == (0, 1, 0)


@pytest.mark.needs("jax")
def test_where_processes_of_jax_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    from gans_jax import _processes

    for name in ("MASTER_ADDR", "JAX_COORDINATOR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    assert _processes._address() is None  # SLURM knows
    monkeypatch.setenv("MASTER_ADDR", "node1")
    monkeypatch.setenv("MASTER_PORT", "1000")
    assert _processes._address() == "node1:1000"
    # Where torchrun itself listens.
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert _processes._address() == "node1:1001"
    monkeypatch.setenv("MASTER_ADDR", "fd00::1")
    assert _processes._address() == "[fd00::1]:1001"
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "node2:5")
    assert _processes._address() == "node2:5"
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "node2")
    with pytest.raises(UsageError, match="JAX_COORDINATOR_ADDRESS=node2: must be HOST"):
        _processes._address()


@pytest.mark.needs("jax")
def test_who_listens_tries_its_port_and_devices_are_those_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gans_jax import _processes

    tried: list[str] = []
    met: list[tuple[Any, ...]] = []

    def initialize(*words: Any, local_device_ids: range, **more: Any) -> None:
        met.append((*words, list(local_device_ids)))

    monkeypatch.setattr("jax.distributed.initialize", initialize)
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    monkeypatch.setattr(_processes, "_tell_each_other", lambda _: None)
    monkeypatch.setattr(_processes, "_check_port", tried.append)
    monkeypatch.delenv("JAX_COORDINATOR_BIND_ADDRESS", raising=False)
    _processes._meet(Processes(0, 4, 0), 2, "a:1")
    _processes._meet(Processes(3, 4, 1), 2, "a:1")
    _processes._meet(Processes(0, 4, 0), 1, None)  # SLURM knows
    assert met == [("a:1", 4, 0, [0, 1]), ("a:1", 4, 3, [2, 3]), (None, 4, 0, [0])]
    monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", "b:2")
    _processes._meet(Processes(0, 4, 0), 2, "a:1")
    assert tried == ["a:1", "b:2"]


@pytest.mark.needs("jax")
def test_a_port_in_use_is_told_before_jax_ends_by_it() -> None:
    from gans_jax import _processes

    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        with socket.create_connection(taken.getsockname()):
            connected, _ = taken.accept()
            connected.close()
        command = [sys.executable, "-m", "gans_jax.train", *TINY, *_flags(place, 0)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"error: 2 processes do not meet at {place}: " in line
    assert "Address already in use" in line
    _processes._check_port(place)  # though a connection to it was there a moment ago


@pytest.mark.needs("jax")
@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
def test_what_jax_tells_others_may_be_longer_than_a_message(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gans_jax import _processes

    sent = []
    monkeypatch.setattr(_processes, "_PIECE_BYTES", 16)
    monkeypatch.setattr(_processes, "highest", lambda x: sent.append(x) or x)
    value = bytes(range(count))
    assert _processes.said_by_first(value) == value
    numbers, *pieces = sent
    assert numbers.dtype == np.int32
    # A program is compiled for each length.
    assert {len(piece) for piece in pieces[:-1]} <= {16}
    assert len(pieces[-1]) in (1, 2, 4, 8, 16)


@pytest.mark.needs("jax")
@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_only_nvidia_has_tf32(platform: str) -> None:
    from gans_jax.backend import _find_matmul_precision

    config = TrainConfig(precision="tf32")
    with pytest.raises(UsageError, match=f"the device is {platform}; use float32"):
        _find_matmul_precision(config, platform)
    assert _find_matmul_precision(config, "gpu") == "tensorfloat32"


@pytest.mark.needs("jax")
def test_the_number_of_a_device_counts() -> None:
    from gans_jax.backend import find_device

    assert find_device("cpu") == find_device("cpu:0")
    with pytest.raises(UsageError, match="device cpu:99: no such device; JAX sees cpu"):
        find_device("cpu:99")


@pytest.mark.needs("jax")
def test_what_is_in_use_of_a_device_is_not_free() -> None:
    from gans_jax.backend import Backend

    backend = Backend(PRESETS["ring"], DataInfo(2, 0, 2048, ""), "cpu")
    assert (backend._free_memory(), backend._all_memory()) == (0, None)
    used = {"bytes_limit": 100, "bytes_in_use": 30}
    backend.device = SimpleNamespace(memory_stats=lambda: used)  # pyrefly: ignore
    assert (backend._free_memory(), backend._all_memory()) == (70, 100)


@pytest.mark.needs("jax")
def test_processes_of_jax_have_devices_of_their_own(
    told: Callable[..., None],
) -> None:
    from gans_jax import backend

    told(0, 2)
    with pytest.raises(UsageError, match="each process has its own devices; use cuda"):
        backend._find_mesh("cpu:0", 1)


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable tells of processes, and none that is set now stays."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_processes_are_those_that_flags_tell_of(untold: pytest.MonkeyPatch) -> None:
    hear_flags(None, None, None)
    assert processes() == (0, 1, 0)
    hear_flags("node1:29500", 4, 2)
    assert processes() == (2, 4, 0)
    place = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    assert place == ("node1", "29500")


def test_hosts_may_be_addresses_of_ipv6(untold: pytest.MonkeyPatch) -> None:
    """Brackets keep host and port apart, and are no part of the address."""
    hear_flags("[fd00::1]:29500", 4, 2)
    assert os.environ["MASTER_ADDR"] == "fd00::1"
    assert as_place(*find_address()) == "[fd00::1]:29500"


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        (("a:1", 2, None), "coordinator-address a:1: needs --process-id"),
        (
            (None, None, 0),
            "process-id 0: needs --coordinator-address and --num-processes",
        ),
        (("a", 2, 0), "coordinator-address a: must be HOST:PORT"),
        (("a:0", 2, 0), "coordinator-address a:0: must be HOST:PORT"),
        (("a:70000", 2, 0), "coordinator-address a:70000: must be HOST:PORT"),
        (("a:1", 0, 0), "num-processes 0: must be 1 or more"),
        (("a:1", 2, 2), "process-id 2: must be from 0 to 1, the last of"),
        (("a:1", 2, -1), "process-id -1: must be from 0 to 1"),
    ],
)
def test_flags_that_tell_of_no_processes(
    untold: pytest.MonkeyPatch, told: tuple[Any, ...], rule: str
) -> None:
    with pytest.raises(UsageError, match=f"--{rule}"):
        hear_flags(*told)
    assert processes() == (0, 1, 0)


def test_processes_are_told_of_once(
    twin: Twin, told: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    told(0, 2)
    flags = ["--coordinator-address", "a:1", "--num-processes", "3"]
    flags += ["--process-id", "0"]
    for command, words in (("train", TINY), ("sample", ["x"]), ("evaluate", ["x"])):
        stopped(
            2, lambda command=command, words=words: twin.main(command)([*words, *flags])
        )
        line = capsys.readouterr().err
        assert "--num-processes 3: the environment tells of process 0 of 2" in line


def test_slurm_tells_jax_of_processes(
    twin: Twin, untold: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untold.setenv("LOCAL_RANK", "0")  # of another launcher
    slurm = {"SLURM_PROCID": "1", "SLURM_NTASKS": "3", "SLURM_LOCALID": "1"}
    for name, value in slurm.items():
        untold.setenv(name, value)
    hear_slurm()  # `srun` has started nothing
    assert processes() == (0, 1, 0)
    untold.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    words = [*TINY, "--resume", "nowhere", "--devices", "2"]
    stopped(2, lambda: twin.main("train")(words))
    found = (1, 3, 1) if twin.name == "jax" else (0, 1, 0)
    assert processes() == found
    assert capsys.readouterr().err.startswith("rank 1: ") == (twin.name == "jax")


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        (
            {"SLURM_PROCID": "x"},
            "SLURM_PROCID=x: must be from 0 to 2, below SLURM_NTASKS",
        ),
        (
            {"SLURM_LOCALID": "3"},
            "SLURM_LOCALID=3: must be from 0 to 2, below SLURM_NT",
        ),
        ({"SLURM_NTASKS": "0"}, "SLURM_NTASKS=0: must be a whole number, 1 or more"),
    ],
)
def test_what_slurm_cannot_tell_is_refused_by_its_names(
    told: dict[str, str], rule: str, untold: pytest.MonkeyPatch
) -> None:
    usual = {"SLURM_PROCID": "0", "SLURM_NTASKS": "3", "SLURM_LOCALID": "0"}
    for name, value in (usual | told | {"SLURM_STEP_NODELIST": "node1"}).items():
        untold.setenv(name, value)
    with pytest.raises(UsageError, match=f"^{rule}"):
        hear_slurm()
    assert processes() == (0, 1, 0)


def test_what_others_say_of_a_meeting_ends_as_our_own_words_do() -> None:
    def meet() -> None:
        raise ValueError("coordinator_address should be defined.")

    with pytest.raises(UsageError, match=r"at a:1: .* should be defined; try another$"):
        wait_for_others(meet, "a:1", "; try another")


@pytest.mark.parametrize(
    ("told", "flags", "words"),
    [
        ({"MASTER_ADDR": "a"}, {}, "torchrun --nproc-per-node=2 -m gans_jax.train "),
        (
            {"MASTER_ADDR": "a", "GROUP_WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1"},
            {},
            "torchrun --nnodes=2 --nproc-per-node=1 --rdzv-backend=c10d"
            " --rdzv-endpoint=a:29400 -m gans_jax.train ",
        ),
        ({}, {}, "srun --ntasks=2 python -m gans_jax.train "),
        (
            {"MASTER_ADDR": "a"},
            {"coordinator_address": "a:1", "num_processes": 2, "process_id": 0},
            "python -m gans_jax.train --resume RUN --device cpu"
            " --coordinator-address a:1 --num-processes 2 --process-id 0",
        ),
    ],
)
def test_a_run_is_resumed_as_it_was_started(
    untold: pytest.MonkeyPatch,
    told: dict[str, str],
    flags: dict[str, Any],
    words: str,
) -> None:
    parsed = command_line.parse_train(TINY, "gans_jax.train")
    options = dataclasses.replace(parsed, **flags)
    for name, value in (
        told | {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    ).items():
        untold.setenv(name, value)
    command = train_command.resume_command(options, Path("RUN"), "gans_jax.train")
    assert command.startswith(words)


@pytest.mark.needs("torch")
def test_each_process_has_a_device_of_its_own() -> None:
    from gans_torch import backend

    assert backend._own("cuda:1", Processes()) == "cuda:1"
    assert backend._own("cuda", Processes(5, 8, 1)) == "cuda:1"
    assert backend._own("cpu", Processes(5, 8, 1)) == "cpu"
    with pytest.raises(UsageError, match="each process has a device of its own"):
        backend._own("cuda:1", Processes(5, 8, 1))


@pytest.mark.needs("jax")
def test_the_device_that_is_named_is_taken() -> None:
    words = (
        "from gans_jax import backend; print(backend._find_mesh('cpu:1', 1).devices)"
    )
    found = subprocess.run(
        [sys.executable, "-c", words],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout == "[CpuDevice(id=1)]\n"


def _command(
    twin: Twin, *arguments: object, by_torchrun: bool = False, restarts: int = 0
) -> tuple[list[str], dict[str, str]]:
    """A training on two devices, which torchrun starts anew so many times."""
    words = list(map(str, arguments))
    if twin.name == "jax" and not by_torchrun:
        command = [*twin.command("train"), "--devices", "2", *words]
        return command, {"JAX_NUM_CPU_DEVICES": "2"}
    launch = "from torch.distributed.run import main; main()"
    here = ["--nproc-per-node=2", "--master-port=0", "--rdzv-backend=c10d"]
    here.append(f"--max-restarts={restarts}")
    endpoint = ["--rdzv-endpoint=127.0.0.1:0", "-m", f"gans_{twin.name}.train"]
    return [sys.executable, "-c", launch, *here, *endpoint, *words], {}


@pytest.fixture
def started(
    twin: Twin, data_dir: Path, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **how: Any) -> subprocess.Popen[str]:
        words = (*arguments, "--data-dir", data_dir)
        command, environment = _command(twin, *words, **how)
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                command, env=os.environ | environment, stderr=log, text=True
            )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()


def _workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes that train, in the order of their ranks."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            told = (folder / "environ").read_text().split("\0")
        except OSError:  # it is gone by now, or somebody else's
            continue
        ranks = [x for x in told if x.startswith("RANK=")]
        if int(parent) == process.pid and ranks:
            found[ranks[0]] = int(folder.name)
    return [found[rank] for rank in sorted(found)]


def _wait_for_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    while not list((run / "checkpoints").glob("*.safetensors")):
        assert process.poll() is None
        time.sleep(0.1)


def test_a_run_goes_on_elsewhere_on_another_number_of_devices(
    twin: Twin,
    started: Callable[..., subprocess.Popen[str]],
    train: Train,
    tmp_path: Path,
) -> None:
    """As if nothing had happened; and what is said and written comes once."""
    six = (*TINY, "--precision", "float64")
    train(*six, "--run-dir", tmp_path / "alone")
    # The other place of the data than where `parity_tests` has them.
    shared = ("--steps", 3, "--run-dir", tmp_path / "run", "--data-on", "device")
    process = started(*six, *shared)
    assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert said.count("done: ") == 1
    assert said.count("step 2/3") == 1
    train("--resume", tmp_path / "run", "--steps", 6, "--device", "cpu")
    alone, moved = (RunDir.open(tmp_path / name) for name in ("alone", "run"))
    assert moved.checkpoint_steps() == alone.checkpoint_steps() == [3, 6]
    records = zip(metrics(alone.path), metrics(moved.path), strict=True)
    for first, second in records:
        assert first == pytest.approx(second, rel=1e-9, abs=1e-12)
    for step in (3, 6):
        first, second = (
            checkpoint.load(run.checkpoint_path(step)).arrays for run in (alone, moved)
        )
        assert first.keys() == second.keys()
        for name, array in first.items():
            np.testing.assert_allclose(second[name], array, rtol=0, atol=1e-10)


def test_where_processes_are_to_meet_nobody_else_does(place: str) -> None:
    host, port = place.split(":")
    with socket.socket() as other, pytest.raises(OSError, match="already in use"):
        other.bind((host, int(port)))
    socket.create_server((host, int(port))).close()


def _flags(place: str, rank: int) -> list[str]:
    """What tells one of two processes of the other."""
    return [
        *("--coordinator-address", place),
        *("--num-processes", "2", "--process-id", str(rank)),
    ]


def _told_of(devices: int, place: str) -> list[dict[str, str]]:
    """What tells each process of the others, of which each has a device."""
    host, port = place.split(":")
    return [
        {"MASTER_ADDR": host, "MASTER_PORT": port}
        | dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank))
        | {"WORLD_SIZE": str(devices)}
        for rank in range(devices)
    ]


def _together(
    twin: Twin,
    commands: Callable[[int], list[tuple[str, list[str]]]],
    told: list[dict[str, str]],
) -> list[str]:
    """What each process writes to stdout that does these commands.

    Args:
        twin: whose they are.
        commands: of the process of a rank.
        told: what the environment tells each.
    """
    script = (
        "import importlib, json, sys\n"
        "for name, words in json.loads(sys.argv[1]):\n"
        f"    importlib.import_module(f'gans_{twin.name}.{{name}}').main(words)\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(commands(rank))],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, environment in enumerate(told)
    ]
    said = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    return said


def test_several_devices_draw_what_one_draws_and_score_it_alike(
    twin: Twin, finished: Path, data_dir: Path, tmp_path: Path, place: str
) -> None:
    run = copy(finished, tmp_path)

    def commands(out: Path, *extra: str) -> list[tuple[str, list[str]]]:
        # Batches of 64, 64, 64 and 8.
        drawn = [str(run), "--num", "200", "--device", "cpu", *extra]
        scored = [*drawn, "--features", "none"]
        scored += ["--data-dir", str(data_dir), "--out", str(out)]
        return [
            ("sample", [*drawn, "--out", str(out / "grid.png")]),
            ("evaluate", scored),
        ]

    for name, words in commands(tmp_path / "one"):
        twin.main(name)(words)
    two, extra = tmp_path / "two", ()
    told = _told_of(2, place)
    if twin.name == "jax":
        extra, told = ("--devices", "2"), [{"JAX_NUM_CPU_DEVICES": "2"}]
    first, *others = _together(twin, lambda _: commands(two, *extra), told)
    assert contents(two) == contents(tmp_path / "one")
    assert ", step 6\n" in first
    assert all(said == "" for said in others)


def test_processes_score_a_run_in_training_as_one_would(
    twin: Twin, data_dir: Path, tmp_path: Path, place: str
) -> None:
    """All of them draw the samples, of which there are 29 batches."""
    run, data = tmp_path / "run", ["--data-dir", str(data_dir)]
    words = [*TINY, "--evaluate-every", "6", "--run-dir", str(run), *data]
    told = _told_of(2, place)
    said = _together(twin, lambda _: [("train", ["dcgan", *words])], told)
    assert said == ["", ""]
    drawn = ["--num", "1797", "--draws", "1", "--device", "cpu", *data]
    twin.main("evaluate")([str(run), *drawn])
    report = json.loads((run / "evaluation-000006.json").read_text())
    record = json.loads((run / "scores.jsonl").read_text())
    for name in ("fid", "kid", "coverage"):
        assert report["scores"][name]["draws"] == [record[name]], name


@pytest.mark.parametrize("twin", ["torch"], indirect=True, scope="session")
def test_processes_of_pytorch_that_flags_tell_of_compute_what_one_does(
    twin: Twin, train: Train, data_dir: Path, tmp_path: Path, place: str
) -> None:
    words = [*TINY, "--precision", "float64", "--steps", "3"]
    train(*words, "--run-dir", tmp_path / "one")
    words += ["--run-dir", str(tmp_path / "two"), "--data-dir", str(data_dir)]
    _together(twin, lambda rank: [("train", [*words, *_flags(place, rank)])], [{}, {}])
    one, two = (
        checkpoint.load(RunDir.open(tmp_path / name).checkpoint_path(3)).arrays
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-10)


@pytest.mark.parametrize("twin", ["jax"], indirect=True, scope="session")
def test_processes_of_jax_compute_what_devices_of_one_do(
    twin: Twin, data_dir: Path, tmp_path: Path, place: str
) -> None:
    """Byte for byte: what is written while training, drawn and scored."""

    def commands(run: Path, *extra: str) -> list[tuple[str, list[str]]]:
        common = ["--device", "cpu", *extra]
        data = ["--data-dir", str(data_dir), *common]
        shared = ["--precision", "float64", "--data-on", "host", "--steps", "3"]
        resumed = ["--resume", str(run), "--steps", "4"]
        drawn = ["--separate", "--num", "200", "--out", str(run / "drawn")]
        scored = ["--num", "200", "--draws", "1", "--features", "none"]
        return [
            ("train", ["dcgan", *TINY, *shared, "--run-dir", str(run), *data]),
            ("train", [*resumed, *data]),
            ("sample", [str(run), *drawn, *common]),
            ("evaluate", [str(run), *scored, *data]),
        ]

    one, two = tmp_path / "one", tmp_path / "two"
    devices = [{"JAX_NUM_CPU_DEVICES": "2"}]
    [said] = _together(twin, lambda _: commands(one, "--devices", "2"), devices)
    told = _together(twin, lambda rank: commands(two, *_flags(place, rank)), [{}, {}])
    assert untimed_contents(two) == untimed_contents(one)
    assert metrics(two) == metrics(one)
    assert told == [said, ""]


def test_several_processes_do_not_judge_images(
    twin: Twin, told: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    told(0, 2)
    words = ["--samples", "x", "--reference", "y"]
    stopped(2, lambda: twin.main("evaluate")(words))
    assert "--samples x: are judged by one process" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_no_devices_draw_nothing(
    twin: Twin, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(2, lambda: twin.main(command)(["run", "--devices", "0"]))
    assert "--devices 0: must be 1 or more" in capsys.readouterr().err


# The process that writes takes long to end. Another that did not wait for it would have
# torchrun end it meanwhile.
_LATE = """
import time
from shared.training.recorder import FolderRecorder
def register(twin):
    conclude = FolderRecorder.conclude
    def late(self):
        time.sleep(2)
        conclude(self)
    FolderRecorder.conclude = late
"""


@pytest.mark.needs("torch")  # which has torchrun
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_stop_and_die_together(
    twin: Twin, started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    run, plugin = tmp_path / "run", tmp_path / "late.py"
    plugin.write_text(_LATE)
    flags = (*_LONG, "--save-every", 5, "--run-dir", run, "--plugin", plugin)
    process = started(*flags, by_torchrun=True)
    _wait_for_checkpoint(process, run)
    # To one that does not write.
    os.kill(_workers(process)[1], signal.SIGUSR1)
    assert process.wait(PATIENCE) != 0
    said = (tmp_path / "log").read_text()
    assert said.count("stopped after ") == 1
    assert f"torchrun --nproc-per-node=2 -m gans_{twin.name}.train --resume" in said
    last = RunDir.open(run).checkpoint_steps()[-1]
    assert f"stopped after {last} of 100000 steps" in said

    more = ("--resume", run, "--steps", "100001", "--device", "cpu")
    process = started(*more, "--plugin", plugin, by_torchrun=True)
    while RunDir.open(run).checkpoint_steps()[-1] == last:
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.1)
    first, second = _workers(process)
    os.kill(second, signal.SIGKILL)
    latest = time.monotonic() + 30
    while Path(f"/proc/{first}").exists() and time.monotonic() < latest:
        time.sleep(0.1)
    # After a second; torchrun then takes two of computing to end itself.
    assert not Path(f"/proc/{first}").exists()
    assert process.wait(PATIENCE) != 0
    newest = RunDir.open(run).checkpoint_steps()[-1]
    checkpoint.load(RunDir.open(run).checkpoint_path(newest))
    assert "rank      : 1" in (tmp_path / "log").read_text()


@pytest.mark.long
@pytest.mark.needs("torch")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_that_dies_goes_on_by_itself_and_ends_as_if_it_had_not(
    twin: Twin, started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    flags = (*TINY, "--steps", 60, "--save-every", 20, "--sample-every", 60)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert started(*flags, "--run-dir", whole, by_torchrun=True).wait(900) == 0
    again = ("--resume", "auto", "--run-dir", broken)
    process = started(*flags, *again, by_torchrun=True, restarts=1)
    while not RunDir(broken).checkpoint_steps():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(_workers(process)[1], signal.SIGKILL)
    assert process.wait(900) == 0, (tmp_path / "log").read_text()
    said = (tmp_path / "log").read_text()
    assert said.count(f"--resume auto: {broken}\n") == 1
    assert untimed_contents(broken) == untimed_contents(whole)
    assert metrics(broken) == metrics(whole)
