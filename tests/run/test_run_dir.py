"""The folder of a run: never overwritten, readable when cut off, taken back exactly."""

import contextlib
import dataclasses
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.errors import UsageError
from shared.run import checkpoint, room
from shared.run.checkpoint import Checkpoint, resolve_checkpoint
from shared.run.gaps import describe_gaps
from shared.run.run_dir import RunDir, default_path

# A name that files have that are still being written.
TEMPORARY = f".gans-{'0f' * 16}.tmp"
CONFIG = TrainConfig(steps=1000, adam_betas=(0.5, 0.9))
DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="ab" * 32)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "runs" / "one", CONFIG, DATA)


def fill(run: RunDir, *steps: int) -> None:
    for step in steps:
        run.append_metrics({"step": step, "d_loss": step / 3, "g_loss": 0.1})
        picture = np.full((8, 8, 1), step % 256, np.uint8)
        images.save_png(run.sample_path(step), picture)
        run.vectors_path(step).write_text(f"<svg>{step}</svg>")
        run.append_sample_metrics({"step": step, "diversity": 0.5})
        state = Checkpoint(step, CONFIG, DATA, {"generator.a": np.array(float(step))})
        checkpoint.save(run.checkpoint_path(step), state)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_created_run_can_be_opened(run: RunDir) -> None:
    opened = RunDir.open(run.path)
    assert opened.config_file.read() == (CONFIG, DATA)
    assert opened.read_metrics() == []
    assert opened.checkpoint_steps() == opened.sample_steps() == []


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "real.png", "a/photo.jpg", "samples/photo.png", "samples"]
)
def test_create_refuses_a_folder_that_holds_anything_else(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    shown = "a" if name.startswith("a/") else name
    with pytest.raises(UsageError, match=f"holds {shown}, and no config.json"):
        RunDir.create(tmp_path, CONFIG, DATA)
    assert contents(tmp_path) == before


def test_a_start_that_was_killed_can_be_started_again(tmp_path: Path) -> None:
    for name in ("checkpoints", "samples"):
        (tmp_path / name).mkdir()
    for folder in (tmp_path, tmp_path / "checkpoints"):
        (folder / TEMPORARY).write_bytes(b"half")
    (tmp_path / ".lock").touch()
    RunDir.create(tmp_path, CONFIG, DATA)
    assert contents(tmp_path).keys() == {"config.json", ".lock"}
    with pytest.raises(UsageError, match="already holds a run"):
        RunDir.create(tmp_path, CONFIG, DATA)


def test_of_two_starts_one_is_refused(tmp_path: Path) -> None:
    with (
        RunDir(tmp_path).lock(),
        pytest.raises(UsageError, match="is being written by another process"),
    ):
        RunDir.create(tmp_path, CONFIG, DATA)


def test_a_run_that_has_just_been_started_is_being_written(run: RunDir) -> None:
    with (
        run.lock(),
        pytest.raises(UsageError, match="is being written by another process"),
    ):
        RunDir.create(run.path, CONFIG, DATA)


def test_a_new_run_stays_locked_as_long_as_it_is_held(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        run = RunDir.create(tmp_path, CONFIG, DATA, held=held)
        with pytest.raises(UsageError, match="is being written by another process"):
            run.lock()
    with run.lock():
        pass


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ("config.json", "already holds a run; resume it with"),
        ("checkpoints", "holds checkpoints/000005.safetensors, and no config.json"),
    ],
)
def test_create_refuses_a_run_and_changes_nothing(
    run: RunDir, trace: str, message: str
) -> None:
    fill(run, 5)
    for name in {"config.json", "checkpoints"} - {trace}:
        (run.path / name).rename(run.path.parent / f"{name}.away")
    before = contents(run.path)
    with pytest.raises(UsageError, match=message):
        RunDir.create(run.path, dataclasses.replace(CONFIG, seed=1), DATA)
    assert contents(run.path) == before


def test_create_refuses_what_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "below"):
        with pytest.raises(UsageError, match=f"--run-dir {path}: cannot be used"):
            RunDir.create(path, CONFIG, DATA)
    assert file.read_text() == "mine"


def test_open_refuses_what_holds_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        RunDir.open(tmp_path)
    with pytest.raises(UsageError, match="none: no such folder"):
        RunDir.open(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: is not a folder"):
        RunDir.open(tmp_path / "file")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refuse)
    with pytest.raises(UsageError, match=f"^{tmp_path}: Permission denied$"):
        RunDir.open(tmp_path)


