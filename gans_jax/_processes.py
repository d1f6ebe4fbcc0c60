"""How several processes of a run meet, and what they tell each other besides training.

Messages go from processor to processor, by gloo, as they do in PyTorch: so none of them
waits for what an accelerator is at.
"""

import contextlib
import functools
import os
import pickle
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax import Array, P
from jax.sharding import Mesh, NamedSharding
from numpy.typing import NDArray

from shared.errors import UsageError
from shared.training.processes import Processes, processes

_ValueT = TypeVar("_ValueT")

_AXIS = "processes"
# One that is silent for so long is taken for dead, and all end.
_SILENCE_SECONDS = 20


def meet(devices: int) -> Processes:
    """Meet the run's other processes, if there are any.

    To be called before JAX looks for devices.

    Args:
        devices: of each process.

    Raises:
        UsageError: they do not meet.
    """
    found = processes()
    if found.count == 1 or jax.distributed.is_initialized():
        return found
    first = found.local_rank * devices
    try:
        jax.distributed.initialize(
            _address(),
            found.count,
            found.rank,
            local_device_ids=range(first, first + devices),
            heartbeat_timeout_seconds=_SILENCE_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"{found.count} processes do not meet at {_address() or 'no address'}:"
            f" {error}; JAX_COORDINATOR_ADDRESS=HOST:PORT can name another place"
        ) from error
    return found


def connect(mesh: Mesh) -> None:
    """Connect the devices of a run, and the processes.

    Args:
        mesh: the devices, along one axis.
    """
    with _quiet():
        highest(np.zeros((), np.int32))
        one = np.ones(1, np.int32)
        ones = [jax.device_put(one, device) for device in mesh.local_devices]
        x = jax.make_array_from_single_device_arrays(
            (mesh.size,), NamedSharding(mesh, P(mesh.axis_names)), ones
        )
        total = jax.jit(lambda x: x.sum(), out_shardings=NamedSharding(mesh, P()))
        total(x).block_until_ready()


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
    return np.asarray(_highest()(every).addressable_data(0))


def said_by_first(value: _ValueT) -> _ValueT:
    """What the first process says; all have to ask.

    Args:
        value: what this one says.
    """
    content = b"" if processes().follows else pickle.dumps(value)
    length = int(highest(np.asarray(len(content), np.int32)))
    # Few lengths, as a program is compiled for each.
    message = np.zeros(1 << length.bit_length(), np.uint8)
    message[: len(content)] = np.frombuffer(content, np.uint8)
    return pickle.loads(highest(message).tobytes())


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


def _address() -> str | None:
    """Where the first process listens for the others; None: JAX asks SLURM."""
    told = os.environ.get
    if (address := told("JAX_COORDINATOR_ADDRESS")) or "MASTER_ADDR" not in os.environ:
        return address
    # The port itself is taken where torchrun listens there for its own.
    is_taken = told("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return f"{told('MASTER_ADDR')}:{int(told('MASTER_PORT', '0')) + is_taken}"


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
