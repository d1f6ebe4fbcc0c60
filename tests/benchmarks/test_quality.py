import dataclasses
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import quality
from benchmarks.quality import Options, Runner
from shared.config.presets import PRESETS
from shared.errors import UsageError


@pytest.mark.needs("torch")
@pytest.mark.parametrize("framework", ["textbook", "torch"])
def test_a_runner_shows_images_of_what_it_has_learnt(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = dataclasses.replace(PRESETS["dcgan"], width=2, z_dim=4, batch_size=8)
    monkeypatch.setitem(PRESETS, "dcgan", tiny)
    # Each look at the clock takes a second.
    clock = SimpleNamespace(time=itertools.count().__next__)
    monkeypatch.setattr(quality, "time", clock)
    options = Options(
        out=tmp_path, image_size=8, seconds=20, looks=2, data_dir=tmp_path
    )
    looks: list[Any] = []

    def tell(look: Any) -> None:
        looks.append(look)
        for _ in range(5):
            clock.time()

    quality._run(tell, options, Runner(framework, "dcgan"), seed=0, start=0)
    # What it took to tell of the first look is left out.
    assert [(seconds, steps) for seconds, steps, _ in looks] == [(11, 10), (21, 18)]
    first, second = (images for *_, images in looks)
    assert first.shape == (1797, 8, 8, 1)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, second)


@pytest.mark.needs("torch")
def test_a_textbook_has_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = dataclasses.replace(PRESETS["dcgan"], width=2, z_dim=4, batch_size=8)
    monkeypatch.setitem(PRESETS, "dcgan", tiny)
    options = Options(out=tmp_path, image_size=8, seconds=2, looks=1, data_dir=tmp_path)
    looks: list[Any] = []
    for seed in (0, 0, 1):
        clock = SimpleNamespace(time=itertools.count().__next__)
        monkeypatch.setattr(quality, "time", clock)
        runner = Runner("textbook", "dcgan")
        quality._run(looks.append, options, runner, seed=seed, start=0)
    first, again, other = (look.images for look in looks)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def _results() -> dict[str, Any]:
    rows = [
        {"framework": framework, "preset": "dcgan", "seed": seed, "seconds": seconds}
        | {"steps": 10 * seconds, "fid": fid + seed / seconds, "coverage": 0.25}
        for framework, fid in (("textbook", 3.0), ("torch", 1.0), ("jax", 2.0))
        for seed in range(3)
        for seconds in (1, 2)
    ]
    held_out = {"fid": 0.1, "coverage": 0.9}
    return {
        "machine": "here",
        "dataset": "digits",
        "ceiling": {"16 real images, held out": held_out},
        "rows": rows,
    }


def test_the_table_has_the_median_of_the_last_look(tmp_path: Path) -> None:
    results = _results()
    assert quality.table(results).splitlines()[-3:] == [
        "| textbook | 2 | 20 | 3.500 | 0.250 |",
        "| dcgan, torch | 2 | 20 | 1.500 | 0.250 |",
        "| dcgan, jax | 2 | 20 | 2.500 | 0.250 |",
    ]
    quality.write(results, tmp_path)
    assert json.loads((tmp_path / "quality.json").read_text()) == results
    assert (tmp_path / "quality.png").stat().st_size > 1000


def test_a_single_look_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = _results()
    results["rows"] = [row for row in results["rows"] if row["seconds"] == 1]
    figures: list[Any] = []
    monkeypatch.setattr(
        quality, "save_figure", lambda _, figure: figures.append(figure)
    )
    quality.write(results, tmp_path)
    left, _ = figures[0].axes
    assert {line.get_marker() for line in left.get_lines()} == {"o"}


def test_points_do_not_race(tmp_path: Path) -> None:
    options = Options(out=tmp_path, presets=("ring",), data_dir=tmp_path)
    with pytest.raises(UsageError, match="--presets ring: must be presets of images"):
        next(quality.measure(options))


@pytest.mark.parametrize("name", ["seconds", "looks", "seeds"])
def test_a_race_of_nobody_is_refused(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {name: 0}
    options = dataclasses.replace(Options(out=tmp_path), **changes)
    with pytest.raises(UsageError, match=f"^--{name} 0: must be above 0$"):
        next(quality.measure(options))