def test_paths_are_padded_and_grow(run: RunDir) -> None:
    assert run.checkpoint_path(500).name == "000500.safetensors"
    assert run.sample_path(12345678).name == "12345678.png"
    fill(run, 999_999, 500, 1_000_000)
    assert run.checkpoint_steps() == run.sample_steps() == [500, 999_999, 1_000_000]
    assert run.latest_checkpoint() == run.checkpoint_path(1_000_000)


def test_latest_checkpoint_ignores_other_files(run: RunDir) -> None:
    with pytest.raises(UsageError, match="holds no checkpoint"):
        run.latest_checkpoint()
    fill(run, 5)
    for name in (TEMPORARY, "best.safetensors", "9.safetensors"):
        (run.path / "checkpoints" / name).write_bytes(b"")
    assert run.latest_checkpoint() == run.checkpoint_path(5)


def test_metrics_are_json_lines_without_nan(run: RunDir) -> None:
    run.append_metrics({"step": np.int64(1), "d_loss": np.float32(0.5), "g_loss": 2})
    assert run.read_metrics() == [{"step": 1, "d_loss": 0.5, "g_loss": 2}]
    wild = {"step": 2, "a": math.nan, "b": np.float32(-np.inf), "c": np.array(1.5)}
    run.append_metrics(wild)
    first, second = (run.path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(first) == {"step": 1, "d_loss": 0.5, "g_loss": 2}
    assert second == '{"step": 2, "a": null, "b": null, "c": 1.5}'


@pytest.mark.parametrize("torn", [b"{", b'{"step": 3, "d_l', b"\xff", b"12", b"{}\n"])
def test_torn_last_line_is_left_out(run: RunDir, torn: bytes) -> None:
    fill(run, 1, 2)
    before = (run.path / "metrics.jsonl").read_bytes()
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert [record["step"] for record in run.read_metrics()] == [1, 2]
    run.truncate_after(2)
    assert (run.path / "metrics.jsonl").read_bytes() == before


def test_damage_inside_metrics_is_refused(run: RunDir) -> None:
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UsageError, match=r"metrics\.jsonl: line 2 is no record"):
        run.read_metrics()


def test_truncate_gives_the_run_as_it_was(run: RunDir) -> None:
    fill(run, 1, 20, 300)
    before = contents(run.path)
    fill(run, 301, 4000, 1_234_567)
    for folder in ("", "checkpoints", "samples"):
        (run.path / folder / TEMPORARY).write_bytes(b"half")
    run.truncate_after(300)
    assert contents(run.path) == before


def test_truncate_removes_what_was_said_of_newer_steps(run: RunDir) -> None:
    fill(run, 1, 20, 300)
    names = ["evaluation-{:06d}.json", "nearest-{:06d}.png"]
    names += [f"evaluation-{{:06d}}-{x}.json" for x in ("test", "none-standing-stats")]
    for step in (20, 300):
        for name in names:
            (run.path / name.format(step)).write_text("{}")
    (run.path / "evaluation-mine.json").write_text("mine")
    run.truncate_after(20)
    left = {path.name for path in run.path.glob("*-*.*")}
    assert left == {*(name.format(20) for name in names), "evaluation-mine.json"}


def test_truncate_leaves_what_is_not_ours(run: RunDir) -> None:
    fill(run, 1)
    mine = run.path / "mine"
    mine.mkdir()
    for path in (mine / TEMPORARY, run.path / ".notes.tmp", mine / ".a.png.7.tmp"):
        path.write_text("mine")
    before = contents(run.path)
    run.truncate_after(1)
    assert contents(run.path) == before


@pytest.mark.parametrize("lost", ["grid", "record"])
def test_a_grid_without_its_record_is_to_be_made_again(run: RunDir, lost: str) -> None:
    fill(run, 1, 20)
    if lost == "grid":
        run.sample_path(20).unlink()
    else:
        lines = (run.path / "samples.jsonl").read_text().splitlines(keepends=True)
        (run.path / "samples.jsonl").write_text(lines[0])
    run.truncate_after(20)
    assert run.sample_steps() == [1]
    assert [record["step"] for record in run.read_sample_metrics()] == [1]


