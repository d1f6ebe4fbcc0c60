"""What a run draws on its way: grids of images, or points over their density."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.backend import Backend
from shared.config.choices import POINTS
from shared.config.train_config import TrainConfig
from shared.data import points
from shared.data.image_data import DataInfo, ImageData
from shared.diagnosis import diversity
from shared.drawing import images
from shared.drawing.samples import draw_images, draw_points
from shared.randomness import noise
from shared.randomness.latents import great_circle
from shared.run.run_dir import RunDir

COLUMNS = 8
"""Images in a row of a grid."""

_ROWS = 8
_INTERPOLATION_ROWS = 4


class Pictures(Protocol):
    """What is drawn at the start, at every sampled step, and at the end."""

    def begin(self) -> None:
        """Before the first step."""
        ...

    def draw(self, step: int) -> Callable[[], dict[str, float]]:
        """Have the networks draw the picture of a step.

        Returns:
            Writes the picture, and returns what was measured in it; needs the networks
            no more, so that another thread can do it while they train on.
        """
        ...

    def end(self) -> None:
        """After the last step."""
        ...


def make_pictures(
    config: TrainConfig, data: ImageData, run: RunDir, backend: Backend
) -> Pictures:
    """The pictures that suit the data."""
    kind = PointPictures if config.dataset in POINTS else GridPictures
    return kind(config, data, run, backend)


class GridPictures:
    """Grids of the fixed latents' images; for a conditional run, a class per row."""

    def __init__(
        self, config: TrainConfig, data: ImageData, run: RunDir, backend: Backend
    ) -> None:
        self._config = config
        self._run = run
        self._backend = backend
        self._z, self._labels = _fixed_inputs(config, data.info)
        self._real = _real_images(config, data, len(self._z), self._labels)

    def begin(self) -> None:
        """Write real images, as many and of the same classes, to compare with."""
        grid = images.grid(self._real, columns=COLUMNS)
        images.save_png(self._run.path / "real.png", grid)

    def draw(self, step: int) -> Callable[[], dict[str, float]]:
        """Draw a grid; measured are diversity, and what batch norm's mode changes."""
        drawn = draw_images(self._backend, self._z, self._labels)
        in_training = None
        if self._config.g_has_batch_norm:
            in_training = draw_images(
                self._backend, self._z, self._labels, training=True
            )

        def write() -> dict[str, float]:
            images.save_png(
                self._run.sample_path(step), images.grid(drawn, columns=COLUMNS)
            )
            rows = len(drawn) // COLUMNS
            found = {"diversity": diversity.diversity(drawn, self._real, rows)}
            if in_training is not None:
                gap = diversity.batch_norm_gap(drawn, in_training, self._real)
                found["batch_norm_gap"] = gap
            return {name: value for name, value in found.items() if value is not None}

        return write

    def end(self) -> None:
        """Write paths between the fixed latents."""
        paths = [
            great_circle(self._z[i], self._z[i + 1], COLUMNS)
            for i in range(0, 2 * _INTERPOLATION_ROWS, 2)
        ]
        # Each path has a class of its own.
        labels = None if self._labels is None else self._labels[::COLUMNS]
        if labels is not None:
            labels = np.resize(labels, _INTERPOLATION_ROWS).repeat(COLUMNS)
        drawn = draw_images(self._backend, np.concatenate(paths), labels)
        grid = images.grid(drawn, columns=COLUMNS)
        images.save_png(self._run.path / "interpolation.png", grid)


class PointPictures:
    """The fixed latents' points over the real density, and D's landscape."""

    def __init__(
        self, config: TrainConfig, data: ImageData, run: RunDir, backend: Backend
    ) -> None:
        self._config = config
        self._run = run
        self._backend = backend
        self._z = noise.normal(
            config.seed, "fixed latents", 0, points.COUNTED, config.z_dim
        )
        self._labels = None
        if config.conditional:
            classes = np.arange(data.info.num_classes, dtype=np.int32)
            self._labels = np.resize(classes, points.COUNTED)
        self._real = data.points

    def begin(self) -> None:
        """Points need no preparation: the density is in every picture."""

    def draw(self, step: int) -> Callable[[], dict[str, float]]:
        """Draw a plot; measured are modes covered and the share of good points."""
        plot = draw_points(
            self._backend, self._config, self._real, self._z, self._labels, step
        )

        def write() -> dict[str, float]:
            # The last is the one that tells that both are there.
            run = self._run
            scores = plot(run.sample_path(step), run.vectors_path(step))
            record = {"high_quality": scores.high_quality}
            return record if scores.modes is None else record | {"modes": scores.modes}

        return write

    def end(self) -> None:
        """Nothing is left to draw."""


def _fixed_inputs(
    config: TrainConfig, data: DataInfo
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Latents of the sample grids, and labels: a class for each row."""
    rows = (
        min(data.num_classes, images.MOST_CLASS_ROWS) if config.conditional else _ROWS
    )
    z = noise.normal(config.seed, "fixed latents", 0, rows * COLUMNS, config.z_dim)
    if not config.conditional:
        return z, None
    return z, np.arange(rows, dtype=np.int32).repeat(COLUMNS)


def _real_images(
    config: TrainConfig, data: ImageData, count: int, labels: NDArray[np.int32] | None
) -> NDArray[np.uint8]:
    """Real images to compare the fixed latents' with: as many, of the same classes."""
    order = noise.batch_indices(config.seed, 0, data.info.count, data.info.count)
    if labels is None or data.labels is None:
        chosen = np.resize(order, count)
    else:
        classes = data.labels[order]
        rows = [order[classes == label] for label in labels[::COLUMNS]]
        chosen = np.concatenate([np.resize(row, COLUMNS) for row in rows])
    return np.asarray(data.images[chosen], np.uint8)
