"""How several processes of a run meet, and whether each of them is still there.

gloo waits for half an hour for one that does not answer, and never says which it is.
So each tells the others every second, in the store where they have met, that it lives,
and how often it has come to wait for them. A thread does, whatever the program computes
meanwhile: one that takes long is not taken for one that is gone.
"""

import atexit
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed
from torch.distributed import Store

from shared import terminal
from shared.errors import TrainingError, UsageError
from shared.training.processes import Processes, processes

_EVERY_SECONDS = 1.0
# One that is silent for so many of them is taken for frozen, and all end. A library
# that does not let Python change threads would have to do so for that long.
_MOST_SILENT = 60
# Where a message has failed, so many tell who is gone; after some more nobody is.
_SILENT, _PATIENCE = 4, 8


def meet(devices: int | None) -> Processes:
    """Meet the run's other processes, if there are any, each with a device.

    Args:
        devices: how many are asked for; None: as there are processes.

    Raises:
        UsageError: they do not meet, or are not as many.
    """
    found = processes()
    if devices not in (None, found.count):
        raise UsageError(
            f"--devices {devices}: in PyTorch each device has a process, of which there"
            f" are {found.count}; torchrun --nproc-per-node={devices} -m gans_torch.…"
            " starts as many"
        )
    if found.count > 1 and not torch.distributed.is_initialized():
        try:
            _meet()
        except (RuntimeError, ValueError) as error:
            told = os.environ.get
            raise UsageError(
                f"{found.count} processes do not meet at {told('MASTER_ADDR')}:"
                f"{told('MASTER_PORT')}: {error}"
            ) from error
    return found


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Wait for the others, inside; one that is gone is noticed, and named.

    Raises:
        TrainingError: a message has failed, as one of them is gone.
    """
    for watch in _watches:
        watch.came += 1
        watch.waits = True
    try:
        yield
    except RuntimeError as error:
        for watch in _watches:
            if missing := watch.find():
                what = str(error).partition(". ")[0]  # and not the advice after it
                raise TrainingError(f"{missing}: {what}") from error
        raise
    finally:
        for watch in _watches:
            watch.waits = False


class _Watch:
    """What the run's processes tell each other.

    Args:
        store: where they have met.
        rank: of this one.
        count: of all.
    """

    def __init__(self, store: Store, rank: int, count: int) -> None:
        # A connection of its own, as one that asks has all others wait.
        self._store = store.clone()
        self._rank = rank
        self._others = [x for x in range(count) if x != rank]
        # Counted, and not timed: a machine that sleeps has nobody miss anybody.
        self._silent = dict.fromkeys(self._others, 0)
        self._said = dict.fromkeys(self._others, b"0 0")
        self._is_heard = False
        self._is_over = threading.Event()
        # Two, as the store is in a process, too, which may be the one that is frozen.
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._listen, self._judge)
        ]
        self.came = 0
        """How often this process has waited for the others, which is the same in all
        where nobody is late."""
        self.waits = False
        """Whether it does."""
        self._tell(0)

    def begin(self) -> None:
        """Tell and listen, once all have met."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Tell no more."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(_EVERY_SECONDS)  # or it comes back when Python is gone
        # The store goes with the first process, and the others would say so at length.
        with contextlib.suppress(RuntimeError):
            self._store.set(f"over {self._rank}", "")
            if self._rank == 0:
                names = [f"over {x}" for x in self._others]
                self._store.wait(names, timedelta(seconds=_PATIENCE))

    def find(self) -> str:
        """Which of the others is gone, in words, once that is clear; or nothing."""
        for _ in range(_PATIENCE):
            if self._silent[rank := self._quietest()] >= _SILENT:
                return f"rank {rank} answers no more"
            time.sleep(_EVERY_SECONDS)
        came = {x: int(said.split()[1]) for x, said in self._said.items()}
        rank = min(self._others, key=lambda x: came[x])
        if came[rank] < self.came:
            return f"rank {rank} lives, and does not come"
        return ""

    def _tell(self, beat: int) -> None:
        self._store.set(f"beat {self._rank}", f"{beat} {self.came}")

    def _listen(self) -> None:
        names = [f"beat {x}" for x in self._others]
        # Until the store is gone.
        with contextlib.suppress(RuntimeError):
            for beat in itertools.count(1):
                self._tell(beat)
                said = self._store.multi_get(names)
                self._is_heard = True
                for rank, words in zip(self._others, said, strict=True):
                    if words != self._said[rank]:
                        self._said[rank], self._silent[rank] = words, 0
                if self._is_over.wait(_EVERY_SECONDS):
                    return

    def _judge(self) -> None:
        while not self._is_over.wait(_EVERY_SECONDS):
            # Nothing is heard of the others where the first has the store, and is gone.
            for rank in self._others if self._is_heard else self._others[:1]:
                self._silent[rank] += 1
            self._is_heard = False
            silent = self._silent[rank := self._quietest()]
            # Whoever waits for nobody may go on without them.
            if self.waits and silent >= _MOST_SILENT:
                terminal.say(
                    f"rank {self._rank}: gans_torch: rank {rank} has been silent for"
                    f" {silent * _EVERY_SECONDS:g} s: it is frozen, or its machine gone"
                )
                os._exit(1)  # as gloo takes no other word

    def _quietest(self) -> int:
        """Who has been silent for longest."""
        return max(self._others, key=lambda x: self._silent[x])


# None, or one.
_watches: list[_Watch] = []


def _meet() -> None:
    """Wait for the run's other processes."""
    # Of the host too, for what is no tensor of the device.
    both = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    store, rank, count = next(torch.distributed.rendezvous("env://"))
    store = torch.distributed.PrefixStore(_attempt(), store)
    watch = _Watch(store, rank, count)
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if both else "gloo",
        store=store,
        rank=rank,
        world_size=count,
    )
    watch.begin()
    _watches.append(watch)
    # Left to the end of Python, its threads end the process by an abort now and then.
    atexit.register(_part)


def _part() -> None:
    """Take down what `_meet` has set up, where nobody else has."""
    for watch in _watches:
        watch.end()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _attempt() -> str:
    """What torchrun's --max-restarts has started, for the first time or again.

    Its processes meet at a store that outlives them, where those that are gone have
    left their addresses. Several nodes may count differently, and so do not tell.
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        return "attempt"
    return f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
