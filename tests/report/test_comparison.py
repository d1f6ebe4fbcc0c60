"""Runs side by side: what tells them apart, and what they reached."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images, plots
from shared.errors import UsageError
from shared.quantities import series
from shared.report import comparison, comparison_page
from shared.report.comparison_page import Run, comparable
from shared.run.rollbacks import Rollback
from shared.run.run_dir import RunDir

DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="ab" * 32)


def make(path: Path, config: TrainConfig, twin: str | None = None) -> RunDir:
    run = RunDir.create(path, config, DATA, twin=twin)
    run.append_metrics({"step": 50, "d_loss": 1.25, "g_loss": 0.5})
    return run


def rows(
    capsys: pytest.CaptureFixture[str], folder: Path, *runs: RunDir
) -> dict[str, list[str]]:
    """The printed table: cells by label."""
    paths = tuple(run.path for run in runs)
    comparison.compare(paths, folder / "curves.png")
    lines = capsys.readouterr().out.splitlines()
    table = [re.split("  +", line) for line in lines]
    return {label: cells for label, *cells in table}


def test_equal_folders_of_both_twins_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig()
    one = make(tmp_path / "torch" / "dcgan-001", config, "gans_torch")
    other = make(tmp_path / "jax" / "dcgan-001", config, "gans_jax")
    old = make(tmp_path / "old" / "dcgan-001", config)
    other.config_file.write(config, DATA, twin="gans_torch")
    found = rows(capsys, tmp_path, one, other, old)
    assert found[""] == ["torch/dcgan-001", "jax/dcgan-001", "old/dcgan-001"]
    assert found["twin"] == ["gans_torch", "gans_jax, gans_torch", "-"]
    # Names that differ by themselves stay short; a run named twice is one.
    third = make(tmp_path / "jax" / "dcgan-002", config)
    (tmp_path / "link").symlink_to(third.path)
    found = rows(capsys, tmp_path, one, third, third, RunDir(tmp_path / "link"))
    assert found[""] == ["dcgan-001", "dcgan-002"]


def test_rectangles_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = make(tmp_path / "wide", TrainConfig(image_size=(16, 32)))
    tall = make(tmp_path / "tall", TrainConfig(image_size=(32, 16)))
    square = make(tmp_path / "square", TrainConfig())
    found = rows(capsys, tmp_path, wide, tall, square)
    assert found["image_size"] == ["16x32", "32x16", "32"]


def test_budgets_and_what_grids_showed_are_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    critic = make(tmp_path / "critic", PRESETS["wgan-gp"])
    seldom = make(tmp_path / "seldom", TrainConfig(d_every=4))
    critic.append_sample_metrics({"step": 0, "diversity": 0.125, "modes": 3})
    critic.append_sample_metrics({"step": 50, "diversity": 0.75, "modes": 7})
    seldom.append_scores({"step": 50, "high_quality": 0.875})
    found = rows(capsys, tmp_path, critic, seldom)
    # 50 x 5 batches of 64, and the 13 batches of steps 0, 4, ..., 48.
    assert found["images seen"] == ["16,000", "832"]
    assert found["diversity"] == ["0.75", "-"]
    assert found["modes while training"] == ["7", "-"]
    assert found["high_quality while training"] == ["-", "0.875"]
    assert "images_per_second" not in found


def test_scores_without_their_protocol_are_refused(tmp_path: Path) -> None:
    run = make(tmp_path / "run", TrainConfig())
    stored = '{"step": 50, "protocol": {}, "scores": {"fid": 3.5}}'
    (run.path / "evaluation-000050.json").write_text(stored)
    with pytest.raises(UsageError, match=r"evaluation-000050\.json: is no evaluation"):
        comparison.compare([run.path], tmp_path / "curves.png")


def page_of(folder: Path, *runs: RunDir) -> str:
    comparison.compare([run.path for run in runs], folder / "curves.png")
    return (folder / "curves.html").read_text("utf-8")


def test_a_page_shows_grids_at_equal_images_seen(tmp_path: Path) -> None:
    slow = make(tmp_path / "slow", TrainConfig())
    fast = make(tmp_path / "fast", TrainConfig(n_critic=5))
    for number, (run, steps) in enumerate(((slow, (10, 40)), (fast, (2, 8, 40)))):
        for step in steps:
            pixels = np.full((4, 4, 1), 50 * number + step, np.uint8)
            images.save_png(run.sample_path(step), pixels)
    found = page_of(tmp_path, slow, fast)
    # 40 steps of the one are 8 of the other.
    shown = re.findall(r"Samples of (\w+) after step (\d+)", found)
    moments = [shown[:2], shown[2:4]]
    assert moments == [[("slow", "40"), ("fast", "8")], [("slow", "10"), ("fast", "2")]]
    assert "After 2,560 real images" in found
    assert "svg+xml" not in found
    # Points are there as vectors, too.
    slow.vectors_path(40).write_text("<svg/>")
    assert (
        page_of(tmp_path, slow, fast).count("data:image/svg+xml;base64,PHN2Zy8+") == 1
    )
    assert "http" not in found


def test_a_run_that_diverged_says_so_and_shortens_nobodys_grids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, failed, back = (
        make(tmp_path / name, TrainConfig(seed=n))
        for n, name in enumerate(("whole", "failed", "back"))
    )
    failed.append_metrics({"step": 51, "diverged": 1})
    failed.append_sample_metrics({"step": 51, "diversity": 0.5})
    back.config_file.note_rollbacks([Rollback(to=0, at=7)] * 2)
    for run, steps in ((whole, (0, 20, 40)), (failed, (0,)), (back, (0, 40))):
        for step in steps:
            images.save_png(run.sample_path(step), np.zeros((4, 4, 1), np.uint8))
    found = rows(capsys, tmp_path, whole, failed, back)
    assert found["health"] == ["-", "diverged", "went back 2 times"]
    page = (tmp_path / "curves.html").read_text("utf-8")
    assert "went back 2 times" in page
    shown = re.findall(r"Samples of (\w+) after step (\d+)", page)
    # The budgets of a quarter and three quarters show what is there already.
    assert shown == [
        *[("whole", "40"), ("failed", "0"), ("back", "40")],
        *[("whole", "20"), ("failed", "0"), ("back", "0")],
        *[("whole", "0"), ("failed", "0"), ("back", "0")],
    ]
    assert "health" not in rows(capsys, tmp_path, whole)


def test_seeds_are_one_line_with_a_band_and_losses_share_no_axis(
    tmp_path: Path,
) -> None:
    seeds = [make(tmp_path / f"s{n}", TrainConfig(seed=n)) for n in range(3)]
    other = make(tmp_path / "other", PRESETS["hinge"])
    for number, run in enumerate([*seeds, other]):
        for step in (10, 50):
            run.append_scores({"step": step, "fid": float(number + step)})
    found = page_of(tmp_path, *seeds)
    assert "s0 and 2 like it" in found
    assert found.count("<polyline") == 3  # two losses, FID
    assert "discriminator&#39;s loss" in found
    assert "are left out" not in found
    found = page_of(tmp_path, *seeds, other)
    assert found.count("<polyline") == 2
    assert "discriminator&#39;s loss" not in found
    assert "Losses of different objectives" in found
    # The picture has the page's curves.
    read = [comparison._read(run.path.name, run.path) for run in (*seeds, other)]
    assert "d_loss" in comparable(read[:3])
    assert "d_loss" not in comparable(read)
    (band, _) = re.findall(r'<polygon points="([^"]*)"', found)
    heights = [float(point.split(",")[1]) for point in band.split()]
    assert heights[0] - heights[-1] > 5  # from the least to the largest


def test_every_run_is_named_and_drawn_whatever_it_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig()
    names = ["_run0", *(f"run{n}" for n in range(1, 6))]
    runs = [
        RunDir.create(tmp_path / name, dataclasses.replace(config, width=2**n), DATA)
        for n, name in enumerate(names)
    ]
    runs[0].append_scores({"step": 50, "fid": 1.0})
    for run in runs[1:]:
        run.append_sample_metrics({"step": 50, "diversity": 0.5})
    figures: list[Any] = []
    monkeypatch.setattr(
        comparison, "save_figure", lambda _, figure: figures.append(figure)
    )
    found = page_of(tmp_path, *runs)
    (figure,) = figures
    legend = figure.axes[0].get_legend()
    # Matplotlib leaves out what begins with _.
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [" _run0", *names[1:]]
    lines = [(line.get_color(), line.get_marker()) for line in legend.get_lines()]
    assert lines == [(f"C{n}", "o") for n in range(6)]
    # A single value is a dot; a sixth line has the first one's colour, and dashes.
    assert found.count("<circle") == 6
    first, *_, last = re.findall(r'<line x2="28"[^>]*>', found)
    assert re.findall('"var[^ ]*', first) == re.findall('"var[^ ]*', last)
    assert first != last


def test_of_points_nothing_says_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run", PRESETS["ring"])
    assert "Curves over the points seen" in page_of(tmp_path, run)
    assert "points seen" in rows(capsys, tmp_path, run)
    other = make(tmp_path / "other", TrainConfig())
    assert "Curves over the images seen" in page_of(tmp_path, run, other)
    assert "images seen" in rows(capsys, tmp_path, run, other)


def test_of_two_values_of_a_step_the_later_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run", PRESETS["ring"])
    run.append_sample_metrics({"step": 50, "modes": 3})
    run.append_scores({"step": 50, "modes": 5})
    assert rows(capsys, tmp_path, run)["modes while training"] == ["5"]
    read = comparison._read("run", run.path)
    assert series(read.records, "modes") == [(50, 5)]


def test_whole_numbers_are_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run", TrainConfig())
    run.append_metrics({"step": 5_000_001, "d_loss": 1 / 3})
    found = rows(capsys, tmp_path, run)
    assert (found["step"], found["d_loss"]) == (["5000001"], ["0.333333"])


def test_scores_of_different_judges_share_no_axis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits, again, mnist = (
        make(tmp_path / name, TrainConfig(seed=n))
        for n, name in enumerate(("digits", "again", "mnist"))
    )
    for run in (digits, again, mnist):
        dataset = "mnist" if run is mnist else "digits"
        weights = "average of G" if run is again else "G"
        protocol = {"dataset": dataset, "weights": weights, "draws": 1}
        scores = {"fid": 2.5, "coverage": 0.5}
        run.append_scores({"step": 50, **scores, "protocol": protocol})
    # An average is judged, and judges nobody.
    found = rows(capsys, tmp_path, digits, again)
    assert found["fid while training"] == ["2.5", "2.5"]
    assert found["coverage while training"] == ["0.5", "0.5"]
    assert found["weights while training"] == ["G", "average of G"]
    assert "dataset while training" not in found
    page = (tmp_path / "curves.html").read_text("utf-8")
    assert "<h3>FID</h3>" in page
    assert "different judges" not in page
    found = rows(capsys, tmp_path, digits, mnist)
    assert found["dataset while training"] == ["digits", "mnist"]
    page = (tmp_path / "curves.html").read_text("utf-8")
    assert "<h3>FID</h3>" not in page
    assert "<h3>coverage</h3>" not in page
    assert "FID and coverage by different judges" in page
    runs = [comparison._read("", run.path) for run in (digits, mnist)]
    assert {"fid", "coverage"}.isdisjoint(comparable(runs))


def test_a_few_wild_values_flatten_no_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, short = (
        RunDir.create(tmp_path / name, TrainConfig(width=width), DATA)
        for name, width in (("run", 8), ("short", 16))
    )
    for step in range(1, 401):
        run.append_metrics({"step": step, "d_loss": step / 400})
    # One that is short is no wild value of the long one.
    short.append_metrics({"step": 1, "d_loss": 3.0})
    figures: list[Any] = []
    monkeypatch.setattr(
        comparison, "save_figure", lambda _, figure: figures.append(figure)
    )
    page_of(tmp_path, run, short)
    low, high = figures[0].axes[0].get_ylim()
    assert -0.32 < low < -0.25  # a tenth beside what is drawn
    assert 3.25 < high < 3.32
    run.append_metrics({"step": 401, "d_loss": 1e9})
    page = page_of(tmp_path, run, short)
    assert re.findall(r'text-anchor="end">(\S+)</text>', page)[-1] == "3"
    assert page.count("<clipPath") == 1


def test_twelve_runs_are_told_apart_in_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make(tmp_path / f"r{n}", TrainConfig(seed=n)) for n in range(12)]
    figures: list[Any] = []
    monkeypatch.setattr(
        comparison, "save_figure", lambda _, figure: figures.append(figure)
    )
    page = page_of(tmp_path, *runs)
    lines = figures[0].axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12
    # Names keep their own direction of writing.
    assert "<h1><bdi>r0</bdi>, <bdi>r1</bdi>, " in page


def test_runs_without_any_record_are_refused(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path / "run", TrainConfig(), DATA)
    with pytest.raises(UsageError, match="none of the runs has recorded anything"):
        comparison.compare([run.path], tmp_path / "curves.png")


def test_runs_of_another_length_are_no_run_like_it(tmp_path: Path) -> None:
    """A band would end with the shortest, and rates fall over the length."""
    configs = (
        TrainConfig(),
        TrainConfig(seed=1, log_every=7),
        TrainConfig(seed=2, steps=777),
    )
    runs = [make(tmp_path / f"r{n}", config) for n, config in enumerate(configs)]
    found = page_of(tmp_path, *runs)
    assert "r0 and 1 like it" in found
    assert found.count("<polyline") == 4  # two losses of two groups
    assert "Runs of one length that differ by their seed or twin alone" in found


def test_a_band_is_where_all_of_its_runs_are(tmp_path: Path) -> None:
    early, late = (
        Run(
            name,
            RunDir(tmp_path / name),
            TrainConfig(batch_size=2),
            [],
            [{"step": step, "fid": value} for step in steps],
            None,
            rollbacks=0,
            diverged=False,
        )
        for name, steps, value in (("a", (10, 20, 30), 1.0), ("b", (20, 30, 40), 2.0))
    )
    band = comparison_page._band("fid", [early, late])
    assert band is not None
    assert band.tolist() == [[40, 1, 1.5, 2], [60, 1, 1.5, 2]]


def test_an_axis_of_nothing_but_zeros_goes_up_from_there() -> None:
    scores = [{"step": step, "coverage": 0.0} for step in (10, 20)]
    run = Run(
        "a",
        RunDir(Path("a")),
        TrainConfig(),
        [],
        scores,
        None,
        rollbacks=0,
        diverged=False,
    )
    chart = comparison_page._chart("coverage", {"a": [run]})
    assert chart is not None
    assert [text for _, text in chart["ticks"]] == ["0", "0.5", "1"]
    # The picture's, too.
    assert plots.bulk(np.zeros(2)) == (0, 1)


def test_twenty_lines_are_told_apart_and_ticks_are_round() -> None:
    assert len({tuple(comparison_page._stroke(n).values()) for n in range(20)}) == 20
    assert comparison_page._ticks(0.0, 8.0) == [0, 2, 4, 6, 8]


def test_a_missing_folder_is_made_for_the_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path / "run", TrainConfig())
    comparison.compare([run.path], tmp_path / "new" / "er" / "x.png")
    names = sorted(path.name for path in (tmp_path / "new" / "er").iterdir())
    assert names == ["x.html", "x.png"]
    (tmp_path / "file").touch()
    with pytest.raises(
        UsageError, match=r"^--out .*file/x.png: cannot be written: Not"
    ):
        comparison.compare([run.path], tmp_path / "file" / "x.png")
    # The table needs no disk.
    table = comparison.table([comparison._read("run", run.path)])
    assert capsys.readouterr().out == 2 * table


def test_the_last_evaluation_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make(tmp_path / name, TrainConfig(seed=n)) for n, name in enumerate("ab")]
    for step, value in ((20, 2.0), (40, 1.0)):
        score = {"title": "FID", "shown": "", "protocol": "", "value": value}
        stored = {"step": step, "protocol": {}}
        stored["scores"] = {"fid": {**score, "interval_95": None}}
        (runs[0].path / f"evaluation-{step:06d}.json").write_text(json.dumps(stored))
    found = rows(capsys, tmp_path, *runs)
    assert (found["evaluated step"], found["fid"]) == (["40", "-"], ["1", "-"])