@pytest.mark.parametrize("rest", [b"\0" * 99, b'\0\n{"step": 30, "d_loss": 1}\n\0\n'])
def test_truncate_drops_what_a_loss_of_power_left_after_a_step(
    run: RunDir, rest: bytes
) -> None:
    fill(run, 1, 20)
    before = contents(run.path)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(rest)
    run.truncate_after(20)
    assert contents(run.path) == before
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n\0\n{"step": 20}\n')
    with pytest.raises(UsageError, match="line 2 is no record"):
        run.truncate_after(20)


def test_other_checkpoints_are_removed(run: RunDir) -> None:
    fill(run, *range(1, 21))
    run.append_scores({"step": 11, "fid": 1.0})
    config = dataclasses.replace(CONFIG, save_every=1)
    run.keep_checkpoints("all", config)
    assert len(run.checkpoint_steps()) == 20
    run.keep_checkpoints(2, config)
    assert run.checkpoint_steps() == [4, 8, 11, 12, 16, 19, 20]


def test_interrupted_truncate_can_be_repeated(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run, 1, 20)
    before = contents(run.path)
    fill(run, 300, 4000)
    removed = []
    unlink = Path.unlink

    def once(path: Path, missing_ok: bool = False) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", once)
        with pytest.raises(KeyboardInterrupt):
            run.truncate_after(20)
    # What is left of the newer part is whole up to the newest checkpoint.
    assert run.checkpoint_steps() == [1, 20, 300]
    assert {1, 20, 300} <= {record["step"] for record in run.read_metrics()}
    run.truncate_after(20)
    assert contents(run.path) == before


