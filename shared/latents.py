"""Paths through the latent space."""

import numpy as np
from numpy.typing import NDArray


def great_circle(
    start: NDArray[np.float32], end: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """``count`` latents from start to end, shape [count, z_dim].

    Along a great circle: on a straight line the middle would be shorter than any latent
    that the generator was trained on.

    References:
        White 2016, arXiv:1609.04468, section 2.1.
    """
    unit = [x / np.linalg.norm(x) for x in (start, end)]
    angle = np.arccos(np.clip(np.dot(*unit), -1.0, 1.0))
    t = np.linspace(0.0, 1.0, count)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - t) * start + t * end).astype(np.float32)
    path = np.sin((1 - t) * angle) * start + np.sin(t * angle) * end
    return (path / np.sin(angle)).astype(np.float32)
