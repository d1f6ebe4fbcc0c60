"""How several processes of a run meet, and what they tell each other besides training.

Messages go from processor to processor, by gloo, as they do in PyTorch: so none of them
waits for what an accelerator is at.
"""

import atexit
import contextlib
import functools
import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array, P
from jax.sharding import Mesh, NamedSharding
from numpy.typing import NDArray

from shared.config.values import printable
from shared.errors import UsageError
from shared.training import heartbeats
from shared.training.agreement import end_alike
from shared.training.heartbeats import Heartbeat
from shared.training.processes import (
    MOST_MINUTES,
    STEP_OF_SLURM,
    Processes,
    as_place,
    find_address,
    find_processes,
    is_alone,
    is_place,
    processes,
    wait_for_others,
)

# Where it keeps what the processes tell each other has no public name.
try:
    from jax._src.distributed import global_state as _global_state
except ImportError:
    _global_state = None

_ValueT = TypeVar("_ValueT")

_AXIS = "processes"
# What processes tell each other at a time: a state may have more bytes than an int32.
_PIECE_BYTES = 2**28
_BOARD = "gans"
# JAX ends all in words of its own: long after the heartbeat has named who is silent.
_SILENCE_SECONDS = 120
# Whoever has come to its end waits for the others, of which one may have long to do
# alone. After that JAX would abort them all.
_FAREWELL_OF_JAX_SECONDS = 7 * 24 * 60 * 60
# Whoever has met the others has no more to wait for than their program's start.
_START_SECONDS = 20
# So long the others find out, too, who is gone, before the first of them goes.
_FAREWELL_SECONDS = 2


def meet(devices: int) -> Processes:
    """Meet the run's other processes, if there are any.

    To be called before JAX looks for devices.

    Args:
        devices: of each process.

    Raises:
        UsageError: they do not meet, or what the environment tells of them cannot be.
    """
    found, have_met = find_processes(), jax.distributed.is_initialized()
    if found.count == 1 and have_met and jax.process_count() > 1 and not is_alone():
        raise UsageError(
            f"jax.distributed.initialize: has told JAX of {jax.process_count()}"
            " processes, which meet by themselves where RANK, WORLD_SIZE, MASTER_ADDR"
            " and MASTER_PORT tell of them: leave it out"
        )
    if found.count == 1 or have_met:
        return found
    address = _address()
    wait_for_others(
        functools.partial(_meet, found, devices, address),
        address or "the place that SLURM names",
        "; JAX_COORDINATOR_ADDRESS=HOST:PORT can name another place",
    )
    return found


def _meet(found: Processes, devices: int, address: str | None) -> None:
    """Wait for the run's other processes."""
    first = found.local_rank * devices
    if found.rank == 0 and address is not None:
        _check_port(os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", address))
    # It would take SIGTERM for its own, and end nothing.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        address,
        found.count,
        found.rank,
        local_device_ids=range(first, first + devices),
        # Then it aborts the process: long after `wait_for_others` has ended it.
        initialization_timeout=2 * 60 * MOST_MINUTES,
        heartbeat_timeout_seconds=_SILENCE_SECONDS,
        shutdown_timeout_seconds=_FAREWELL_OF_JAX_SECONDS,
    )
    _tell_each_other(found)


def _check_port(address: str) -> None:
    """Refuse a port that is in use: JAX would end by a segmentation fault.

    Args:
        address: as HOST:PORT; JAX listens at the port on all of this machine's hosts.

    Raises:
        OSError: the port is in use, or not for users.
        ValueError: it is no port.
    """
    is_both = socket.has_dualstack_ipv6()
    with socket.socket(socket.AF_INET6 if is_both else socket.AF_INET) as port:
        # Connections that an earlier run has closed may linger there.
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("", int(address.rpartition(":")[2])))


def connect(mesh: Mesh) -> None:
    """Connect the devices of a run, and the processes.

    Args:
        mesh: the devices, along one axis.

    Raises:
        UsageError: another process has another number of them.
    """
    with _quiet():
        _check_devices(len(mesh.local_devices))
        one = np.ones(1, np.int32)
        ones = [jax.device_put(one, device) for device in mesh.local_devices]
        x = jax.make_array_from_single_device_arrays(
            (mesh.size,), NamedSharding(mesh, P(mesh.axis_names)), ones
        )
        total = jax.jit(lambda x: x.sum(), out_shardings=NamedSharding(mesh, P()))
        total(x).block_until_ready()


