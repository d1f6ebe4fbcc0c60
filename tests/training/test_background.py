"""Work that is made ahead, or done in the background."""

import threading
import time
from collections.abc import Iterator

import pytest

from shared.training.background import Background, prefetch
from support import PATIENCE


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before  # one of an earlier test may end


def test_results_come_in_order() -> None:
    assert list(prefetch(lambda item: item * item, range(20))) == [
        i * i for i in range(20)
    ]
    assert list(prefetch(str, [])) == []


def test_the_next_two_are_made_while_one_is_used() -> None:
    third = threading.Event()
    made = []

    def make(item: int) -> int:
        made.append((item, threading.current_thread()))
        if item == 2:
            third.set()
        return item

    results = prefetch(make, range(100))
    assert next(results) == 0
    assert third.wait(PATIENCE)
    next(results)
    results.close()
    items, threads = zip(*made, strict=True)
    assert items in ((0, 1, 2), (0, 1, 2, 3))
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


def test_an_error_comes_in_its_place() -> None:
    results = prefetch(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_tasks_are_done_in_order_in_another_thread() -> None:
    done = []
    with Background() as background:
        gate = threading.Event()
        background.do(gate.wait, PATIENCE)
        for number in range(5):
            background.do(done.append, number)
        assert done == []
        gate.set()
        background.wait()
        assert done == [0, 1, 2, 3, 4]
        background.do(done.append, 5)
    assert done == [0, 1, 2, 3, 4, 5]


def test_only_so_many_tasks_may_wait() -> None:
    gate = threading.Event()
    given, done = [], []

    def produce() -> None:
        with Background() as background:
            background.do(gate.wait, PATIENCE)
            for number in range(100):
                background.do(done.append, number)
                given.append(number)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(0.3)
    assert len(given) < 100
    assert done == []
    gate.set()
    producer.join(PATIENCE)
    assert given == done == list(range(100))


def fail() -> None:
    raise OSError("disk full")


def test_after_an_error_nothing_more_is_done() -> None:
    done = []

    def work() -> None:
        with Background() as background:
            gate = threading.Event()
            background.do(gate.wait, PATIENCE)
            background.do(fail)
            background.do(done.append, "without what should precede it")
            gate.set()

    with pytest.raises(OSError, match="disk full"):
        work()
    assert done == []


def test_a_later_task_is_told_of_an_error() -> None:
    def work(background: Background) -> None:
        background.do(fail)
        for _ in range(1000):
            background.do(time.sleep, 0.001)

    with Background() as background, pytest.raises(OSError, match="disk full"):
        work(background)


def test_leaving_with_an_error_does_what_was_asked_for() -> None:
    done = []

    def work() -> None:
        with Background() as background:
            background.do(done.append, 1)
            background.do(fail)
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        work()
    assert done == [1]
