"""Watches of a run's processes, here in one process, and faster."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo, ImageData
from shared.errors import TrainingError
from shared.training import heartbeats
from shared.training.heartbeats import Heartbeat
from shared.training.session import Session
from support import PATIENCE


class _Store:
    """What three processes say; the others live until told otherwise."""

    def __init__(self) -> None:
        self.own = ""
        self.silent: set[str] = set()
        self.came: dict[str, int] = {}
        self.is_gone = False
        self._asked = 0

    def set(self, name: str, words: str, /) -> None:
        self._look()
        self.own = words

    def multi_get(self, names: list[str], /) -> list[bytes]:
        self._look()
        self._asked += 1
        return [self._say(name).encode() for name in names]

    def _say(self, name: str) -> str:
        beat = 0 if name in self.silent else self._asked
        return f"{beat} {self.came.get(name, 0)}"

    def _look(self) -> None:
        if self.is_gone:
            raise RuntimeError("the store is gone")


Start = Callable[..., Heartbeat]


@pytest.fixture
def store() -> _Store:
    """Where all meet."""
    return _Store()


@pytest.fixture
def start(store: _Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``start(rank, give_up)`` begins a watch; the last one is ended."""
    monkeypatch.setattr(heartbeats, "EVERY_SECONDS", 0.1)

    def started(
        rank: int = 0,
        give_up: Callable[[int, float], None] = lambda *_: None,
        is_over: threading.Event | None = None,
    ) -> Heartbeat:
        watch = Heartbeat(store, rank, 3, give_up)
        watch._is_over = is_over or watch._is_over
        watch.begin()
        return watch

    yield started
    for watch in tuple(heartbeats._heartbeats):
        watch.end()


def _fail(store: _Store, **came: int) -> None:
    """A message fails; all others have come for it, but for those that are told."""
    with heartbeats.waiting():
        store.came = {f"beat {x}": came.get(f"rank{x}", 1) for x in range(3)}
        raise RuntimeError("connection closed. Some advice.")


def test_one_that_is_gone_is_named(
    start: Start, store: _Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads are late on a busy machine; it takes no more of them than are needed.
    monkeypatch.setattr(heartbeats, "PATIENCE", 200)
    start()
    store.silent.add("beat 2")
    with pytest.raises(TrainingError, match=r"^rank 2 answers no more: conn.* closed$"):
        _fail(store)


def test_one_that_does_not_come_is_named(start: Start, store: _Store) -> None:
    start()
    with pytest.raises(TrainingError, match=r"^rank 1 lives, and does not come: conn"):
        _fail(store, rank1=0)


def test_where_all_are_there_the_error_is_what_it_was(
    start: Start, store: _Store
) -> None:
    start()
    with pytest.raises(RuntimeError, match=r"^connection closed\. Some advice\.$"):
        _fail(store)


def test_with_the_store_its_process_is_gone(
    start: Start, store: _Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "PATIENCE", 200)
    start(rank=1)
    store.is_gone = True
    with pytest.raises(TrainingError, match=r"^rank 0 answers no more: "):
        _fail(store)


def test_whose_threads_are_late_finds_it_all_the_same(
    start: Start, store: _Store
) -> None:
    class Late(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(4 * (timeout or 0))

    start(is_over=Late())
    store.silent.add("beat 2")
    with pytest.raises(TrainingError, match=r"^rank 2 answers no more: "):
        _fail(store)


def test_one_that_is_frozen_is_given_up_by_who_waits(
    start: Start, store: _Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "MOST_SILENT", 6)
    given_up: list[tuple[int, float]] = []
    is_told = threading.Event()

    def give_up(rank: int, seconds: float) -> None:
        given_up.append((rank, seconds))
        is_told.set()

    start(give_up=give_up)
    store.silent.add("beat 1")
    time.sleep(1.0)
    assert not given_up, "who waits for nobody goes on"
    with heartbeats.waiting():
        assert is_told.wait(PATIENCE)
    rank, seconds = given_up[0]
    assert rank == 1
    assert seconds >= 6 * heartbeats.EVERY_SECONDS


def test_a_thread_waits_until_it_has_what_it_waits_for(start: Start) -> None:
    watch, has_it = start(), threading.Event()

    def wait() -> None:
        with heartbeats.waiting():
            has_it.wait(PATIENCE)

    reader = threading.Thread(target=wait)
    with heartbeats.waiting():
        reader.start()
        while watch.came < 2:
            time.sleep(0.01)
    assert watch.waits, "another one's end is not its own"
    has_it.set()
    reader.join()
    assert not watch.waits


@pytest.mark.needs("torch")
def test_who_waits_for_what_a_gpu_computes_waits_for_the_others(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gans_torch.backend import Backend

    watch, waits = start(), list[int]()
    event = SimpleNamespace(synchronize=lambda: waits.append(watch.waits))
    monkeypatch.setattr(Backend, "_mark", lambda self: event)
    images = np.zeros((8, 16, 16, 1), np.uint8)
    info = DataInfo(1, 1, 8, "")
    config = dataclasses.replace(PRESETS["dcgan"], image_size=16, width=2, batch_size=2)
    session = Session(
        config, ImageData(images, None, (), info), Backend(config, info, "cpu")
    )
    session.start()
    session.run(1)
    assert waits == [1]


def test_nothing_is_told_after_the_end(start: Start) -> None:
    watch = start()
    assert heartbeats._heartbeats == [watch]
    watch.end()
    assert not heartbeats._heartbeats
    for thread in watch._threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
