"""What a run leaves on the disk, and how it is found again by whoever goes on."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import plots
from shared.errors import UsageError
from shared.run import checkpoint, room
from shared.run.rollbacks import Rollback
from shared.run.run_dir import RunDir
from shared.run.unfinished import newest_unfinished
from shared.training import driver, places, recorder
from support import TINY, Train, Twin, contents, copy, metrics, stopped

ON = ("--device", "cpu")


class Usage(NamedTuple):
    """As of `shutil.disk_usage`."""

    total: int
    used: int
    free: int


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_damaged_last_checkpoint_is_passed_over_with_a_word(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    damage(run / "checkpoints" / "000006.safetensors")
    train("--resume", run, *ON)
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith(f"{run}: going back to step 3; removed is all that is newer")
    assert "000006.safetensors: damaged: contents and checksum disagree" in told
    assert metrics(run) == metrics(finished)
    for name in ("checkpoints", "samples"):
        assert contents(run / name) == contents(finished / name)


def test_where_no_checkpoint_is_whole_nothing_starts_over(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    for path in (run / "checkpoints").iterdir():
        damage(path)
    before = contents(run)
    stopped(2, lambda: train("--resume", run, *ON))
    assert "000006.safetensors: damaged: contents" in capsys.readouterr().err
    assert contents(run) == before


def test_what_a_newer_program_wrote_is_not_passed_over(
    train: Train, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copy(finished, tmp_path)
    last = run / "checkpoints" / "000006.safetensors"
    state = checkpoint.load(last)._replace(rollbacks=(Rollback(3, 5),))
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", checkpoint.FORMAT_VERSION + 1)
    checkpoint.save(last, state)
    monkeypatch.undo()
    before = contents(run)
    stopped(2, lambda: train("--resume", run, *ON))
    assert contents(run) == before


def test_a_run_goes_back_to_the_step_that_is_named(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    before = contents(run)
    stopped(2, lambda: train("--resume", run, "--step", 4, *ON))
    assert "--step 4: " in capsys.readouterr().err
    stopped(2, lambda: train(*TINY, "--step", 3, "--run-dir", tmp_path / "new"))
    assert "--step 3: needs the run to --resume" in capsys.readouterr().err
    assert contents(run) == before
    judged = run / "evaluation-000006-none.json"
    scores = {"step": 6, "checkpoint": "", "protocol": {}, "scores": {}}
    judged.write_text(json.dumps(scores))
    train("--resume", run, "--step", 3, *ON)
    told, *_ = capsys.readouterr().err.splitlines()
    assert told == (
        f"{run}: going back to step 3; removed is all that is newer, with checkpoint"
        f" 6, {judged.name}"
    )
    assert not judged.exists()
    assert metrics(run) == metrics(finished)
    for name in ("checkpoints", "samples"):
        assert contents(run / name) == contents(finished / name)


@pytest.mark.parametrize("step", [0, 6])
@pytest.mark.parametrize("lost", ["record", "grid", "both"])
def test_a_first_or_last_grid_comes_back_with_its_record(
    step: int,
    lost: str,
    train: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(finished, tmp_path)
    if step == 0:  # as it is when a run is killed before its first checkpoint
        shutil.rmtree(run / "checkpoints")
        lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
        (run / "metrics.jsonl").write_text("".join(lines[:3]))
    if lost != "record":
        (run / "samples" / f"{step:06d}.png").unlink()
    if lost != "grid":
        lines = (run / "samples.jsonl").read_text().splitlines(keepends=True)
        kept = [line for line in lines if f'"step": {step},' not in line]
        assert len(kept) == len(lines) - 1
        (run / "samples.jsonl").write_text("".join(kept))
    train("--resume", run, *ON)
    assert metrics(run) == metrics(finished)
    told = capsys.readouterr().err
    assert "missing" not in told
    assert ("had no checkpoint yet; starting over" in told) == (step == 0)
    for name in ("samples.jsonl", "samples/000000.png", "samples/000006.png"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize("lost", ["checkpoints", "checkpoints/*"])
def test_a_run_that_lost_its_checkpoints_keeps_its_records(
    lost: str,
    train: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(finished, tmp_path)
    for path in run.glob(lost):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = contents(run)
    stopped(2, lambda: train("--resume", run, *ON))
    *_, told = capsys.readouterr().err.splitlines()
    assert f"{run}: has records up to step 6, but no checkpoint to go on from" in told
    assert contents(run) == before


def test_a_folder_of_samples_that_was_removed_is_made_again(
    train: Train, finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path)
    shutil.rmtree(run / "samples")
    train("--resume", run, "--steps", 8, *ON)
    assert RunDir(run).sample_steps() == [6, 8]


def test_a_grid_that_is_damaged_is_told(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    grid = RunDir(run).sample_path(2)
    grid.write_bytes(b"")
    train("--resume", run, "--steps", 7, *ON)
    told = f"{grid}: damaged; left out of the animation"
    assert told in capsys.readouterr().err.splitlines()


def test_the_plot_of_losses_is_told_what_chance_gives(
    train: Train, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    monkeypatch.setattr(plots, "plot_losses", lambda *words: given.append(words[-1]))
    train("--resume", copy(finished, tmp_path), "--steps", 7, *ON)
    assert given == [0.5]


def test_scores_that_cannot_be_read_are_told_before_training(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    (run / "evaluation-000003.json").write_text("garbage")
    before = contents(run)
    stopped(2, lambda: train("--resume", run, "--steps", 8, *ON))
    assert "evaluation-000003.json: unreadable" in capsys.readouterr().err
    assert contents(run) == before


def test_records_are_missed_by_what_was_asked_for_then(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores that only a later part of the run has are none that were lost."""
    run = copy(finished, tmp_path)
    train("--resume", run, "--steps", 9, "--evaluate-every", 3, *ON)
    capsys.readouterr()
    train("--resume", run, "--step", 6, "--steps", 7, *ON)
    assert "missing" not in capsys.readouterr().err


