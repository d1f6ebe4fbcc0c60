"""Processes of a run that wait for each other, or were asked for different runs."""

import os
import pickle
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from shared.backend import Backend
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import SaidElsewhere, UsageError
from shared.plugins import Plugin
from shared.training import agreement, processes
from shared.training.agreement import Asked, asked_for, check_alike
from support import PATIENCE, TINY, Twin

Start = Callable[..., subprocess.Popen[str]]

_DATA = DataInfo(1, 2, 64, "abcdef0123")
_PLUGIN = Plugin("a.py", "0123456789")
_RING = ("ring", "--steps", 30, "--device", "cpu")
# On a busy machine; where nothing ends it, it waits for several times as long.
_AT_ONCE = 60
# Says sooner than to users that it waits.
_SOON = """
from shared.training import processes
def register(twin): processes._SILENT_SECONDS = 0.5
"""


def _asked(
    data: DataInfo = _DATA, plugin: Plugin | None = None, **changes: Any
) -> Asked:
    settings: dict[str, Any] = {"steps": 30, **changes}
    return asked_for(TrainConfig(**settings), data, plugin, on_nan="stop")


class _Heard:
    """What a process hears: of rank 0, and whether another has spoken up; as `Backend`.

    Args:
        asked: what rank 0 says.
        count_from_last: of the first that differs among the others; 0: none does.
    """

    def __init__(self, asked: Asked, count_from_last: int = 0) -> None:
        self._asked = asked
        self._other = count_from_last

    def agree(self, value: object) -> Any:
        return self._asked.version, pickle.dumps(self._asked)

    def highest(self, number: int) -> int:
        return max(number, self._other)


def _heard(asked: Asked, count_from_last: int = 0) -> Backend:
    return cast(Backend, _Heard(asked, count_from_last))


