"""Drawing from a run: what is drawn, where it goes, and that the run stays as it is."""

import contextlib
import dataclasses
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.commands import command_line, sample
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.statements import Stated
from support import TINY, Train, Twin, contents, copy, last_checkpoint

Sample = Callable[..., None]


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_grid_is_drawn_into_the_run(
    sample: Sample,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(finished, tmp_path)
    sample(run)
    drawn = run / "drawn" / "000006-samples-seed0.png"
    assert capsys.readouterr() == ("", f"drawn: {drawn}\n")
    assert pixels(drawn).shape == (8 * 18 + 2, 8 * 18 + 2)
    assert pixels(drawn).std() > 10
    # Nothing else has changed, and the next picture gets a name of its own.
    sample(run, "--num", 3, "--columns", 2)
    second = run / "drawn" / "000006-samples-seed0-2.png"
    assert pixels(second).shape == (2 * 18 + 2, 2 * 18 + 2)
    ours, theirs = contents(run), contents(finished)
    assert ours.keys() - theirs.keys() == {
        str(path.relative_to(run)) for path in (drawn, second)
    }
    assert {name: ours[name] for name in theirs} == theirs


def test_the_seed_decides_what_is_drawn(
    sample: Sample, finished: Path, tmp_path: Path
) -> None:
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        sample(finished, "--num", 4, "--seed", seed, "--out", tmp_path / f"{name}.png")
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_checkpoint_is_chosen_by_step_or_by_file(
    sample: Sample, finished: Path, tmp_path: Path
) -> None:
    file = finished / "checkpoints" / "000003.safetensors"
    moved = shutil.copy(file, tmp_path / "moved.safetensors")
    sample(finished, "--num", 4, "--step", 3, "--out", tmp_path / "step.png")
    sample(file, "--num", 4, "--out", tmp_path / "file.png")
    sample(moved, "--num", 4)
    sample(finished, "--num", 4, "--out", tmp_path / "last.png")
    step, last = ((tmp_path / f"{name}.png").read_bytes() for name in ("step", "last"))
    assert step == (tmp_path / "file.png").read_bytes()
    assert step == (tmp_path / "drawn" / "000003-samples-seed0.png").read_bytes()
    assert step != last


def test_images_are_written_one_by_one(
    sample: Sample, finished: Path, tmp_path: Path
) -> None:
    # More than are drawn at a time.
    flags = ("--num", 70, "--columns", 10)
    sample(finished, *flags, "--separate", "--out", tmp_path / "new" / "apart")
    sample(finished, *flags, "--out", tmp_path / "grid.png")
    files = sorted((tmp_path / "new" / "apart").iterdir())
    assert [path.name for path in files] == [f"{n:06d}.png" for n in range(70)]
    apart = np.stack([pixels(path)[:, :, None] for path in files])
    grid = images.grid(apart, columns=10)[:, :, 0]
    np.testing.assert_array_equal(pixels(tmp_path / "grid.png"), grid)


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_both_twins_draw_the_same(
    twin: Twin, sample: Sample, finished: Path, tmp_path: Path
) -> None:
    other = Twin({"torch": "jax", "jax": "torch"}[twin.name])
    sample(finished, "--num", 16, "--out", tmp_path / "a.png")
    words = ["--num", "16", "--out", str(tmp_path / "b.png"), "--device", "cpu"]
    other.main("sample")([str(finished), *words])
    a, b = (pixels(tmp_path / name).astype(int) for name in ("a.png", "b.png"))
    assert np.abs(a - b).max() <= 1


def test_the_classes_of_a_conditional_run_can_be_chosen(
    train: Train, sample: Sample, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    # Long enough for the labels to matter.
    train("cgan", *TINY, "--run-dir", run, "--g-lr", 0.02)
    for name, labels in {"a": "3", "b": "7", "c": "7,3"}.items():
        flags = ("--labels", labels, "--num", 8, "--columns", 4)
        sample(run, *flags, "--out", tmp_path / f"{name}.png")
    a, b, c = (pixels(tmp_path / f"{name}.png") for name in "abc")
    # The latents are the same: the upper row is of class 7, the lower of class 3.
    np.testing.assert_array_equal(c[:20], b[:20])
    np.testing.assert_array_equal(c[20:], a[20:])
    assert (a[:20] != b[:20]).any()


def test_a_run_in_tf32_can_be_drawn_where_there_is_none(
    sample: Sample, finished: Path, tmp_path: Path
) -> None:
    state = checkpoint.load(last_checkpoint(finished))
    config = dataclasses.replace(state.config, precision="tf32")
    path = tmp_path / "tf32.safetensors"
    checkpoint.save(path, state._replace(config=config))
    for run, name in ((path, "tf32"), (finished, "float32")):
        sample(run, "--num", 4, "--out", tmp_path / f"{name}.png")
    tf32, float32 = (tmp_path / f"{name}.png" for name in ("tf32", "float32"))
    assert tf32.read_bytes() == float32.read_bytes()


class Probe:
    """Stands for a twin: notes its inputs and draws nothing."""

    def __init__(self) -> None:
        self.z: list[NDArray[np.float32]] = []
        self.labels: list[NDArray[np.int32] | None] = []

    def make(
        self, config: TrainConfig, data: DataInfo, device: str, arithmetic: Any = None
    ) -> Any:
        self.device = device
        return self

    def agree(self, value: Any) -> Any:
        return value

    def statements(self) -> dict[str, Stated]:
        return {}

    def load(self, arrays: Arrays) -> None:
        pass

    def sample(
        self,
        z: NDArray[np.float32],
        labels: NDArray[np.int32] | None,
        training: bool = False,
    ) -> NDArray[np.float32]:
        assert not training
        self.z.append(z)
        self.labels.append(labels)
        return np.zeros((len(z), 8, 8, 1), np.float32)

    def sample_batches(
        self, batches: Sequence[Any], training: bool = False
    ) -> list[NDArray[np.float32]]:
        return [self.sample(z, labels, training) for z, labels in batches]

    @contextlib.contextmanager
    def helped(self) -> Iterator[bool]:
        yield True


def probe(
    folder: Path, flags: str, conditional: bool = False, names: Sequence[str] = ()
) -> Probe:
    """What is asked of a twin with these flags."""
    config = TrainConfig(z_dim=6, conditional=conditional)
    data = DataInfo(1, num_classes=3, count=100, sha256="", class_names=tuple(names))
    path = folder / "x.safetensors"
    checkpoint.save(path, Checkpoint(1, config, data, {}))
    words = [str(path), *shlex.split(flags), "--out", str(folder / "x.png")]
    twin = Probe()
    sample.sample(command_line.parse_sample(words, "prog"), twin.make)
    return twin


def test_few_images_are_drawn_at_a_time(tmp_path: Path) -> None:
    twin = probe(tmp_path, "--num 150 --device odd")
    assert [len(z) for z in twin.z] == [64, 64, 22]
    assert twin.labels == [None] * 3
    assert twin.device == "odd"
    z = np.concatenate(twin.z)
    assert len(np.unique(z)) == z.size
    # The first images do not depend on how many are drawn.
    np.testing.assert_array_equal(probe(tmp_path, "--num 10").z[0], z[:10])


def test_latents_can_be_cut_off(tmp_path: Path) -> None:
    (z,) = probe(tmp_path, "--num 15 --truncation 0.4").z
    assert 0.3 < np.abs(z).max() <= 0.4
    (path,) = probe(tmp_path, "--num 3 --columns 3 --interpolate --truncation 0.4").z
    assert np.abs(path[[0, -1]]).max() <= 0.4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--truncation 0.01", "--truncation 0.01: must be 0.05 or more"),
        ("--truncation nan", "--truncation nan: must be"),
        ("--standing-stats 0", "--standing-stats 0: must be 1 or more"),
    ],
)
def test_what_cannot_be_drawn_by_is_refused(
    flags: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        probe(tmp_path, flags)


def test_interpolations_follow_great_circles(tmp_path: Path) -> None:
    (z,) = probe(tmp_path, "--num 15 --columns 5 --interpolate").z
    ends = noise.normal(0, "drawn samples", 0, 6, 6).reshape(3, 2, 6)
    for row, (start, end) in zip(z.reshape(3, 5, 6), ends, strict=True):
        lengths = np.linalg.norm(start) * np.linalg.norm(end)
        angle = np.arccos(start @ end / lengths)
        for share, latent in zip(np.linspace(0, 1, 5), row, strict=True):
            a, b = np.sin((1 - share) * angle), np.sin(share * angle)
            expected = (a * start + b * end) / np.sin(angle)
            np.testing.assert_allclose(latent, expected, rtol=1e-5, atol=1e-6)


def test_a_path_of_one_image_is_its_start(tmp_path: Path) -> None:
    (z,) = probe(tmp_path, "--num 3 --columns 1 --interpolate").z
    assert z.shape == (3, 6)
    assert np.isfinite(z).all()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", [0] * 8 + [1] * 8 + [2] * 8),
        ("--columns 2", [0, 0, 1, 1, 2, 2]),
        ("--columns 2 --labels 2,0", [2, 2, 0, 0]),
        ("--columns 2 --interpolate", [0, 0, 1, 1, 2, 2]),
        ("--num 7 --columns 2", [0, 0, 1, 1, 2, 2, 0]),
        ("--num 5 --columns 2", [0, 0, 1, 1, 2]),
        ("--num 4 --columns 2 --labels 2", [2, 2, 2, 2]),
        ("--num 6 --columns 2 --labels 2,0", [2, 2, 0, 0, 2, 2]),
        ("--num 4 --columns 2 --labels 1,2 --interpolate", [1, 1, 2, 2]),
        # Fewer rows than classes.
        ("--num 8", [0, 0, 0, 1, 1, 1, 2, 2]),
        ("--num 3 --labels 2,0", [2, 2, 0]),
        ("--num 3", [0, 1, 2]),
        # Fewer images than classes, of which none was asked for.
        ("--num 2", [0, 1]),
        ("--num 4 --columns 2 --interpolate", [0, 0, 1, 1]),
    ],
)
def test_every_class_is_drawn_in_rows_where_these_suffice(
    flags: str, expected: list[int], tmp_path: Path
) -> None:
    (labels,) = probe(tmp_path, flags, conditional=True).labels
    assert labels is not None
    assert labels.tolist() == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--num 1 --labels 2,0", "--num 1: must be 2 or more, one for each class"),
        (
            "--num 4 --columns 2 --interpolate --labels 2,0,1",
            "--num 4: must be 6 or more, a path for each class",
        ),
    ],
)
def test_fewer_images_than_chosen_classes_are_refused(
    flags: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        probe(tmp_path, flags, conditional=True)


@pytest.mark.parametrize(
    ("names", "labels", "ids", "said"),
    [
        ("1 2 3", "1", [1], ["--labels 1: id 1, the class named 2; the class named 1"]),
        ("1 2 3", "0,1,0", [0, 1, 0], ["--labels 1: id 1, the class named 2; the"]),
        ("1 2 3", "0", [0], []),
        ("0 1 2", "1", [1], []),
        ("01 02 03", "1", [1], ["named 02; the class named 01 is id 0"]),
        ("1 01 x", "2,1", [2, 1], ["id 1, the class named 01; the class named 1 is"]),
        ("", "1", [1], []),
        ("cat dog emu", "' emu, 1 '", [2, 1], []),
        ("-1 0 1", "-1", [0], []),
        ("-1 0 1", "0", [0], ["--labels 0: id 0, the class named -1; the class named"]),
        ("'a, b' a b", "'a, b'", [0], []),
        ("'a, b' a b", "'b,a'", [2, 1], []),
    ],
)
def test_a_number_is_an_id_and_another_class_of_that_name_is_told_of(
    names: str,
    labels: str,
    ids: list[int],
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = f"--columns 1 --num {len(ids)} --labels {labels}"
    (drawn,) = probe(tmp_path, flags, True, shlex.split(names)).labels
    assert drawn is not None
    assert drawn.tolist() == ids
    *lines, last = capsys.readouterr().err.splitlines()
    assert last.startswith("drawn: ")
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("3", "--labels 3: .* number of classes; the class named 3 is id 2$"),
        ("7", "--labels 7: must be below 3, the number of classes$"),
        ("9" * 5000, "--labels 9{40}...: must be class ids from 0 up"),
        ("-1", "--labels -1: must be class ids from 0 up, as in 3,7, or names; has 1,"),
    ],
)
def test_a_class_that_is_not_there_is_refused(
    labels: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        probe(tmp_path, f"--labels {labels}", True, ("1", "2", "3"))


def test_without_classes_there_are_eight_rows(tmp_path: Path) -> None:
    (z,) = probe(tmp_path, "--columns 5 --interpolate").z
    assert z.shape == (40, 6)


def test_a_part_of_a_row_is_a_row(tmp_path: Path) -> None:
    (labels,) = probe(tmp_path, "--num 7 --columns 3", conditional=True).labels
    assert labels is not None
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_nothing_that_was_drawn_is_replaced(
    sample: Sample, finished: Path, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path)
    for _ in range(3):
        sample(run, "--num", 2)
    assert len(list((run / "drawn").iterdir())) == 3


def test_the_last_image_is_never_alone(tmp_path: Path) -> None:
    """Batch norm has no variance of one."""
    assert [len(z) for z in probe(tmp_path, "--num 65").z] == [65]
