"""Figures of accelerators, as their makers publish them."""

from typing import NamedTuple

from gans_jax._elsewhere.links import Nodes, Torus


class Chip(NamedTuple):
    """What one accelerator can do at best."""

    platform: str
    """What JAX calls its kind: tpu, or cuda."""
    peaks: dict[str, float]
    """Floating-point operations a second, by ``--precision``."""
    memory: int
    """Bytes."""
    bandwidth: float
    """Bytes a second between the memory and where it computes."""
    links: Torus | Nodes
    axes: int = 1
    """Of its network."""


def _tpu(bfloat16: float) -> dict[str, float]:
    """A TPU multiplies in bfloat16; a product in float32 is six of these.

    References:
        JAX, `jax.lax.Precision.HIGHEST`, which a run in float32 asks for.
    """
    return {"bfloat16": bfloat16, "float32": bfloat16 / 6}


CHIPS = {
    # https://docs.cloud.google.com/tpu/docs/v4; the links: "How to Scale Your Model".
    "v4": Chip("tpu", _tpu(275e12), 32 * 2**30, 1200e9, Torus(45e9, ring=4), axes=3),
    # https://docs.cloud.google.com/tpu/docs/v5p; 4,800 Gbit/s over six links.
    "v5p": Chip("tpu", _tpu(459e12), 95 * 10**9, 2765e9, Torus(100e9, ring=4), axes=3),
    # https://docs.cloud.google.com/tpu/docs/v5e; 400 GB/s over four links, both ways.
    "v5e": Chip("tpu", _tpu(197e12), 16 * 10**9, 819e9, Torus(50e9, ring=16), axes=2),
    # https://docs.cloud.google.com/tpu/docs/v6e; 800 GB/s over four links, both ways.
    "v6e": Chip("tpu", _tpu(918e12), 32 * 10**9, 1638e9, Torus(100e9, ring=16), axes=2),
    # https://www.nvidia.com/en-us/data-center/h100/, the SXM module, without sparsity;
    # 400 Gbit/s for each GPU between nodes, as in NVIDIA's DGX SuperPOD.
    "h100": Chip(
        "cuda",
        {"bfloat16": 989e12, "tf32": 494e12, "float32": 67e12},
        80 * 10**9,
        3350e9,
        Nodes(8, inside=450e9, outside=50e9),
    ),
}
"""By the name that ``--for`` gives them."""
