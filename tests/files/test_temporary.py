"""Without a folder for what is kept for a moment, libraries do a part of their work."""

import tempfile
from pathlib import Path
from typing import NoReturn
from unittest.mock import Mock

import numpy as np
import pytest

from shared.data import datasets
from shared.data.points import PointScores
from shared.drawing.point_plots import (
    Scene,
    landscape_points,
    plot_points,
    plot_vectors,
)
from shared.errors import UsageError
from shared.files.temporary import check_temporary_folder
from shared.run.run_dir import RunDir
from support import TINY, Train, Twin, stopped

SAID = "no temporary folder can be written; TMPDIR=FOLDER names one"


@pytest.fixture(autouse=True)
def nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> NoReturn:
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", fail)
    monkeypatch.delenv("TMPDIR", raising=False)


@pytest.mark.parametrize(
    ("told", "where"), [("", ""), ("/no\nwhere", r"TMPDIR='/no\nwhere': ")]
)
def test_what_is_said_names_the_variable(
    told: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told:
        monkeypatch.setenv("TMPDIR", told)
    with pytest.raises(UsageError) as refused:
        check_temporary_folder()
    assert str(refused.value) == where + SAID


def test_nothing_is_trained_that_cannot_be_drawn(
    twin: Twin, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(2, lambda: train("dcgan", *TINY, "--run-dir", tmp_path / "run"))
    said = f"gans_{twin.name}.train: error: {SAID}\n"
    assert capsys.readouterr().err == said
    assert not (tmp_path / "run").exists()


def test_from_python_neither_and_nothing_is_resumed(
    twin: Twin, finished: Path, train: Train, data_dir: Path, tmp_path: Path
) -> None:
    stopped(2, lambda: train("--resume", finished))
    config = RunDir.open(finished).config_file.read()[0]
    digits = datasets.load("digits", 16, data_dir)
    for place in ({"run_dir": tmp_path / "run"}, {"resume": finished}):
        with pytest.raises(UsageError, match=SAID):
            twin.library.fit(config, digits, device="cpu", **place)
    assert not (tmp_path / "run").exists()


def test_runs_are_compared_by_the_table_alone(
    twin: Twin, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "comparison.png"
    stopped(2, lambda: twin.main("compare")([str(finished), "--out", str(out)]))
    printed = capsys.readouterr()
    assert "d_loss" in printed.out
    assert printed.err == f"gans_{twin.name}.compare: error: {SAID}\n"


def test_points_are_not_drawn(tmp_path: Path) -> None:
    points, scores = np.zeros((9, 2)), PointScores(None, 0.0)
    scene = Scene(points, points, landscape_points()[:, 0], scores, "")
    for draw in (plot_points, plot_vectors):
        with pytest.raises(UsageError, match=SAID):
            draw(tmp_path / "x", scene)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_pytorch_exports_nothing(format: str) -> None:
    from gans_torch.formats import convert

    with pytest.raises(UsageError, match=SAID):
        convert(Mock(), format)


@pytest.mark.needs("torch")
def test_pytorch_trains_no_classifier() -> None:
    import torch

    from gans_torch.classifier import Classifier

    with pytest.raises(UsageError, match=SAID):
        Classifier(1, 10, 8, torch.device("cpu"))