def test_what_cannot_be_taken_back_is_one_line(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(run, 1, 20)

    def fail(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(UsageError, match="cannot be taken back: Operation not"):
        run.truncate_after(1)


def test_a_disk_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    with pytest.raises(UsageError, match="run: cannot be written: Input/output"):
        room.check_room(tmp_path / "run", 1, "a checkpoint")


def test_too_little_room_does_not_look_like_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=(1 << 20) + 76_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UsageError, match=r"take 1\.2 MB, and 1\.1 MB are free"):
        room.check_room(tmp_path / "run", 80_000, "a checkpoint")


def test_second_writer_is_refused(run: RunDir) -> None:
    with run.lock():
        with pytest.raises(UsageError, match="is being written by another process"):
            RunDir.open(run.path).lock()
        assert RunDir.open(run.path).config_file.read() == (CONFIG, DATA)
    with RunDir.open(run.path).lock():
        pass


def test_killed_writer_releases_its_lock(run: RunDir) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from shared.run.run_dir import RunDir;"
        "held = RunDir.open(Path(sys.argv[1])).lock(); print('held', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(run.path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(UsageError, match="is being written"):
                run.lock()
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with run.lock():
        pass


@pytest.mark.usefixtures("true_plots")
def test_finish_writes_the_final_pictures(run: RunDir) -> None:
    fill(run, 10, 20, 30)
    run.finish("dcgan on digits")
    with Image.open(run.path / "losses.png") as plot:
        assert plot.width > 500
    final = (run.path / "samples.png").read_bytes()
    assert final == run.sample_path(30).read_bytes()
    with Image.open(run.path / "samples.gif") as animation:
        assert getattr(animation, "n_frames", 1) == 3


def test_finish_leaves_damaged_grids_out(run: RunDir) -> None:
    fill(run, 10, 20, 30)
    for step in (10, 30):
        content = run.sample_path(step).read_bytes()
        run.sample_path(step).write_bytes(content[: len(content) // 2])
    damaged = run.finish("dcgan on digits")
    assert damaged == [run.sample_path(10), run.sample_path(30)]
    final = (run.path / "samples.png").read_bytes()
    assert final == run.sample_path(20).read_bytes()


def test_finish_without_results_writes_nothing(run: RunDir) -> None:
    before = contents(run.path)
    run.finish("empty")
    assert contents(run.path) == before


def test_default_path_is_the_next_number(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        first = default_path("dcgan", "digits")
        assert first == Path("runs/dcgan-digits-001")
        RunDir.create(first, CONFIG, DATA)
        RunDir.create(Path("runs/dcgan-digits-009"), CONFIG, DATA)
        RunDir.create(Path("runs/dcgan-digits-old-042"), CONFIG, DATA)
        assert default_path("dcgan", "digits") == Path("runs/dcgan-digits-010")
        assert default_path("gan", "digits") == Path("runs/gan-digits-001")


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("folder:/home/me/My Cats & Dogs/", "p-folder-My-Cats-Dogs-001"),
        ("folder:../../x", "p-folder-x-001"),
        ("folder:/", "p-folder-001"),
        ("folder:" + "a" * 300, f"p-folder-{'a' * 33}-001"),
    ],
)
def test_default_path_is_a_usable_name(tmp_path: Path, dataset: str, name: str) -> None:
    with contextlib.chdir(tmp_path):
        assert default_path("p", dataset) == Path("runs") / name


def test_resolve_checkpoint(run: RunDir) -> None:
    fill(run, 5, 10)
    newest = run.checkpoint_path(10)
    assert resolve_checkpoint(run.path) == newest
    assert resolve_checkpoint(run.path, 5) == run.checkpoint_path(5)
    assert resolve_checkpoint(newest) == newest
    with pytest.raises(UsageError, match=r"--step 7: .* no such checkpoint; has 5, 10"):
        resolve_checkpoint(run.path, 7)
    run.config_file.write(TrainConfig(), DATA)
    untold = "--step best: .* no scores; it has been trained without --evaluate-every"
    with pytest.raises(UsageError, match=untold):
        resolve_checkpoint(run.path, "best")
    run.config_file.write(TrainConfig(evaluate_every=50), DATA)
    with pytest.raises(
        UsageError, match="no scores; it has not come to --evaluate-every 50"
    ):
        resolve_checkpoint(run.path, "best")
    for step, fid in ((5, 2.0), (7, None), (10, 3.0)):
        run.append_scores({"step": step, "fid": fid})
    assert resolve_checkpoint(run.path, "best") == run.checkpoint_path(5)
    run.append_scores({"step": 7, "fid": 1.0})
    there = r"--step best: .* no checkpoint of step 7; has 5, 10"
    with pytest.raises(UsageError, match=there):
        resolve_checkpoint(run.path, "best")
    # Scores that compare with other images than the run now sees compete no more.
    run.config_file.write(TrainConfig(), DATA._replace(sha256="0" * 64), step=7)
    assert run.best_step() == 10
    run.config_file.write(TrainConfig(), DATA, step=10)
    with pytest.raises(UsageError, match="has scores of earlier data alone"):
        resolve_checkpoint(run.path, "best")
    with pytest.raises(UsageError, match="--step best: needs a run's folder"):
        resolve_checkpoint(newest, "best")
    with pytest.raises(UsageError, match="--step 5: needs a run's folder"):
        resolve_checkpoint(newest, 5)
    for folder in (run.path.parent, run.path / "checkpoints"):
        with pytest.raises(UsageError) as caught:
            resolve_checkpoint(folder)
        rule = f"holds no run: no config.json; did you mean {run.path}?"
        assert str(caught.value) == f"{folder}: {rule}"


def test_evaluations_come_in_the_order_of_steps(run: RunDir) -> None:
    assert run.read_evaluations() == {}
    for step in (1_000_000, 999_999):
        stored = {"step": step, "protocol": {}, "scores": {}}
        name = f"evaluation-{step:06d}.json"
        (run.path / name).write_text(json.dumps(stored))
    steps = [evaluation["step"] for evaluation in run.read_evaluations().values()]
    assert steps == [999_999, 1_000_000]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"step": 1}', '{"step": "1", "protocol": {}, "scores": {}}'),
        '{"step": 1, "protocol": {}, "scores": {"fid": 3.5}}',
        '{"step": 1, "protocol": {}, "scores": {"fid": {"value": 3.5}}}',
    ],
)
def test_a_damaged_evaluation_is_refused(run: RunDir, text: str) -> None:
    (run.path / "evaluation-000001.json").write_text(text)
    with pytest.raises(UsageError, match=r"evaluation-000001\.json: (is no|unread)"):
        run.read_evaluations()


def test_what_is_not_yet_to_be_logged_is_not_missing(tmp_path: Path) -> None:
    config = TrainConfig(log_every=5)
    run = RunDir.create(tmp_path / "run", config, DATA)
    run.append_metrics({"step": 5, "d_loss": 1.0})
    assert describe_gaps(run, config, 7) is None
    told = describe_gaps(run, config, 10)
    assert told is not None
    assert told.endswith("metrics.jsonl ends at step 5")
