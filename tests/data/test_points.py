"""Points in the plane: their distributions, their scores, and runs on them."""

import base64
import dataclasses
import json
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from shared.config.choices import POINTS
from shared.config.presets import PRESETS
from shared.data import points
from shared.drawing import point_plots, samples
from shared.training.session import Session
from support import Twin


@pytest.mark.parametrize("name", POINTS)
def test_the_data_are_always_the_same_and_of_high_quality(name: str) -> None:
    data = points.load(name)
    assert data.images.shape == (points.COUNT, 1, 1, 2)
    assert data.images.dtype == np.float32
    assert np.abs(data.images).max() < 1.3
    np.testing.assert_array_equal(data.images, points.load(name).images)
    # Within three deviations of its centre lies 1 - exp(-9/2) = 98.9% of a Gaussian.
    some = np.asarray(data.images[:5000], np.float32).reshape(-1, 2)
    quality = points.score(name, some).high_quality
    assert 0.98 < quality < 1.0


@pytest.mark.parametrize(("name", "count"), [("ring", 8), ("grid", 25)])
def test_labels_name_the_gaussians(name: str, count: int) -> None:
    data = points.load(name)
    assert data.info.num_classes == len(data.class_names) == count
    assert data.labels is not None
    flat = data.images.reshape(-1, 2)
    for label, centre in enumerate(points.centres(name)):
        mine = flat[data.labels == label]
        assert len(mine) == points.COUNT // count
        np.testing.assert_allclose(mine.mean(axis=0), centre, atol=0.005)


def test_the_spiral_has_no_labels() -> None:
    data = points.load("swiss-roll")
    assert data.labels is None
    assert data.info.num_classes == 0


def test_scores_count_modes_and_good_points() -> None:
    centres = points.centres("ring")
    assert points.score("ring", centres) == (8, 1.0)
    # Two modes, one of them hit twice; a point in the middle is near none.
    some = np.stack([centres[0], centres[0], centres[3], np.zeros(2)])
    assert points.score("ring", some) == (2, 0.75)
    assert points.score("grid", np.array([[0.25, 0.25]])) == (0, 0.0)
    assert points.score("swiss-roll", np.array([[5.0, 5.0]])) == (None, 0.0)


def test_a_run_draws_its_points_and_scores_them(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    twin.main("train")(
        [
            "ring",
            "--steps",
            "4",
            "--sample-every",
            "2",
            "--width",
            "8",
            "--batch-size",
            "16",
            "--run-dir",
            str(run),
            "--device",
            "cpu",
        ]
    )
    lines = (run / "samples.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records] == [0, 2, 4]
    assert all(record.keys() == {"step", "modes", "high_quality"} for record in records)
    with Image.open(run / "samples.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 3
        assert animation.size == (800, 400)
    page = (run / "report.html").read_text()
    # Vectors are what the page shows at each of its steps.
    shown = re.findall(r'"uri": "data:image/svg\+xml;base64,([^"]+)"', page)
    vectors = [run / "samples" / f"{step:06d}.svg" for step in (0, 2, 4)]
    assert [base64.b64decode(x) for x in shown] == [x.read_bytes() for x in vectors]
    assert f'id="frame" src="data:image/svg+xml;base64,{shown[-1]}"' in page
    assert "20,000 points in the plane, 8 classes" in " ".join(page.split())
    assert f"python -m gans_{twin.name}.sample RUN --num 2500" in page
    # New points are drawn in the same way.
    twin.main("sample")([str(run), "--num", "500", "--device", "cpu"])
    with Image.open(run / "drawn" / "000004-samples-seed0.png") as drawn:
        assert drawn.size == (800, 400)
    with pytest.raises(SystemExit, match="2"):
        twin.main("sample")([str(run), "--separate"])
    assert "--separate: points in the plane are" in capsys.readouterr().err


def test_who_looks_at_the_networks_changes_nothing_of_what_trains(twin: Twin) -> None:
    """In evaluation mode, batch norm would go by other statistics from there on."""
    small = {"steps": 2, "width": 8, "batch_size": 16}
    config = dataclasses.replace(
        PRESETS["ring"], g_norm="batch", d_norm="batch", **small
    )
    data = points.load("ring")
    backend = twin.library.make_backend(config, data.info, "cpu")
    session = Session(config, data, backend)
    session.start()
    session.run(2)
    unseen = backend.arrays()
    session.start()
    backend.discriminate(data.images[:16], None)
    backend.sample(np.ones((16, config.z_dim), np.float32), None)
    session.run(2)
    for name, array in backend.arrays().items():
        np.testing.assert_array_equal(array, unseen[name], name)


def test_the_landscape_is_drawn_where_layers_compare_points(
    twin: Twin, tmp_path: Path
) -> None:
    layers = ["--minibatch-std", "8", "--minibatch-discrimination", "2"]
    small = ["--steps", "1", "--width", "8", "--batch-size", "64"]
    run = ["--run-dir", str(tmp_path / "run"), "--device", "cpu"]
    twin.main("train")(["ring", *layers, *small, *run])
    assert (tmp_path / "run" / "samples" / "000001.png").exists()


def test_the_landscape_keeps_its_order() -> None:
    class FirstCoordinate:
        @staticmethod
        def discriminate(where: np.ndarray, labels: None) -> np.ndarray:
            assert len(where) == 64
            return where[:, 0, 0, 0]

    config = dataclasses.replace(PRESETS["ring"], batch_size=64)
    where = point_plots.landscape_points()
    found = samples._landscape(cast(Any, FirstCoordinate()), config)
    np.testing.assert_array_equal(found, where[:, 0])


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["ring", "--architecture", "dcgan"], "ring needs mlp"),
        (["ring", "--image-size", "8"], "points of ring have size 1"),
        (["ring", "--d-norm", "instance"], "one value a channel"),
        (["swiss-roll", "--conditional"], "needs labels"),
    ],
)
def test_what_makes_no_sense_for_points_is_refused(
    twin: Twin,
    arguments: list[str],
    rule: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        twin.main("train")([*arguments, "--run-dir", str(run)])
    assert stop.value.code == 2
    assert rule in capsys.readouterr().err
    assert not run.exists()
