"""New images from a run of either twin."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared import checkpoint, images, noise
from shared.cli import SampleOptions
from shared.errors import UsageError
from shared.run_dir import resolve_checkpoint
from shared.training import MakeBackend, check_arrays, draw_images


def sample(options: SampleOptions, make_backend: MakeBackend) -> None:
    """Draw images from a checkpoint and write a grid, or one file for each.

    Args:
        options: what the user asked for.
        make_backend: the twin's backend class.

    Raises:
        UsageError: there is no such checkpoint, class or device.
    """
    path = resolve_checkpoint(options.run, options.step)
    stored = checkpoint.load(path)
    labels = _labels(options, stored)
    backend = make_backend(stored.config, stored.data, options.device)
    check_arrays(backend.shapes(), stored.arrays, path)
    backend.load(stored.arrays)
    drawn = draw_images(backend, _latents(options, stored.config.z_dim), labels)
    out = options.out or _default_out(options, path, stored.step)
    try:
        if options.separate:
            out.mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(drawn):
                images.save_png(out / f"{number:06d}.png", image)
        else:
            out.parent.mkdir(parents=True, exist_ok=True)
            images.save_png(out, images.grid(drawn, columns=options.columns))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
    sys.stderr.write(f"drawn: {out}\n")


def _latents(options: SampleOptions, z_dim: int) -> NDArray[np.float32]:
    """Independent latents or, with --interpolate, rows of paths between pairs."""
    seed, count = options.seed, options.num
    if not options.interpolate:
        return noise.normal(seed, "drawn samples", 0, count, z_dim)
    rows = count // options.columns
    ends = noise.normal(seed, "drawn samples", 0, 2 * rows, z_dim)
    paths = [
        _great_circle(start, end, options.columns)
        for start, end in zip(ends[::2], ends[1::2], strict=True)
    ]
    return np.concatenate(paths)


def _great_circle(
    start: NDArray[np.float32], end: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """``count`` latents from start to end.

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


def _labels(
    options: SampleOptions, stored: checkpoint.Checkpoint
) -> NDArray[np.int32] | None:
    """One class for each image: those asked for, or all, a class for each row."""
    if not stored.config.conditional:
        if options.labels:
            raise UsageError(
                f"--labels {','.join(map(str, options.labels))}: the run is not"
                " conditional, its generator takes no labels"
            )
        return None
    classes = options.labels or tuple(range(stored.data.num_classes))
    for label in classes:
        if label >= stored.data.num_classes:
            raise UsageError(
                f"--labels {label}: must be below {stored.data.num_classes}, the"
                " number of classes"
            )
    rows = -(-options.num // options.columns)
    each_row = np.resize(np.asarray(classes, np.int32), rows)
    return each_row.repeat(options.columns)[: options.num]


def _default_out(options: SampleOptions, path: Path, step: int) -> Path:
    kind = "interpolation" if options.interpolate else "samples"
    stem = f"{step:06d}-{kind}-seed{options.seed}"
    # A checkpoint lies in RUN/checkpoints; one that was moved has no run around it.
    folder = path.parent
    root = folder.parent if folder.name == "checkpoints" else folder
    return root / "drawn" / (stem if options.separate else f"{stem}.png")
