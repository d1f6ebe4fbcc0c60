"""Whether a run's processes are still there: each tells the others that it lives.

What carries a run's sums does not say who it is that does not answer, and may wait for
it for long. So each tells the others every second, where they have met, that it lives,
and how often it has come to wait for them. A thread does, whatever the program computes
meanwhile: one that takes long is not taken for one that is gone.
"""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from shared import terminal
from shared.errors import TrainingError
from shared.training.processes import processes

EVERY_SECONDS = 1.0
"""How often they tell."""
PATIENCE = 8
"""Where a message has failed, after so many of them nobody is gone."""
MOST_SILENT = 60
"""One that is silent for so many of them is taken for frozen, and all end. A library
that does not let Python change threads would have to do so for that long."""
# So many of them tell who is gone.
_SILENT = 4


class Store(Protocol):
    """Where the processes of a run have met, and leave words for each other."""

    def set(self, name: str, words: str, /) -> None:
        """Leave words under a name, in the place of those that are there."""
        ...

    def multi_get(self, names: list[str], /) -> list[bytes]:
        """The words under each of the names, for which it waits."""
        ...


class Heartbeat:
    """What the run's processes tell each other.

    Args:
        store: where they have met.
        rank: of this one.
        count: of all.
        give_up: is called where this one waits for one that is silent for
            `MOST_SILENT`, with its rank and the seconds.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        count: int,
        give_up: Callable[[int, float], None],
    ) -> None:
        self._store = store
        self._rank = rank
        self._others = [x for x in range(count) if x != rank]
        self._give_up = give_up
        # Counted, and not timed: a machine that sleeps has nobody miss anybody.
        self._silent = dict.fromkeys(self._others, 0)
        self._said = dict.fromkeys(self._others, b"0 0")
        self._is_heard = False
        self._judged = 0
        self._is_over = threading.Event()
        # Two, as the store is in a process, too, which may be the one that is frozen.
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._live, self._judge)
        ]
        self.came = 0
        """How often this process has waited for the others, which is the same in all
        where nobody is late."""
        self.waits = 0
        """How many of its threads do."""
        self._tell(0)

    def begin(self) -> None:
        """Tell and listen, once all have met; `waiting` asks from then on."""
        for thread in self._threads:
            thread.start()
        _heartbeats.append(self)

    def end(self) -> None:
        """Tell no more."""
        _heartbeats.remove(self)
        self._is_over.set()
        for thread in self._threads:
            thread.join(EVERY_SECONDS)  # or it comes back when Python is gone

    def find(self) -> str:
        """Which of the others is gone, in words, once that is clear; or nothing."""
        # Counted in `_judge`'s rounds, whose thread may be late on a busy machine.
        last = self._judged + PATIENCE
        while self._judged < last and not self._is_over.is_set():
            if self._silent[rank := self._quietest()] >= _SILENT:
                return f"rank {rank} answers no more"
            time.sleep(EVERY_SECONDS)
        came = {x: int(said.split()[1]) for x, said in self._said.items()}
        rank = min(self._others, key=lambda x: came[x])
        if came[rank] < self.came:
            return f"rank {rank} lives, and does not come"
        return ""

    def _tell(self, beat: int) -> None:
        self._store.set(f"beat {self._rank}", f"{beat} {self.came}")

    def listen(self) -> None:
        """Hear what the others have said.

        Raises:
            RuntimeError: the store is gone.
        """
        said = self._store.multi_get([f"beat {x}" for x in self._others])
        self._is_heard = True
        for rank, words in zip(self._others, said, strict=True):
            if words != self._said[rank]:
                self._said[rank], self._silent[rank] = words, 0

    def _live(self) -> None:
        # Until the store is gone.
        with contextlib.suppress(RuntimeError):
            for beat in itertools.count(1):
                self._tell(beat)
                self.listen()
                if self._is_over.wait(EVERY_SECONDS):
                    return

    def _judge(self) -> None:
        while not self._is_over.wait(EVERY_SECONDS):
            # Nothing is heard of the others where the first has the store, and is gone.
            for rank in self._others if self._is_heard else self._others[:1]:
                self._silent[rank] += 1
            self._is_heard = False
            self._judged += 1
            silent = self._silent[rank := self._quietest()]
            # Whoever waits for nobody may go on without them.
            if self.waits and silent >= MOST_SILENT:
                self._give_up(rank, silent * EVERY_SECONDS)

    def _quietest(self) -> int:
        """The process that has been silent for longest."""
        return max(self._others, key=lambda x: self._silent[x])


def give_up(twin: str, rank: int, seconds: float) -> None:
    """End this process, as another one does not answer.

    Args:
        twin: the package that both run.
        rank: of the other one.
        seconds: for which it has been silent.
    """
    terminal.say(
        f"rank {processes().rank}: {twin}: rank {rank} has been silent for"
        f" {seconds:g} s: it is frozen, or its machine gone"
    )
    os._exit(1)  # as gloo takes no other word


def have_met() -> bool:
    """Whether this process is among others, and has met them."""
    return bool(_heartbeats)


# None, or one.
_heartbeats: list[Heartbeat] = []
# Two threads may count: one that trains, and one that reads what comes of it.
_counting = threading.Lock()


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Wait for the others, inside; one that is gone is noticed, and named.

    Raises:
        TrainingError: a message has failed, as one of them is gone.
    """
    with _counting:
        for heartbeat in _heartbeats:
            heartbeat.came += 1
            heartbeat.waits += 1
    try:
        yield
    except (RuntimeError, ValueError) as error:  # as JAX calls it now and then
        for heartbeat in _heartbeats:
            if missing := heartbeat.find():
                what = str(error).partition(". ")[0]  # and not the advice after it
                raise TrainingError(f"{missing}: {what}") from error
        raise
    finally:
        with _counting:
            for heartbeat in _heartbeats:
                heartbeat.waits -= 1