def test_lost_records_are_told(
    train: Train, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:3]))
    (run / "samples.jsonl").write_text("")
    train("--resume", run, "--steps", 7, *ON)
    told, *_ = capsys.readouterr().err.splitlines()
    assert told == (
        f"warning: {run}: at step 6 records are missing: metrics.jsonl ends at step 3;"
        " samples.jsonl lacks 3, from step 0 on"
    )
    assert [record["step"] for record in metrics(run)] == [1, 2, 3, 7]


def test_some_checkpoints_stay_and_resuming_may_change_which(
    train: Train, tmp_path: Path
) -> None:
    every = ("--save-every", 1, "--sample-every", 50)
    run, all_kept = RunDir(tmp_path / "run"), RunDir(tmp_path / "all")
    train(*TINY, *every, "--steps", 9, "--run-dir", run.path)
    assert run.checkpoint_steps() == [2, 4, 6, 7, 8, 9]
    train("--resume", run.path, "--steps", 10, "--keep", 1, *ON)
    train("--resume", run.path, "--steps", 11, *ON)
    assert run.checkpoint_steps() == [2, 4, 6, 8, 10, 11]
    train(*TINY, *every, "--steps", 10, "--keep", "all", "--run-dir", all_kept.path)
    train("--resume", all_kept.path, "--steps", 11, *ON)
    assert all_kept.checkpoint_steps() == list(range(1, 12))
    last = all_kept.checkpoint_path(11).read_bytes()
    assert run.checkpoint_path(11).read_bytes() == last
    assert metrics(run.path) == metrics(all_kept.path)


