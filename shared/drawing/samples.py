"""What the networks draw: images of latents, points over their density."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend, Latents
from shared.config.train_config import TrainConfig
from shared.data import points
from shared.drawing import images, point_plots


def draw_points(
    backend: Backend,
    config: TrainConfig,
    real: NDArray[np.float32],
    z: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    step: int,
) -> Callable[..., points.PointScores]:
    """Have the networks draw points, and D's landscape around them.

    Args:
        backend: what draws.
        config: names the distribution.
        real: real points [count, 2].
        z: latents [count, z_dim].
        labels: class ids [count], for a conditional generator.
        step: of the state; for the title.

    Returns:
        Writes the plot to a file, as vectors to a second one if there is one, and
        returns the points' scores; needs the networks no more.
    """
    fake = backend.sample(z, labels).reshape(-1, 2)
    landscape = _landscape(backend, config)

    def write(path: Path, vectors: Path | None = None) -> points.PointScores:
        scores = points.score(config.dataset, fake)
        title = f"D after {step} steps"
        scene = point_plots.Scene(real, fake, landscape, scores, title)
        if vectors is not None:
            point_plots.plot_vectors(vectors, scene)
        point_plots.plot_points(path, scene)
        return scores

    return write


def draw_images(
    backend: Backend,
    z: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
    training: bool = False,
) -> NDArray[np.uint8]:
    """Images of latents, [count, height, width, channels], in batches of about 64.

    Args:
        backend: what draws.
        z: latents [count, z_dim].
        labels: class ids [count], for a conditional generator.
        training: as in `Backend.sample`.
    """
    drawn = backend.sample_batches(_batches(z, labels), training)
    # Each alone: on the way to pixels a batch takes several times its memory.
    return np.concatenate([images.to_uint8(batch) for batch in drawn])


def in_batches(
    draw: Callable[
        [NDArray[np.float32], NDArray[np.int32] | None], NDArray[np.float32]
    ],
    z: NDArray[np.float32],
    labels: NDArray[np.int32] | None,
) -> NDArray[Any]:
    """What ``draw`` makes of latents and class ids, given about 64 at a time.

    Returns:
        uint8 [count, height, width, channels]; of points in the plane, float32
        [count, 2].
    """
    return np.concatenate([_finished(draw(*batch)) for batch in _batches(z, labels)])


def _finished(drawn: NDArray[np.float32]) -> NDArray[Any]:
    """Points as they are; of images, pixels."""
    count, height = drawn.shape[:2]
    return drawn.reshape(count, 2) if height == 1 else images.to_uint8(drawn)


def _batches(z: NDArray[np.float32], labels: NDArray[np.int32] | None) -> list[Latents]:
    # The last image is never alone: batch norm has no variance of one.
    starts = range(0, max(len(z) - 1, 1), 64)
    return [
        (z[i:j], None if labels is None else labels[i:j])
        for i, j in itertools.pairwise([*starts, len(z)])
    ]


def _landscape(backend: Backend, config: TrainConfig) -> NDArray[np.float32]:
    """D's outputs at `point_plots.landscape_points`, a conditional D's for class 0."""
    where = point_plots.landscape_points()
    # In batches such as D knows, each from all over the plane: some layers compare the
    # points of a batch.
    size = config.batch_size
    number = -(-len(where) // size)
    batches = np.resize(where, (size, number, 1, 1, 2)).swapaxes(0, 1)
    labels = np.zeros(size, np.int32) if config.conditional else None
    outputs = [backend.discriminate(batch, labels) for batch in batches]
    return np.stack(outputs, axis=1).reshape(-1)[: len(where)]
