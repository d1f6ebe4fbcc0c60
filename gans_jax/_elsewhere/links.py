"""What a message between accelerators takes, by how they are connected.

A message of many bytes takes as long as its bytes need on the links; one of few, as
long as its way. Both are added. An all-reduce is two passes: every device's part is
summed up on one of them, then sent to all.
"""

import math
from typing import NamedTuple

PASSES = {
    "all-reduce": 2,
    "all-gather": 1,
    "reduce-scatter": 1,
    "all-to-all": 1,
    "collective-permute": 1,
}
"""How often the whole message crosses the links."""


class Torus(NamedTuple):
    """A TPU's links: to its neighbours along each axis, in both directions.

    References:
        Austin et al. 2025, "How to Scale Your Model", chapters "TPUs" and "Sharding":
        links of an axis are a ring where its length is a multiple of ``ring``, which
        doubles what they carry; each hop takes about a microsecond.
    """

    link: float
    """Bytes a second, one way."""
    ring: int
    """An axis whose length is a multiple of this is closed."""
    hop: float = 1e-6
    """Seconds from one chip to the next."""

    def seconds(self, kind: str, size: int, shape: tuple[int, ...]) -> float:
        """What a message takes that goes to all chips.

        Args:
            kind: one of `PASSES`.
            size: its bytes, on all chips together where these have parts of it.
            shape: chips along each axis.
        """
        count = math.prod(shape)
        axes = [(n, n % self.ring == 0) for n in shape if n > 1]
        if not axes:
            return 0.0
        rate = self.link * sum(1 + closed for _, closed in axes)
        hops = sum(n // 2 if closed else n - 1 for n, closed in axes)
        return PASSES[kind] * (size * (count - 1) / count / rate + self.hop * hops)


class Nodes(NamedTuple):
    """GPUs in nodes that a switch connects, each with its own way to other nodes.

    Each GPU of a node carries its part of a message to the other nodes.

    References:
        Austin et al. 2025, "How to Scale Your Model", chapter "GPUs".
        NVIDIA, NCCL, src/graph/tuning.cc: latencies of a tree, protocol LL.
    """

    node: int
    """GPUs in each."""
    inside: float
    """Bytes a second that leave a GPU for others of its node."""
    outside: float
    """Bytes a second that leave a GPU for other nodes."""
    start: float = 4.4e-6
    """Seconds before anything is sent."""
    hop: float = 0.52e-6
    """Seconds from one GPU of a node to the next."""
    between: float = 5.0e-6
    """Seconds from node to node."""

    def seconds(self, kind: str, size: int, shape: tuple[int, ...]) -> float:
        """What a message takes that goes to all GPUs; as `Torus.seconds`."""
        count = math.prod(shape)
        if count == 1:
            return 0.0
        inside = min(count, self.node)
        nodes = math.ceil(count / self.node)
        sent = size * (inside - 1) / inside / self.inside
        sent += size * (nodes - 1) / nodes / inside / self.outside
        way = (inside - 1) * self.hop + math.ceil(math.log2(nodes)) * self.between
        return self.start + PASSES[kind] * (sent + way)