@pytest.fixture
def of_four(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``of_four(rank)`` makes this process one of four on a machine."""
    monkeypatch.setattr(agreement, "_FAREWELL_SECONDS", 0)

    def tell(rank: int) -> None:
        for name in ("RANK", "LOCAL_RANK"):
            monkeypatch.setenv(name, str(rank))
        monkeypatch.setenv("WORLD_SIZE", "4")

    return tell


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (_asked(seed=5), "--seed 5: rank 0 has --seed 0"),
        (
            _asked(steps=None, epochs=2, flip=True),
            "no --steps, --epochs 2, --flip True: rank 0 has --steps 30, no --epochs,"
            " --flip False",
        ),
        (_asked(width=8, z_dim=8, seed=1, log_every=1, batch_size=8), " and 2 more: "),
        (_asked(plugin=_PLUGIN), "--plugin a.py of digest 01234567: rank 0 has none"),
        (
            _asked(_DATA._replace(sha256="9876543210"), dataset="folder:x"),
            "--dataset folder:x: its images are others than those of rank 0 (64 of"
            " digest 98765432 here, 64 of digest abcdef01 there)",
        ),
        (_asked()._replace(version="9.9"), "gans-twins 9.9: rank 0 has "),
    ],
)
def test_what_was_asked_for_otherwise_is_named(
    of_four: Callable[[int], None], asked: Asked, line: str
) -> None:
    of_four(2)
    with pytest.raises(UsageError) as error:
        check_alike(_heard(_asked()), asked)
    assert line in str(error.value)


def test_only_the_first_that_differs_speaks(of_four: Callable[[int], None]) -> None:
    of_four(0)
    check_alike(_heard(_asked()), _asked())
    for rank, seed in ((0, 0), (1, 0), (3, 5)):
        of_four(rank)
        with pytest.raises(SaidElsewhere, match="rank 2 was asked for another run"):
            check_alike(_heard(_asked(), 2), _asked(seed=seed))


def test_a_folder_may_be_elsewhere_and_its_classes_called_otherwise(
    of_four: Callable[[int], None],
) -> None:
    of_four(1)
    data = _DATA._replace(class_names=("a", "b"))
    check_alike(_heard(_asked(dataset="folder:x")), _asked(data, dataset="folder:y"))


@pytest.mark.parametrize(("rank", "is_said"), [(0, True), (1, False)])
def test_one_of_a_machine_says_that_it_waits(
    of_four: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rank: int,
    is_said: bool,
) -> None:
    of_four(rank)
    found, is_late = processes.processes, threading.Event()

    def find() -> processes.Processes:
        """Asked where it is known whether they are late."""
        is_late.set()
        return found()

    def come_late() -> None:
        is_late.wait(PATIENCE)

    monkeypatch.setattr(processes, "processes", find)
    monkeypatch.setattr(processes, "_SILENT_SECONDS", PATIENCE)
    processes.wait_for_others(lambda: None, "a:1")
    assert capsys.readouterr().err == ""
    is_late.clear()
    monkeypatch.setattr(processes, "_SILENT_SECONDS", 0.05)
    processes.wait_for_others(come_late, "a:1")
    line = "waiting for the other processes at a:1 (4 in all)\n"
    assert capsys.readouterr().err == (line if is_said else "")


def test_one_that_waits_hears_a_signal_that_another_thread_gets(
    of_four: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As any of them may, of a process that is stopped and goes on."""
    of_four(1)
    is_heard = threading.Event()

    def come_late() -> None:
        time.sleep(0.5)  # by then it is known to be late
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        assert is_heard.wait(_AT_ONCE)

    monkeypatch.setattr(processes, "_SILENT_SECONDS", 0.05)
    before = signal.signal(signal.SIGUSR1, lambda *_: is_heard.set())
    processes.wait_for_others(come_late, "a:1")
    signal.signal(signal.SIGUSR1, before)


def test_nobody_waits_for_the_others_without_end(
    of_four: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_four(0)
    monkeypatch.setattr(processes, "_SILENT_SECONDS", 0)
    monkeypatch.setattr(processes, "MOST_MINUTES", 0)
    never = threading.Event()

    def meet() -> None:
        never.wait(10)

    told = "^4 processes do not meet at a:1: not all have come in 0 minutes; try b:1$"
    with pytest.raises(UsageError, match=told):
        processes.wait_for_others(meet, "a:1", "; try b:1")
    never.set()


@pytest.mark.parametrize("kind", [OSError, RuntimeError, ValueError])
def test_what_keeps_processes_from_meeting_is_told(
    of_four: Callable[[int], None], kind: type[Exception]
) -> None:
    def fail() -> None:
        raise kind("no such host")

    of_four(0)
    told = "^4 processes do not meet at a:1: no such host; try b:1$"
    with pytest.raises(UsageError, match=told):
        processes.wait_for_others(fail, "a:1", "; try b:1")


@pytest.fixture
def start(twin: Twin, tmp_path: Path, place: str) -> Iterator[Start]:
    """``start(rank, *words)`` starts one of two processes, which writes a log."""
    running: list[subprocess.Popen[str]] = []

    def started(rank: int, *words: object) -> subprocess.Popen[str]:
        told = ("--coordinator-address", place, "--num-processes", 2)
        words = (*words, *told, "--process-id", rank, "--run-dir", tmp_path / "run")
        with (tmp_path / f"log{rank}").open("w") as log:
            command = twin.command("train", *words)
            running.append(subprocess.Popen(command, stderr=log, text=True))
        return running[-1]

    yield started
    for process in running:
        process.kill()
        process.wait()


def _said(folder: Path, rank: int) -> str:
    return (folder / f"log{rank}").read_text()


def _lines(folder: Path, ranks: tuple[int, ...] = (0, 1)) -> list[str]:
    """What they have said, but that one waits, whom the other lets wait for long."""
    lines = [x for rank in ranks for x in _said(folder, rank).splitlines()]
    return [x for x in lines if "waiting for the other processes" not in x]


def test_processes_with_other_settings_end_in_one_line(
    twin: Twin, start: Start, tmp_path: Path
) -> None:
    both = start(0, *_RING), start(1, *_RING, "--seed", 5)
    assert [process.wait(PATIENCE) for process in both] == [2, 2], _lines(tmp_path)
    assert _lines(tmp_path) == [
        f"rank 1: gans_{twin.name}.train: error: --seed 5: rank 0 has --seed 0"
    ]
    assert not (tmp_path / "run").exists()


def test_where_the_first_process_refuses_it_alone_says_so(
    twin: Twin, start: Start, tmp_path: Path
) -> None:
    plugin = tmp_path / "full.py"
    plugin.write_text(
        "from shared.errors import UsageError\n"
        "from shared.training import places\n"
        "def refuse(*asked): raise UsageError('no room')\n"
        "def register(twin): places.check_room = refuse\n"
    )
    both = [start(rank, *_RING, "--plugin", plugin) for rank in (0, 1)]
    assert [process.wait(PATIENCE) for process in both] == [2, 2], _lines(tmp_path)
    assert _lines(tmp_path) == [f"gans_{twin.name}.train: error: no room"]


@pytest.mark.parametrize("twin", ["jax"], indirect=True, scope="session")
def test_processes_of_jax_with_other_numbers_of_devices_end_in_one_line(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    both = start(0, *_RING), start(1, *_RING, "--devices", 2)
    assert [process.wait(PATIENCE) for process in both] == [2, 2], _lines(tmp_path)
    line = "gans_jax.train: error: --devices 2: rank 0 has --devices 1"
    assert _lines(tmp_path) == [f"rank 1: {line}"]


def test_processes_with_other_images_end_in_one_line(
    twin: Twin, start: Start, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    words = []
    for rank in range(2):
        folder = tmp_path / f"images{rank}"
        folder.mkdir()
        for number in range(8):
            pixels = rng.integers(256, size=(16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
        given = ("dcgan", *TINY, "--dataset", f"folder:{folder}")
        words.append((*given, "--cache-dir", tmp_path / "cache"))
    both = start(0, *words[0]), start(1, *words[1])
    assert [process.wait(PATIENCE) for process in both] == [2, 2], _lines(tmp_path)
    errors = [x for x in _lines(tmp_path) if "error" in x]
    assert len(errors) == 1
    assert "images1: its images are others than those of rank 0 (8 of" in errors[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rank", "sent"), [(0, signal.SIGTERM), (1, signal.SIGINT)], ids=["first", "other"]
)
def test_one_that_waits_says_so_and_ends_at_once(
    start: Start, tmp_path: Path, rank: int, sent: int
) -> None:
    plugin = tmp_path / "soon.py"
    plugin.write_text(_SOON)
    process = start(rank, *_RING, "--plugin", plugin)
    latest = time.monotonic() + PATIENCE
    while not (said := _said(tmp_path, rank)).endswith("\n"):
        assert process.poll() is None
        assert time.monotonic() < latest
        time.sleep(0.1)
    assert "waiting for the other processes at 127.0.0.1:" in said
    os.kill(process.pid, sent)
    assert process.wait(_AT_ONCE) == 128 + sent
    assert _said(tmp_path, rank) == said
    assert said.count("\n") == 1
    assert said.startswith("rank 1: ") == (rank == 1)


def test_a_signal_ends_one_that_has_met_the_others_at_once(
    start: Start, tmp_path: Path
) -> None:
    """Rank 0 is the last to go where the processes differ: it still hears."""
    plugin = tmp_path / "late.py"
    plugin.write_text(
        "from shared.training import agreement\n"
        "def register(twin): agreement._FAREWELL_SECONDS = 1000\n"
    )
    first = start(0, *_RING, "--plugin", plugin)
    assert start(1, *_RING, "--seed", 5, "--plugin", plugin).wait(PATIENCE) == 2
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(_AT_ONCE) == 128 + signal.SIGTERM
    assert _lines(tmp_path, (0,)) == []
