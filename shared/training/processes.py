"""The processes of a run, where it has several: one speaks, draws and writes."""

import os
from typing import NamedTuple


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
    """As ``torchrun`` has told this process; one, where nobody has."""
    told = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    if None in told:
        return Processes()
    return Processes(*(int(value or 0) for value in told))