def test_old_checkpoints_stay_until_the_new_one_is_proven(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(path: Path, content: bytes) -> None:
        if path.parent.name == "checkpoints" and len(list(path.parent.iterdir())) > 2:
            raise OSError(5, "the disk does not give back what was written to it")

    monkeypatch.setattr("shared.files.atomic._verify", forget)
    flags = ("--save-every", 1, "--keep", 1)
    stopped(1, lambda: train(*TINY, *flags, "--run-dir", tmp_path))
    assert RunDir(tmp_path).checkpoint_steps() == [1, 2]


@pytest.mark.parametrize("keep", ["0", "-1", "some", "1.5", ""])
def test_what_is_to_be_kept_is_a_number_or_all(
    keep: str, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(2, lambda: train(*TINY, "--run-dir", tmp_path, f"--keep={keep}"))
    assert "must be 1 or more, or all" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def moved(run: Path) -> None:
    run.rename(run.with_name("moved"))


@pytest.mark.parametrize("take", [moved, shutil.rmtree])
@pytest.mark.parametrize("when", ["log", "save", "finish"])
def test_a_folder_that_goes_away_ends_the_run_in_one_line(
    take: Callable[[Path], object],
    when: str,
    twin: Twin,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    at = getattr(recorder.FolderRecorder, when)

    def after_it_is_gone(*arguments: Any) -> Any:
        if run.exists() and (when != "save" or RunDir(run).checkpoint_steps()):
            take(run)
        return at(*arguments)

    monkeypatch.setattr(recorder.FolderRecorder, when, after_it_is_gone)
    stopped(1, lambda: train(*TINY, "--run-dir", run))
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gans_{twin.name}.train: {run}/")
    assert "no such file" in line.lower()
    assert not run.exists()
    if take is moved and when == "save":
        monkeypatch.undo()
        train("--resume", tmp_path / "moved", *ON)
        assert RunDir(tmp_path / "moved").checkpoint_steps() == [3, 6]


@pytest.mark.parametrize(
    ("when", "resumes"),
    [("draw", False), ("log", True), ("save", False), ("save", True), ("finish", True)],
)
def test_a_run_that_has_come_to_its_place_is_left_alone(
    when: str,
    resumes: bool,
    train: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = copy(finished, tmp_path) if resumes else tmp_path / "run"
    another = shutil.copytree(finished, tmp_path / "another")
    at = getattr(recorder.FolderRecorder, when)

    def after_another_has_come(*arguments: Any) -> Any:
        if another.exists():
            run.rename(tmp_path / "moved")
            another.rename(run)
        return at(*arguments)

    monkeypatch.setattr(recorder.FolderRecorder, when, after_another_has_come)
    how = ("--resume", run, "--steps", 9, *ON) if resumes else (*TINY, "--run-dir", run)
    stopped(1, lambda: train(*how))
    told = f"{run}: is another folder than this run has started in"
    assert told in capsys.readouterr().err
    assert contents(run) == contents(finished)


def test_without_room_a_run_does_not_start(
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 1_100_000))
    stopped(2, lambda: train(*TINY, "--run-dir", run, "--keep", "all"))
    *_, line = capsys.readouterr().err.splitlines()
    assert f"error: {run}: 2 checkpoints (--keep all) would take 1." in line
    assert line.endswith(" MB, and 1.1 MB are free on the disk")
    assert not run.exists()
    # A step that is saved for two reasons is one checkpoint: of 2, 4 and 6, not four.
    twice = ("--save-every", 2, "--evaluate-every", 4, "--keep", "all")
    stopped(2, lambda: train(*TINY, "--run-dir", run, *twice))
    assert f"{run}: 3 checkpoints (--keep all)" in capsys.readouterr().err
    # One that does not know its size is not asked.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 0))
    train(*TINY, "--run-dir", run, "--steps", 1)


def test_without_room_for_a_checkpoint_the_last_one_stays(
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def usage(path: Path) -> Usage:
        there = list((tmp_path / "checkpoints").glob("*.safetensors"))
        if not there:
            return Usage(10**9, 0, 10**9)
        # A byte less than it takes.
        arrays = checkpoint.load(there[0]).arrays.values()
        return Usage(10**9, 0, sum(x.nbytes for x in arrays) + room._SPARE_BYTES - 1)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    stopped(1, lambda: train(*TINY, "--run-dir", tmp_path))
    *_, line = capsys.readouterr().err.splitlines()
    assert f"{tmp_path}: the checkpoint of step 6 would take " in line
    monkeypatch.undo()
    assert checkpoint.load(RunDir(tmp_path).latest_checkpoint()).step == 3


def test_resuming_or_starting_is_one_command(
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("gan", *TINY, "--resume", "auto")
    run = tmp_path / "runs" / "gan-digits-001"

    def cut_off(*_: Any) -> None:
        raise KeyboardInterrupt

    # Started, and stopped before its first checkpoint.
    with monkeypatch.context() as patch:
        patch.setattr(driver, "_run", cut_off)
        stopped(130, lambda: train(*command))
    told, *_ = capsys.readouterr().err.splitlines()
    assert told == "--resume auto: there is no such run yet; starting one"
    # Others: of other settings, of another preset, and one that is being written.
    train("gan", *TINY, "--steps", 1)
    train("lsgan", *TINY, "--steps", 1)
    shutil.copytree(run, tmp_path / "runs" / "another")
    capsys.readouterr()
    another = RunDir(tmp_path / "runs" / "another")
    config, _ = another.config_file.read()
    with RunDir(run).lock():
        # Where several processes look at once, only the first asks who writes.
        assert newest_unfinished(config, None) == Path("runs/another")
        found = newest_unfinished(config, None, locks=False)
        assert found == Path("runs/gan-digits-001")
    with another.lock():
        train(*command)
    told, *_ = capsys.readouterr().err.splitlines()
    assert told == "--resume auto: runs/gan-digits-001"
    assert RunDir(run).checkpoint_steps() == [3, 6]
    # It is finished now; the other one is not.
    train(*command)
    assert "--resume auto: runs/another" in capsys.readouterr().err
    train(*command)
    assert (tmp_path / "runs" / "gan-digits-003").exists()


def test_in_a_named_folder_the_command_may_be_given_again_and_again(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    for _ in range(2):
        train(*TINY, "--resume", "auto", "--run-dir", run)
    assert f"--resume auto: {run}" in capsys.readouterr().err
    before = contents(run)
    other = ("--seed", 1, "--resume", "auto", "--run-dir", run)
    stopped(2, lambda: train(*TINY, *other))
    assert "--seed 1: the run was started with 0" in capsys.readouterr().err
    assert contents(run) == before


def test_a_page_takes_a_small_part_of_a_run(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pages = [0.0], []

    def write_report(*arguments: object) -> None:
        pages.append(now[0])
        now[0] += 1

    monkeypatch.setattr("shared.report.page.write_report", write_report)
    monkeypatch.setattr(recorder.time, "monotonic", lambda: now[0])
    save = checkpoint.save

    def slow_save(*arguments: Any) -> None:
        now[0] += 20
        save(*arguments)

    monkeypatch.setattr(checkpoint, "save", slow_save)
    flags = ("--save-every", 1, "--sample-every", 50, "--steps", 8)
    train(*TINY, *flags, "--run-dir", tmp_path)
    # At the first checkpoint, then after fifty times as long as one takes; at the end.
    assert pages == [20, 81, 142, 163]


def test_other_data_are_refused_where_they_would_change_what_is_learnt() -> None:
    stored = DataInfo(1, 2, 64, "a" * 64, ("cat", "dog"))
    renamed = stored._replace(class_names=("dog", "cat"))
    other = stored._replace(sha256="b" * 64)
    by_epochs = TrainConfig(steps=None, epochs=2.0)
    places._check_same_data(TrainConfig(), renamed, stored, allow_new=False)
    places._check_same_data(by_epochs, other, stored, allow_new=True)
    falling = dataclasses.replace(by_epochs, lr_schedule="linear")
    with pytest.raises(UsageError, match="linear is spread over --epochs"):
        places._check_same_data(falling, other, stored, allow_new=True)
    with pytest.raises(UsageError, match="other classes than the conditional run"):
        places._check_same_data(TrainConfig(conditional=True), renamed, stored, False)
