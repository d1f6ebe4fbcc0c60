"""Pixels, grids, animations and plots."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.drawing import images, plots
from shared.errors import UsageError

pytestmark = pytest.mark.usefixtures("true_plots")


def test_to_uint8_rounds_half_to_even_and_clips() -> None:
    x = np.array([-1, -3, 1, 3, 0, 1 / 127.5 - 1, np.nan, np.inf], np.float64)
    assert images.to_uint8(x).tolist() == [0, 0, 255, 255, 128, 1, 0, 255]
    below = np.arange(255)
    x = (below + 0.5) / 127.5 - 1
    half = (x + 1) * 127.5 == below + 0.5  # not all survive floating point
    assert half.sum() > 50
    even = below + below % 2
    np.testing.assert_array_equal(images.to_uint8(x)[half], even[half])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_uint8_inverts_the_networks_scaling(dtype: Any) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    x = pixels.astype(dtype) / dtype(127.5) - dtype(1)
    back = images.to_uint8(x)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("count", "columns", "rows", "used"),
    [(1, None, 1, 1), (4, None, 2, 2), (5, None, 2, 3), (6, 2, 3, 2), (3, 8, 1, 3)],
)
def test_grid_places_every_image(
    count: int, columns: int | None, rows: int, used: int, channels: int
) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(1, 256, (count, 4, 6, channels), np.uint8)
    joined = images.grid(pixels, columns)
    assert joined.shape == (rows * 6 + 2, used * 8 + 2, channels)
    assert joined.dtype == np.uint8
    for k, image in enumerate(pixels):
        top, left = k // used * 6 + 2, k % used * 8 + 2
        np.testing.assert_array_equal(joined[top : top + 4, left : left + 6], image)
        joined[top : top + 4, left : left + 6] = 0
    assert not joined.any()  # all else is black


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_png_keeps_every_pixel(tmp_path: Path, channels: int, mode: str) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, 7, channels), np.uint8)
    path = tmp_path / "a.png"
    images.save_png(path, pixels)
    with Image.open(path) as picture:
        assert picture.mode == mode
        np.testing.assert_array_equal(np.asarray(picture), pixels.squeeze())
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_picture_is_one_line(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 1), np.uint8)
    path = tmp_path / "none" / "a.png"
    for save in (
        lambda: images.save_png(path, pixels),
        lambda: images.save_gif(path, [pixels]),
        lambda: plots.plot_losses(path, [], "", None),
    ):
        with pytest.raises(UsageError, match="cannot be written"):
            save()


def read_gif(path: Path) -> tuple[list[Any], list[int]]:
    frames, durations = [], []
    with Image.open(path) as animation:
        assert animation.info["loop"] == 0  # repeats for ever
        for k in range(getattr(animation, "n_frames", 1)):
            animation.seek(k)
            durations.append(animation.info.get("duration", 0))
            frames.append(np.asarray(animation.convert("RGB")))
    return frames, durations


def grey_frames(count: int) -> list[Any]:
    """Distinct frames whose mean brightness tells which they are."""
    return [np.full((8, 8, 1), 255 * k // (count - 1), np.uint8) for k in range(count)]


def test_gif_shows_all_of_a_few_frames_exactly(tmp_path: Path) -> None:
    frames = grey_frames(13)
    images.save_gif(tmp_path / "a.gif", frames)
    shown, durations = read_gif(tmp_path / "a.gif")
    assert len(shown) == 13
    for frame, pixels in zip(shown, frames, strict=True):
        np.testing.assert_array_equal(frame, pixels.repeat(3, axis=2))
    assert len(set(durations[:-1])) == 1
    assert durations[-1] > 2 * durations[0]
    assert 8 <= sum(durations) / 1000 <= 10


def test_gif_of_many_frames_keeps_first_and_last(tmp_path: Path) -> None:
    images.save_gif(tmp_path / "a.gif", grey_frames(256))
    shown, durations = read_gif(tmp_path / "a.gif")
    levels = [int(frame.mean()) for frame in shown]
    assert len(levels) == 100
    assert (levels[0], levels[-1]) == (0, 255)
    gaps = np.diff(levels)
    assert gaps.min() >= 2
    assert gaps.max() <= 3
    assert 8 <= sum(durations) / 1000 <= 10


def test_gif_of_large_frames_has_fewer(tmp_path: Path) -> None:
    frames = [np.full((1000, 1000, 1), k, np.uint8) for k in range(60)]
    images.save_gif(tmp_path / "a.gif", frames)
    shown, _ = read_gif(tmp_path / "a.gif")
    assert len(shown) == 10
    assert shown[-1].mean() == 59


def test_gif_from_files_in_colour(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    frames = []
    for k in range(3):
        red, green = np.meshgrid(ramp, ramp)
        pixels = np.stack([red, green, np.full_like(red, 120 * k)], axis=-1)
        frames.append(tmp_path / f"{k}.png")
        images.save_png(frames[-1], pixels)
    images.save_gif(tmp_path / "a.gif", frames)
    shown, _ = read_gif(tmp_path / "a.gif")
    assert len(shown) == 3
    for path, frame in zip(frames, shown, strict=True):
        original = np.asarray(Image.open(path)).astype(int)
        assert np.abs(frame - original).mean() < 10  # 256 colours of 1,024


def test_gif_of_one_frame(tmp_path: Path) -> None:
    images.save_gif(tmp_path / "a.gif", grey_frames(2)[1:])
    shown, _ = read_gif(tmp_path / "a.gif")
    assert [frame.mean() for frame in shown] == [255]


def test_damaged_frames_are_left_out_of_a_gif(tmp_path: Path) -> None:
    frames = [tmp_path / f"{number}.png" for number in range(8)]
    for number, frame in enumerate(frames):
        images.save_png(frame, np.full((16, 16, 1), 30 * number, np.uint8))
    frames[0].write_bytes(b"")
    frames[2].write_bytes(frames[2].read_bytes()[:-30])
    frames[4].unlink()
    os.mkfifo(frames[4])
    images.save_png(frames[5], np.zeros((8, 8, 1), np.uint8))
    frames[7].unlink()
    frames[7].mkdir()
    damaged = images.save_gif(tmp_path / "a.gif", frames)
    assert damaged == [frames[i] for i in (0, 2, 4, 5, 7)]
    shown, _ = read_gif(tmp_path / "a.gif")
    assert [frame.mean() for frame in shown] == [30, 90, 180]
    (tmp_path / "a.gif").unlink()
    assert images.save_gif(tmp_path / "a.gif", [frames[0]]) == [frames[0]]
    assert not (tmp_path / "a.gif").exists()


def record(step: int, **metrics: float | None) -> dict[str, Any]:
    return {"step": step, "d_loss": 1.0 / (step + 1), "g_loss": 1.0} | metrics


PROBABILITIES = {"d_real": 0.7, "d_fake_before": 0.3, "d_fake_after": 0.2}
GENERATED = ["D(G(z)) before D's update", "D(G(z)) after"]


def drawn(
    path: Path,
    metrics: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    chance: float | None = None,
) -> list[Any]:
    """The axes of a plot, after drawing it."""
    from matplotlib.figure import Figure

    figures = []
    draw = Figure.savefig

    def spy(figure: Any, *args: Any, **options: Any) -> None:
        figures.append(figure)
        draw(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    plots.plot_losses(path, metrics, "dcgan on digits", chance)
    with Image.open(path) as picture:
        assert np.asarray(picture.convert("L")).std() > 1
    return figures[0].axes


def labels(axes: Any) -> list[str]:
    return [line.get_label() for line in axes.lines if line.get_label()[0] != "_"]


def test_plot_of_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = [record(step, **PROBABILITIES) for step in range(100)]
    upper, lower = drawn(tmp_path / "a.png", metrics, monkeypatch, chance=0.5)
    assert upper.get_title(loc="left") == "dcgan on digits"
    assert labels(upper) == ["discriminator", "generator"]
    assert labels(lower) == ["D(x)", *GENERATED]
    assert lower.get_ylim() == (-0.02, 1.02)  # a line of 0 or 1 is seen whole
    assert [0.5, 0.5] in [list(line.get_ydata()) for line in lower.lines]


def test_only_an_output_with_a_scale_is_beside_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the hinge loss may have them, which knows no probabilities.
    metrics = [record(step, **PROBABILITIES) for step in range(100)]
    _, lower = drawn(tmp_path / "a.png", metrics, monkeypatch)
    assert [0.5, 0.5] not in [list(line.get_ydata()) for line in lower.lines]
    assert lower.get_ylim() != (-0.02, 1.02)


def test_plot_of_a_critic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = [
        record(step, d_real=9.0, wasserstein_estimate=float(step))
        for step in range(100)
    ]
    _, lower = drawn(tmp_path / "a.png", metrics, monkeypatch)
    assert labels(lower) == ["E D(x) - E D(G(z))"]
    raw, _ = lower.lines
    assert list(raw.get_ydata()) == list(range(100))


@pytest.mark.parametrize(("real", "fake"), [(4.0, 0.5), (0.5, -4.0)])
def test_plot_of_scores_has_no_line_at_one_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: float, fake: float
) -> None:
    metrics = [record(step, d_real=real, d_fake_before=fake) for step in range(5)]
    _, lower = drawn(tmp_path / "a.png", metrics, monkeypatch)
    assert lower.get_ylim()[0] < fake
    assert lower.get_ylim()[1] > real
    assert len(lower.lines) == 4


def test_plot_without_outputs_of_d_has_one_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(drawn(tmp_path / "a.png", [record(1), record(2)], monkeypatch)) == 1


def test_plot_skips_nulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = [record(step) for step in range(10)]
    metrics[3]["d_loss"] = None
    del metrics[4]["d_loss"]
    (axes,) = drawn(tmp_path / "a.png", metrics, monkeypatch)
    assert list(axes.lines[0].get_xdata()) == [0, 1, 2, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("metrics", "steps"),
    [
        ([record(10, **PROBABILITIES)], [10]),
        ([{"step": 1, "d_loss": None, "g_loss": None, "d_real": None}], []),
        ([], []),
        ([record(step, **PROBABILITIES) for step in range(5000)], range(5000)),
    ],
    ids=["one", "nulls", "none", "thousands"],
)
def test_plot_of_any_length(
    tmp_path: Path,
    metrics: list[dict[str, Any]],
    steps: Sequence[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panels = drawn(tmp_path / "a.png", metrics, monkeypatch)
    curves = [["discriminator", "generator"], ["D(x)", *GENERATED]]
    assert list(map(labels, panels)) == (curves if steps else [[]])
    for line in (line for panel in panels for line in panel.lines):
        assert list(line.get_xdata()) == list(steps)
        # A line through one point shows nothing.
        is_thick = line.get_label()[0] != "_"
        assert (line.get_marker() == "o") == (is_thick and len(steps) == 1)


def test_wild_first_value_does_not_flatten_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [record(step) for step in range(1000)]
    metrics[0]["d_loss"] = 1e9
    (axes,) = drawn(tmp_path / "a.png", metrics, monkeypatch)
    assert axes.get_ylim()[1] < 10


@pytest.mark.parametrize("length", [1, 39, 40, 60, 100, 777])
def test_a_running_median_is_centred_and_shorter_at_the_ends(length: int) -> None:
    line = np.arange(float(length))
    np.testing.assert_array_equal(plots.running_median(line), line)
    values = np.random.default_rng(0).integers(0, 9, length).astype(float)
    reach = [min(length // 40, i, length - 1 - i) for i in range(length)]
    expected = [np.median(values[i - r : i + r + 1]) for i, r in enumerate(reach)]
    np.testing.assert_array_equal(plots.running_median(values), expected)


def test_a_spike_leaves_no_plateau(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [{"step": step, "d_loss": 1.0} for step in range(1000)]
    metrics[500]["d_loss"] = 1e3
    (axes,) = drawn(tmp_path / "a.png", metrics, monkeypatch)
    raw, thick = axes.lines[:2]
    assert max(raw.get_ydata()) == 1e3
    assert set(thick.get_ydata()) == {1.0}


def test_importing_images_does_not_import_matplotlib() -> None:
    program = "import sys, shared.drawing.images; sys.exit('matplotlib' in sys.modules)"
    command = [sys.executable, "-c", program]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