def _check_devices(count: int) -> None:
    """Refuse other numbers of devices, which find no way to each other."""
    of_first = said_by_first(count)
    rule = f"--devices {count}: rank 0 has --devices {of_first}"
    found = "" if count == of_first else rule
    end_alike(found, lambda x: int(highest(np.asarray(x, np.int32))))


def highest(x: NDArray[Any]) -> NDArray[Any]:
    """Number by number, the highest that a process has; all have to ask.

    Args:
        x: what this one has.
    """
    mesh = _mesh()
    own = jax.device_put(x[None], mesh.local_devices[0])
    sharding = NamedSharding(mesh, P(_AXIS))
    shape = (mesh.size, *x.shape)
    every = jax.make_array_from_single_device_arrays(shape, sharding, [own])
    with heartbeats.waiting():
        return np.asarray(_highest()(every).addressable_data(0))


def said_by_first(value: _ValueT) -> _ValueT:
    """What the first process says; all have to ask.

    Args:
        value: what this one says.
    """
    content = b"" if processes().follows else pickle.dumps(value)
    pieces = divmod(len(content), _PIECE_BYTES)
    whole, rest = (int(x) for x in highest(np.array(pieces, np.int32)))
    # Few lengths, as a program is compiled for each.
    lengths = [_PIECE_BYTES] * whole + [1 << rest.bit_length()]
    heard, start = bytearray(), 0
    for length in lengths:
        piece = np.frombuffer(content[start : start + length], np.uint8)
        heard += highest(np.pad(piece, (0, length - len(piece)))).tobytes()
        start += length
    return pickle.loads(heard)


@functools.cache
def _mesh() -> Mesh:
    """A processor of each process, in the order of their ranks."""
    ranks = range(jax.process_count("cpu"))
    chosen = [jax.local_devices(rank, "cpu")[0] for rank in ranks]
    return Mesh(np.array(chosen), (_AXIS,))


@functools.cache
def _highest() -> Any:
    def over_processes(x: Array) -> Array:
        return x.max(axis=0)

    return jax.jit(over_processes, out_shardings=NamedSharding(_mesh(), P()))


class _Board:
    """What JAX's first process keeps of what all have told, as a `heartbeats.Store`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def set(self, name: str, words: str, /) -> None:
        self._client.key_value_set(f"{_BOARD}/{name}", words, allow_overwrite=True)

    def multi_get(self, names: list[str], /) -> list[bytes]:
        told = dict(self._client.key_value_dir_get(_BOARD))
        return [told[f"{_BOARD}/{name}"].encode() for name in names]


class _Heartbeat(Heartbeat):
    """A heartbeat that ends with the board, which the first process takes with it."""

    def find(self) -> str:
        """As every heartbeat's."""
        try:
            self.listen()
        except RuntimeError:
            return "rank 0 answers no more"
        found = super().find()
        if found and not processes().follows:
            time.sleep(_FAREWELL_SECONDS)
        return found


def _give_up(rank: int, seconds: float) -> None:
    if not processes().follows:  # the board is with the first
        time.sleep(_FAREWELL_SECONDS)
    heartbeats.give_up("gans_jax", rank, seconds)


def _tell_each_other(found: Processes) -> None:
    """Have one that is gone named, where a message to it has failed."""
    client = getattr(_global_state, "client", None)
    if client is None:
        return
    heartbeat = _Heartbeat(_Board(client), found.rank, found.count, _give_up)
    client.wait_at_barrier(f"{_BOARD} is told", 1000 * _START_SECONDS)
    heartbeat.begin()
    # Before JAX's own, which takes the board down.
    atexit.register(_part, heartbeat)


def _part(heartbeat: Heartbeat) -> None:
    """Tell no more; after an error of the user's program, end at once.

    JAX would wait for the others, and they for this process.
    """
    heartbeat.end()
    if hasattr(sys, "last_value"):  # as Python has shown it
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stdout.flush()
        os._exit(130 if isinstance(sys.last_value, KeyboardInterrupt) else 1)


def _address() -> str | None:
    """Where the first process listens for the others; None: JAX asks SLURM."""
    told = os.environ.get
    if address := told("JAX_COORDINATOR_ADDRESS"):
        if not is_place(address):
            rule = "must be HOST:PORT"
            raise UsageError(f"JAX_COORDINATOR_ADDRESS={printable(address)}: {rule}")
        return address
    if STEP_OF_SLURM in os.environ and not told("MASTER_ADDR"):
        return None
    # The port itself is taken where torchrun listens there for its own.
    is_taken = told("TORCHELASTIC_USE_AGENT_STORE") == "True"
    host, port = find_address()
    return as_place(host, port + is_taken)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what gloo writes to stdout where it connects."""
    if sys.stdout is not None:
        sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)
