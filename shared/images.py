"""Pictures: from numbers to pixels, grids, animations and plots of a run."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.files import write_atomically

_GIF_SECONDS = 9.0
_GIF_LAST_FRAME_SECONDS = 2.0
_GIF_LONGEST_FRAME_SECONDS = 0.5
# Grids of colour photographs hardly compress; this keeps an animation near ten MB.
_GIF_PIXELS = 10_000_000


def to_uint8(images: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Pixels 0..255 of images in [-1, 1].

    (x + 1) * 127.5, rounded half to even and clipped; NaN becomes 0. Inverse of
    x = pixel / 127.5 - 1.

    Args:
        images: any shape; values outside [-1, 1] are clipped.
    """
    scaled = np.rint((np.clip(images, -1, 1) + 1) * 127.5)
    return np.nan_to_num(scaled).astype(np.uint8)


def grid(
    images: NDArray[np.uint8], columns: int | None = None, padding: int = 2
) -> NDArray[np.uint8]:
    """Images side by side, row by row, on black.

    Args:
        images: shape [count, height, width, channels].
        columns: images in a row; None makes the grid as square as it gets.
        padding: pixels around each image.

    Returns:
        Shape [rows * (height + padding) + padding, likewise, channels].
    """
    count, height, width, channels = images.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    cells = np.zeros(
        (rows * columns, height + padding, width + padding, channels), np.uint8
    )
    cells[:count, padding:, padding:] = images
    cells = cells.reshape(rows, columns, *cells.shape[1:]).swapaxes(1, 2)
    joined = cells.reshape(rows * cells.shape[1], -1, channels)
    return np.pad(joined, ((0, padding), (0, padding), (0, 0)))


def save_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write one picture.

    Args:
        path: the file.
        image: shape [height, width, channels]; 1 channel (grey) or 3 (RGB).

    Raises:
        UsageError: the file cannot be written.
    """
    buffer = io.BytesIO()
    _picture(image).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def save_gif(
    path: Path, frames: Sequence[Path | NDArray[np.uint8]], max_frames: int = 100
) -> None:
    """Write an animation of some nine seconds that repeats for ever.

    Of many or large frames it shows some, evenly chosen, always the first and the
    last; the last stays longer.

    Args:
        path: the file.
        frames: at least one; pictures of one size, as files or as in `save_png`.
        max_frames: how many to show at most.

    Raises:
        UsageError: the file cannot be written.
    """
    size = _open_frame(frames[0]).size
    shown = max(2, min(len(frames), max_frames, _GIF_PIXELS // math.prod(size)))
    chosen = np.unique(np.linspace(0, len(frames) - 1, shown).round().astype(int))
    moving = (_GIF_SECONDS - _GIF_LAST_FRAME_SECONDS) / len(chosen)
    each = round(1000 * min(moving, _GIF_LONGEST_FRAME_SECONDS))
    durations = [each] * (len(chosen) - 1) + [round(1000 * _GIF_LAST_FRAME_SECONDS)]
    first, *rest = (_quantised(_open_frame(frames[i])) for i in chosen)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=durations,
        loop=0,
    )
    write_atomically(path, buffer.getvalue())


def plot_losses(
    path: Path, metrics: Sequence[Mapping[str, Any]], title: str = ""
) -> None:
    """Write a plot of a run: both losses above, what D says below.

    Below are the Wasserstein estimate of a critic, or D's mean outputs on real and
    generated images. Thin lines are the records, thick ones their moving averages.

    Args:
        path: the file (PNG).
        metrics: records with ``step`` and the metrics of that step; a metric may be
            missing or None in some or all of them.
        title: line above the plot.

    Raises:
        UsageError: the file cannot be written.
    """
    # Matplotlib takes long to import, and most programs draw nothing.
    from matplotlib.figure import Figure

    losses = {"d_loss": "discriminator", "g_loss": "generator"}
    lower = {"wasserstein_estimate": "E D(x) - E D(G(z))"}
    if not _recorded(metrics, lower):
        lower = {
            "d_real": "D(x)",
            "d_fake_before": "D(G(z)) before D's update",
            "d_fake_after": "D(G(z)) after",
        }
    panels = [("loss", losses)]
    if _recorded(metrics, lower):
        panels.append(("output of D", lower))
    figure = Figure(figsize=(9, 3.4 * len(panels)), layout="constrained")
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (name, curves) in zip(all_axes, panels, strict=True):
        _plot_panel(axes, metrics, curves)
        axes.set_ylabel(name)
    all_axes[-1].set_xlabel("step")
    all_axes[0].set_title(title, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _open_frame(frame: Path | NDArray[np.uint8]) -> Image.Image:
    if not isinstance(frame, Path):
        return _picture(frame)
    with Image.open(frame) as image:
        image.load()
        return image


def _quantised(image: Image.Image) -> Image.Image:
    # Grey pictures fit a GIF as they are.
    if image.mode == "L":
        return image
    # A palette from a part of the pixels is as good and ten times as fast. Dithering
    # would flicker and not compress.
    part = image.resize((128, 128), Image.Resampling.NEAREST)
    return image.quantize(palette=part.quantize(256), dither=Image.Dither.NONE)


def _recorded(metrics: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> bool:
    return any(record.get(name) is not None for record in metrics for name in names)


def _plot_panel(
    axes: Any, metrics: Sequence[Mapping[str, Any]], curves: Mapping[str, str]
) -> None:
    colours = ("tab:blue", "tab:orange", "tab:green")
    everything = []
    for colour, (name, label) in zip(colours, curves.items(), strict=False):
        points = [(r["step"], r[name]) for r in metrics if r.get(name) is not None]
        if not points:
            continue
        steps, values = np.array(points, np.float64).T
        everything.append(values)
        axes.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
        # A line through one point would show nothing.
        marker = "o" if len(values) < 3 else None
        axes.plot(
            steps,
            moving_average(values),
            color=colour,
            linewidth=1.8,
            marker=marker,
            label=label,
        )
    if everything:
        _fit(axes, np.concatenate(everything), is_share="d_real" in curves)
        # Above the panel, where no curve can run.
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0,
            frameon=False,
            ncols=len(curves),
        )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _fit(axes: Any, values: NDArray[np.float64], is_share: bool) -> None:
    """Choose the vertical range; probabilities get their own, and a line at 0.5."""
    if is_share and values.min() >= 0 and values.max() <= 1:
        axes.set_ylim(0, 1)
        axes.axhline(0.5, color="black", linewidth=0.8, linestyle="--", alpha=0.6)
        return
    # A few wild values, as on the first steps, must not flatten all the others.
    low, high = np.percentile(values, [0.5, 99.5])
    margin = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)


def moving_average(values: Sequence[float] | NDArray[np.float64]) -> NDArray[Any]:
    """Centred moving average over a twentieth of the run; shorter at both ends."""
    window = np.ones(len(values) // 20 | 1)
    total = np.convolve(values, window, mode="same")
    return total / np.convolve(np.ones(len(values)), window, mode="same")
