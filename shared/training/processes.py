"""The processes of a run, where it has several: one speaks, draws and writes.

They are told of each other by variables of the environment, as ``torchrun`` sets them;
what flags and SLURM say becomes the same here.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from shared import terminal
from shared.config.flags import flag, refuse
from shared.config.values import printable
from shared.errors import UsageError

_KeptT = TypeVar("_KeptT")

_is_alone: ContextVar[bool] = ContextVar("is_alone", default=False)
_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
# What SLURM calls these.
_NAMES_OF_SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
STEP_OF_SLURM = "SLURM_STEP_NODELIST"
"""Names the nodes to what ``srun`` has started."""
_PORTS = range(1, 2**16)
# Whoever waits longer than this for the others says so.
_SILENT_SECONDS = 5
MOST_MINUTES = 30
"""So long whoever has come waits for the others, which is what PyTorch waits."""


class Processes(NamedTuple):
    """How many processes train together, and which of them this one is."""

    rank: int = 0
    """From 0 up; 0 is the one that speaks, draws and writes."""
    count: int = 1
    local_rank: int = 0
    """Among those of this machine, from 0 up."""

    @property
    def follows(self) -> bool:
        """Whether another process speaks, draws and writes."""
        return self.rank > 0


def processes() -> Processes:
    """As `find_processes`; one, too, where it refuses: who says so asks here."""
    try:
        return find_processes()
    except UsageError:
        return Processes()


def find_processes() -> Processes:
    """As ``torchrun``, flags or SLURM have told; one, where nobody has, and `alone`.

    Raises:
        UsageError: they have told a part only, or what cannot be.
    """
    told = [name for name in ("RANK", "WORLD_SIZE") if os.environ.get(name)]
    if not told or is_alone():
        return Processes()
    if len(told) == 1:
        needed = "WORLD_SIZE" if told == ["RANK"] else "RANK"
        raise _refuse_told(told[0], f"needs {needed}")
    return _told_by(*_NAMES)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside, this process asks no others, who may be at something else."""
    token = _is_alone.set(True)
    try:
        yield
    finally:
        _is_alone.reset(token)


def is_alone() -> bool:
    """Whether it is inside `alone`."""
    return _is_alone.get()


def _told_by(of_rank: str, of_count: str, of_local_rank: str) -> Processes:
    """What variables of these names tell."""
    count = _number(of_count, range(1, 2**31), "must be a whole number, 1 or more")
    rule = f"must be from 0 to {count - 1}, below {of_count}"
    rank = _number(of_rank, range(count), rule)
    local_rank = _number(of_local_rank, range(count), rule, missing="0")
    return Processes(rank, count, local_rank)


def find_address() -> tuple[str, int]:
    """Host and port where the first process listens, as the environment tells.

    Raises:
        UsageError: it tells of none.
    """
    if not (host := os.environ.get("MASTER_ADDR")):
        raise _refuse_told("RANK", "needs MASTER_ADDR and MASTER_PORT, where they meet")
    return host, _number("MASTER_PORT", _PORTS, "must be a port, from 1 to 65535")


def as_place(host: str, port: int) -> str:
    """HOST:PORT, with brackets around a host that is an address of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_place(address: str) -> bool:
    """Whether it is HOST:PORT."""
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) in _PORTS


def _number(name: str, allowed: range, rule: str, missing: str = "") -> int:
    """A number that a variable tells, or that stands for one that is missing."""
    try:
        value = int(os.environ.get(name) or missing)
    except ValueError:
        value = None
    if value is None or value not in allowed:
        raise _refuse_told(name, rule)
    return value


def _refuse_told(name: str, rule: str) -> UsageError:
    return UsageError(f"{name}={printable(os.environ.get(name, ''))}: {rule}")


def hear_flags(address: str | None, count: int | None, rank: int | None) -> None:
    """Have `processes` know what flags say, if they say anything.

    Args:
        address: where the first process listens, as HOST:PORT.
        count: of the processes.
        rank: of this one.

    Raises:
        UsageError: one of them is missing or out of range, or another has told.
    """
    flags = {
        "coordinator_address": address,
        "num_processes": count,
        "process_id": rank,
    }
    given = [name for name, value in flags.items() if value is not None]
    if address is None or count is None or rank is None:
        if given:
            missing = [flag(name) for name in flags if name not in given]
            rule = f"needs {' and '.join(missing)}"
            raise refuse(given[0], flags[given[0]], rule)
        return
    if os.environ.get("RANK") and (rank, count) != (told := find_processes())[:2]:
        rule = f"the environment tells of process {told.rank} of {told.count}"
        raise refuse("num_processes", count, rule)
    if not is_place(address):
        raise refuse("coordinator_address", address, "must be HOST:PORT")
    if not 1 <= count < 2**31:
        raise refuse("num_processes", count, "must be 1 or more")
    if not 0 <= rank < count:
        rule = f"must be from 0 to {count - 1}, the last of --num-processes"
        raise refuse("process_id", rank, rule)
    os.environ |= dict(zip(_NAMES, (str(rank), str(count), "0"), strict=True))
    host, _, port = address.rpartition(":")
    # Brackets are no part of an address of IPv6, which no host would be found by.
    os.environ |= {"MASTER_ADDR": host.strip("[]"), "MASTER_PORT": port}


def hear_slurm() -> None:
    """Have `processes` know what SLURM says, if ``srun`` has started this process.

    Where the first one listens is found by who can read SLURM's list of nodes.

    Raises:
        UsageError: it says what cannot be.
    """
    names = (*_NAMES_OF_SLURM, STEP_OF_SLURM)
    if os.environ.get("RANK") or not all(name in os.environ for name in names):
        return
    _told_by(*_NAMES_OF_SLURM)  # refused by names that the user knows
    for name, called in zip(_NAMES, _NAMES_OF_SLURM, strict=True):
        os.environ[name] = os.environ[called]


def wait_for_others(meet: Callable[[], None], place: str, hint: str = "") -> None:
    """Meet the other processes, and say so where they take long to come.

    Args:
        meet: waits until all have come. In a library's function Python hears no signal,
            so another thread calls it, and the program's handlers act at once.
        place: where.
        hint: what may help where they do not meet.

    Raises:
        UsageError: they do not meet.
    """
    met: futures.Future[None] = futures.Future()
    threading.Thread(target=keep, args=(meet, met), daemon=True).start()
    _, late = futures.wait([met], _SILENT_SECONDS)
    rank, count, local_rank = processes()
    if late and local_rank == 0:  # one voice for each machine
        of_rank = f"rank {rank}: " if rank else ""
        terminal.say(
            f"{of_rank}waiting for the other processes at {place} ({count} in all)"
        )
    # A signal may come to another thread, as to a process that is stopped: the handler
    # acts when this one wakes.
    last = time.monotonic() + 60 * MOST_MINUTES
    while late and time.monotonic() < last:
        _, late = futures.wait([met], 1)
    try:
        if late:
            raise TimeoutError(f"not all have come in {MOST_MINUTES} minutes")
        met.result()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"{count} processes do not meet at {place}: {str(error).rstrip('.')}{hint}"
        ) from error


def keep(call: Callable[[], _KeptT], kept: "futures.Future[_KeptT]") -> None:
    """Call it, and keep what comes of it, as an executor that nobody waits for.

    Args:
        call: what to call.
        kept: takes its value, or its error.
    """
    try:
        kept.set_result(call())
    except BaseException as error:
        kept.set_exception(error)
