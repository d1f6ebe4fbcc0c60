"""How several processes of a run meet."""

import atexit
import contextlib
import os
from datetime import timedelta

import torch
import torch.distributed
from torch.distributed import Store

from shared.errors import UsageError
from shared.training import heartbeats
from shared.training.heartbeats import Heartbeat
from shared.training.processes import (
    Processes,
    as_place,
    find_address,
    find_processes,
    processes,
    wait_for_others,
)


def meet(devices: int | None) -> Processes:
    """Meet the run's other processes, if there are any, each with a device.

    Args:
        devices: how many are asked for; None: as there are processes.

    Raises:
        UsageError: they do not meet, or are not as many, or what the environment tells
            of them cannot be.
    """
    found = find_processes()
    if devices not in (None, found.count):
        raise UsageError(
            f"--devices {devices}: in PyTorch each device has a process, of which there"
            f" are {found.count}; torchrun --nproc-per-node={devices} -m gans_torch.…"
            " starts as many"
        )
    if found.count > 1 and not torch.distributed.is_initialized():
        wait_for_others(_meet, as_place(*find_address()))
    return found


def _meet() -> None:
    """Wait for the run's other processes."""
    # Of the host too, for what is no tensor of the device.
    both = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    store, rank, count = next(torch.distributed.rendezvous("env://"))
    store = torch.distributed.PrefixStore(_attempt(), store)
    # A connection of its own, as one that asks has all others wait.
    heartbeat = Heartbeat(store.clone(), rank, count, _give_up)
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if both else "gloo",
        store=store,
        rank=rank,
        world_size=count,
    )
    heartbeat.begin()
    # Left to the end of Python, its threads end the process by an abort now and then.
    atexit.register(_part, heartbeat, store)


def _give_up(rank: int, seconds: float) -> None:
    heartbeats.give_up("gans_torch", rank, seconds)


def _part(heartbeat: Heartbeat, store: Store) -> None:
    """Take down what `_meet` has set up, where nobody else has."""
    heartbeat.end()
    # The store goes with the first process, and the others would say so at length.
    with contextlib.suppress(RuntimeError):
        rank, count, _ = processes()
        store.set(f"over {rank}", "")
        if rank == 0:
            names = [f"over {x}" for x in range(1, count)]
            store.wait(names, timedelta(seconds=heartbeats.PATIENCE))
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
