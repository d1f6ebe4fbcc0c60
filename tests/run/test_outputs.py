"""What ``--out`` may name: nothing of a run's own, nor of another kind than is made."""

import os
import shutil
from pathlib import Path

import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.atomic import write_atomically
from shared.run import outputs
from shared.run.run_dir import RunDir
from support import Train

DATA = DataInfo(channels=1, num_classes=0, count=9, sha256="")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return RunDir.create(tmp_path / "run", TrainConfig(), DATA).path


def test_all_that_a_run_has_written_is_its_own(
    finished: Path, tmp_path: Path, sample: Train
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")  # others read `finished` too
    sample(run, "--num", 2)
    written = sorted(run.rglob("*"))
    others = {x for x in written if outputs.own_place(x) is None}
    assert len(written) > 15
    assert {x.relative_to(run).parts[0] for x in others} <= {"drawn", "exported"}


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        ("config.json", True),
        ("drawn/../report.html", True),
        ("link/losses.png", True),
        ("samples/new/x.png", True),
        ("tensorboard", True),
        ("evaluation-000006-none.json", True),
        ("nearest-000006.png", True),
        ("drawn/samples.png", False),
        ("exported/x/config.json", False),
        ("mine.png", False),
        ("evaluation.json", False),
        ("../samples/x.png", False),
        (".", False),
    ],
)
def test_a_user_has_room_beside_what_is_a_runs_own(
    name: str, is_own: bool, run: Path
) -> None:
    (run / "link").symlink_to(run)
    place = run / name
    assert (outputs.own_place(place) is not None) == is_own
    if is_own:
        with pytest.raises(UsageError, match=r"^--out .* is the run's own; choose"):
            outputs.check_not_own(place, place)
    outputs.check_not_own(run, run)


def test_a_folder_with_anybodys_configuration_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert outputs.own_place(tmp_path / "samples" / "x.png") is None
    assert outputs.own_place(tmp_path / "config.json") is None


def test_a_suffix_says_what_is_written(tmp_path: Path) -> None:
    for name in ("a", "a.png", "a.PNG", "cats-0.5"):
        outputs.check_file(tmp_path / name, ".png")
    for name in ("a.jpg", "a.html", "a.png.zip"):
        with pytest.raises(UsageError, match=rf"{name}: must end in .png$"):
            outputs.check_file(tmp_path / name, ".png")
    with pytest.raises(UsageError, match=r": is a folder; name a file in it$"):
        outputs.check_file(tmp_path, ".png")


def test_a_folder_is_new_or_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("new", "empty", "new/er", "v1.5"):
        outputs.check_folder(tmp_path / name)
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(
            UsageError, match=r": must be a new folder, or an empty one"
        ):
            outputs.check_folder(path)
    with pytest.raises(UsageError, match=r"a.png: names a file, and a folder is writt"):
        outputs.check_folder(tmp_path / "a.png")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match=r"^--out .*: cannot be used: Permission"):
        outputs.check_folder(tmp_path / "empty")


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    def fail(out: Path, *files: str) -> None:
        with outputs.made_out(out):
            for name in files:
                (out / name).touch()
            raise UsageError("other")

    (tmp_path / "old").mkdir()
    for path, files in {"old": (), "new": (), "full": ("file",)}.items():
        with pytest.raises(UsageError, match=r"^other$"):
            fail(tmp_path / path, *files)
    assert {path.name for path in tmp_path.iterdir()} == {"old", "full"}
    with outputs.made_out(tmp_path / "new"):
        pass
    assert (tmp_path / "new").is_dir()


def test_what_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    outputs.make_out(tmp_path, "b.png")
    with pytest.raises(UsageError, match=r"a\.png is a folder, and a file is written"):
        outputs.make_out(tmp_path, "b.png", "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: cannot be used: File exists$"):
        outputs.make_out(tmp_path / "file")


def test_errors_of_writing_name_the_flag(tmp_path: Path) -> None:
    out = tmp_path / "file" / "x"
    out.parent.touch()
    cannot = f"^--out {out}: cannot be written: Not a directory$"
    with pytest.raises(UsageError, match=cannot), outputs.writing(out):
        os.listdir(out)  # noqa: PTH208
    with pytest.raises(UsageError, match=cannot), outputs.writing(out):
        write_atomically(out, b"")
    with pytest.raises(UsageError, match=r"^other$"), outputs.writing(out):
        raise UsageError("other")


@pytest.mark.parametrize("name", ["a.png", "a"])
def test_each_has_a_place_of_its_own(name: str, tmp_path: Path) -> None:
    usual = tmp_path / "new" / name
    second = usual.with_stem("a-2")
    # Of two at one moment, too.
    with outputs.placed(None, usual) as one, outputs.placed(None, usual) as other:
        assert (one, other) == (usual, second)
        assert one.is_dir() == other.is_dir() == (not usual.suffix)
    second.rmdir() if second.is_dir() else second.unlink()
    second.symlink_to("nowhere")
    with outputs.placed(None, usual) as third:
        assert third == usual.with_stem("a-3")
    before = sorted(usual.parent.iterdir())
    with (
        pytest.raises(UsageError, match=r"^--out .*a-4.*: cannot be written: full$"),
        outputs.placed(None, usual) as fourth,
    ):
        raise OSError(28, "full")
    assert fourth not in before
    assert sorted(usual.parent.iterdir()) == before


def test_a_place_that_was_named_is_kept_whatever_is_there(tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.png"
    place = outputs.placed(out, None)
    assert out.parent.is_dir()  # before anything is computed
    out.touch()
    with pytest.raises(ValueError, match="mine"), place as found:
        raise ValueError("mine")
    assert found == out
    assert out.exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--out .*x/y: cannot be written: Not a dir"):
        outputs.placed(tmp_path / "file" / "x" / "y", None)
