"""Named data sets, and the cache: built once, mapped, checked, never half-written."""

import errno
import fcntl
import itertools
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import types
import urllib.error
import warnings
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.config import choices
from shared.config.choices import Split
from shared.data import datasets, image_cache, image_sources
from shared.data.image_data import ImageData, digest
from shared.data.image_sources import Pictures, Source
from shared.errors import UsageError
from shared.sizes import ImageSize, height_and_width
from support import PATIENCE


@pytest.mark.parametrize("name", [*choices.NAMES, "folder:x", "folder:/a b/c"])
def test_known_names_are_accepted(name: str) -> None:
    choices.check_dataset_name(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("minst", "did you mean mnist?"),
        ("MNIST", "did you mean mnist?"),
        ("fashion_mnist", "did you mean fashion-mnist?"),
        ("cifar-10", "did you mean cifar10?"),
        ("./photos", "did you mean folder:./photos?"),
        ("photos.zip", "did you mean folder:photos.zip?"),
        ("photos", "did you mean folder:photos?"),
        ("zzz", "PATH"),
        ("folder:", "PATH"),
        ("", "PATH"),
    ],
)
def test_unknown_names_are_refused_with_a_hint(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        choices.check_dataset_name(name)
    message = str(caught.value)
    assert message.startswith(f"--dataset {name}: must be digits, mnist, ")
    assert message.endswith(hint)


@pytest.fixture
def originals() -> Any:
    """What scikit-learn calls a Bunch."""
    from sklearn.datasets import load_digits

    return load_digits()


def test_digits_are_the_smoothly_enlarged_originals(
    tmp_path: Path, originals: Any
) -> None:
    data = datasets.load("digits", 32, tmp_path)
    assert data.images.shape == (1797, 32, 32, 1)
    assert data.images.dtype == np.uint8
    assert data.info[:3] == (1, 10, 1797)
    assert data.class_names == tuple("0123456789")
    np.testing.assert_array_equal(data.labels, originals.target)
    assert data.images.min() == 0
    assert data.images.max() == 255
    # Averaged back to 8x8 they are the originals, a little blurred (measured: 0.991)...
    means = data.images.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    assert np.corrcoef(means.ravel(), originals.images.ravel())[0, 1] > 0.98
    # ... and no edge of an original's square pixels is left (measured: 91 of 255).
    assert abs(np.diff(data.images.astype(int), axis=1)).max() < 100


def test_digits_keep_their_size_exactly(tmp_path: Path, originals: Any) -> None:
    images = datasets.load("digits", 8, tmp_path).images.reshape(-1, 64)
    np.testing.assert_array_equal(images, np.rint(originals.data * 255 / 16))


def test_a_cached_data_set_needs_no_library(tmp_path: Path) -> None:
    datasets.load("digits", 8, tmp_path)
    program = (
        "import sys; from pathlib import Path; from shared.config import choices\n"
        "choices.check_dataset_name('digits')\n"
        "assert not {'PIL', 'numpy'} & set(sys.modules)\n"
        "from shared.data import datasets\n"
        f"print(datasets.load('digits', 8, Path({str(tmp_path)!r})).info.count)\n"
        "names = {'torch', 'torchvision', 'sklearn', 'jax', 'filelock'}\n"
        "assert not names & set(sys.modules), names & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(datasets.__file__).parents[2],
    )
    assert run.stdout == "1797\n"


# torchvision's classes, as far as they are used.


class FakeColour:
    classes = ("first", "second")

    def __init__(self, root: Path, train: bool, download: bool) -> None:
        assert download
        assert Path(root).is_dir()
        print("noise")  # noqa: T201
        self.data = np.arange(4 * 6 * 6 * 3).reshape(4, 6, 6, 3).astype(np.uint8)
        if not train:
            self.data = self.data[::-1]
        self.targets = [1, 0, 0, 1]


class FakeGrey(FakeColour):
    def __init__(self, root: Path, train: bool, download: bool) -> None:
        super().__init__(root, train, download)
        self.data = self.data[..., 0]


class FakeOffline:
    def __init__(self, root: Path, train: bool, download: bool) -> None:
        print("Downloading from a server")  # noqa: T201
        print("0%|          |", file=sys.stderr)  # noqa: T201
        warnings.warn("old pickle", stacklevel=1)
        assert socket.getdefaulttimeout() is not None
        raise urllib.error.URLError("Name or service\nnot known")


def publish(monkeypatch: pytest.MonkeyPatch, fake: type) -> None:
    """Have the project know these images as the published ones."""
    if issubclass(fake, FakeColour):
        sha256: dict[Split, str] = {}
        for split in get_args(Split):
            data = fake(Path(), split == "train", True)
            images = np.ascontiguousarray(data.data)
            sha256[split] = digest(images, np.asarray(data.targets, np.int32))
        for name, files in image_sources._FETCHED.items():
            known = files._replace(sha256=sha256)
            monkeypatch.setitem(image_sources._FETCHED, name, known)


def pretend(monkeypatch: pytest.MonkeyPatch, fake: type | None) -> None:
    """Replace torchvision by ``fake`` classes, or by its absence."""
    if fake is None:
        monkeypatch.setitem(sys.modules, "torchvision", None)
        return
    publish(monkeypatch, fake)
    classes = {name: fake for name in ("MNIST", "FashionMNIST", "CIFAR10")}
    module = types.SimpleNamespace(datasets=types.SimpleNamespace(**classes))
    monkeypatch.setitem(sys.modules, "torchvision", module)


@pytest.mark.parametrize(
    ("name", "fake"),
    [("mnist", FakeGrey), ("fashion-mnist", FakeGrey), ("cifar10", FakeColour)],
)
def test_fetched_sets_come_from_torchvision_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    fake: type[FakeColour],
) -> None:
    pretend(monkeypatch, fake)
    data = datasets.load(name, 12, tmp_path)
    channels = 3 if fake is FakeColour else 1
    assert data.images.shape == (4, 12, 12, channels)
    assert data.class_names == ("first", "second")
    assert data.labels is not None
    assert data.labels.tolist() == [1, 0, 0, 1]
    original = fake(tmp_path, True, True).data[2]
    big = Image.fromarray(original).resize((12, 12), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(data.images[2].squeeze(), np.asarray(big))
    pretend(monkeypatch, None)
    capsys.readouterr()
    again = datasets.load(name, 12, tmp_path)
    np.testing.assert_array_equal(again.images, data.images)
    assert again.info == data.info
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", choices.TESTED)
def test_the_test_split_is_another_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pretend(monkeypatch, FakeGrey if name == choices.STACKED else FakeColour)
    data = {
        split: datasets.load(name, 8, tmp_path, split=split)
        for split in get_args(Split)
    }
    train, test = data["train"], data["test"]
    assert not np.array_equal(test.images, train.images)
    if name != choices.STACKED:  # whose digits come in an order of their own
        np.testing.assert_array_equal(test.images, train.images[::-1])
    assert (train.split, test.split) == ("train", "test")
    # A run on it is one on arrays: no data set of a command has these images.
    assert (train.name, test.name) == (name, "")
    again = datasets.load(name, 8, tmp_path, split="test")
    np.testing.assert_array_equal(again.images, test.images)


@pytest.mark.parametrize("name", ["digits", "ring", "folder:photos"])
def test_what_has_no_test_split_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"^split test: of .* only, not of {name}$"):
        datasets.load(name, data_dir=tmp_path, split="test")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_other_originals_than_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    class Poisoned(FakeColour):
        def __init__(self, root: Path, train: bool, download: bool) -> None:
            super().__init__(root, train, download)
            self.targets = [1, 0, 0, 0]

    pretend(monkeypatch, Poisoned)
    publish(monkeypatch, FakeColour)
    with pytest.raises(UsageError) as caught:
        datasets.load(name, 8, tmp_path)
    message = str(caught.value)
    assert "where the published ones have" in message
    assert "delete any damaged files and put" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "files", "folder"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", "MNIST/raw"),
        ("fashion-mnist", "t10k-labels-idx1-ubyte.gz", "FashionMNIST/raw"),
        ("cifar10", "cifar-10-python.tar.gz", ""),
    ],
)
def test_without_network_one_line_says_which_files_go_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
    files: str,
    folder: str,
) -> None:
    pretend(monkeypatch, FakeOffline)
    with pytest.raises(UsageError) as caught:
        datasets.load(name, 8, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"dataset {name}: ")
    assert "Name or service not known" in message
    assert files in message
    assert message.endswith(f"into {tmp_path / folder}")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
    assert socket.getdefaulttimeout() is None


def test_without_torchvision_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, None)
    with pytest.raises(UsageError, match="pip install torchvision"):
        datasets.load("mnist", 8, tmp_path)


@pytest.mark.parametrize("inside", ["", "deeper/still"])
def test_a_data_dir_that_cannot_be_one_is_refused(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"^data_dir .* must be a folder") as caught:
        datasets.load("digits", 8, file / inside)
    assert "\n" not in str(caught.value)


def test_a_read_only_data_dir_is_refused_unless_it_holds_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.load("digits", 8, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Permissions do not bind the root user that tests may run as.
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert datasets.load("digits", 8, tmp_path).info.count == 1797
    rule = r".*: must be a folder that can .* \(Permission denied\)"
    with pytest.raises(UsageError, match=f"^data_dir {rule}; cache_dir names another$"):
        datasets.load("digits", 16, tmp_path)
    with pytest.raises(UsageError, match=f"^cache_dir {rule}$"):
        datasets.load("digits", 16, tmp_path, cache_dir=tmp_path / "cache")


def source(brightness: int = 7, count: int = 5) -> Source:
    """Grey images of two classes; the first has the given brightness."""

    def open_source(size: ImageSize) -> Pictures:
        shape = (*height_and_width(size), 1)
        images = (np.full(shape, brightness + i, np.uint8) for i in range(5))
        pairs = ((image, i % 2) for i, image in enumerate(images))
        return Pictures(1, ("even", "odd"), count, pairs)

    return Source("made", str(brightness), open_source)


def never(_: ImageSize) -> Pictures:
    raise AssertionError("the cache was not used")


def load_made(data_dir: Path, brightness: int = 7, size: ImageSize = 4) -> ImageData:
    return image_cache.load(source(brightness), size, data_dir)


def check_made(data: ImageData, brightness: int = 7) -> None:
    expected = brightness + np.arange(5)
    assert isinstance(data.images, np.memmap)
    assert (data.images == expected[:, None, None, None]).all()
    np.testing.assert_array_equal(data.labels, [0, 1, 0, 1, 0])


def test_the_second_load_maps_what_the_first_wrote(tmp_path: Path) -> None:
    first = load_made(tmp_path)
    second = image_cache.load(source()._replace(open=never), 4, tmp_path)
    check_made(first)
    check_made(second)
    assert first.info == second.info
    assert not second.images.flags.writeable


def test_the_digest_depends_on_images_labels_and_shape() -> None:
    images, labels = np.arange(16, dtype=np.uint8), np.array([0, 1], np.int32)
    square, flat = images.reshape(4, 2, 2, 1), images.reshape(4, 4, 1, 1)
    digests = [
        digest(square, labels),
        digest(flat, labels),
        digest(square + np.uint8(1), labels),
        digest(square, labels[::-1].copy()),
        digest(square, None),
    ]
    assert len(set(digests)) == 5
    # Stored runs and caches have them.
    assert digests[0].startswith("0679a0bcccf90a03")
    assert digests[4].startswith("bd15d0ac6d761c5c")


def test_sizes_and_fingerprints_have_caches_of_their_own(tmp_path: Path) -> None:
    check_made(load_made(tmp_path, size=4))
    assert load_made(tmp_path, size=8).images.shape == (5, 8, 8, 1)
    check_made(load_made(tmp_path, brightness=50), brightness=50)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, empty, Path.unlink, flip_last_bit])
@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "info.json"])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, name: str, damage: object) -> None:
    assert callable(damage)
    first = load_made(tmp_path)
    (file,) = tmp_path.glob(f"cache/*/{name}")
    damage(file)
    second = load_made(tmp_path)
    check_made(second)
    assert second.info == first.info
    check_made(image_cache.load(source()._replace(open=never), 4, tmp_path))


@pytest.mark.parametrize("content", ["[]", "{}", '{"key": 3}', "\0"])
def test_a_foreign_description_is_rebuilt(tmp_path: Path, content: str) -> None:
    load_made(tmp_path)
    (file,) = tmp_path.glob("cache/*/info.json")
    file.write_text(content)
    check_made(load_made(tmp_path))


def test_a_copied_cache_is_checked_and_used(tmp_path: Path) -> None:
    first = load_made(tmp_path)
    (images,) = tmp_path.glob("cache/*/images.npy")
    os.utime(images, (1, 1))
    second = image_cache.load(source()._replace(open=never), 4, tmp_path)
    assert second.info == first.info


def change_in_secret(path: Path, content: bytes) -> None:
    """Give a file other bytes and the old time."""
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_damage_that_keeps_size_and_time_is_noticed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_made(tmp_path)
    (file,) = tmp_path.glob(f"cache/*/{name}")
    content = bytearray(file.read_bytes())
    content[-4] ^= 1  # the last label, or a pixel of the last image
    change_in_secret(file, bytes(content))
    # The only way to have it: not to look.
    never_built = source()._replace(open=never)
    trusted = image_cache.load(never_built, 4, tmp_path, trust=True)
    assert trusted.info == first.info
    labels_differ = trusted.labels is not None and trusted.labels[-1] != 0
    assert labels_differ or len(np.unique(trusted.images[-1])) == 2
    assert capsys.readouterr().err == ""
    check_made(load_made(tmp_path))
    assert capsys.readouterr().err == (
        f"{file.parent}: the cached images are damaged (contents and digest disagree);"
        " made anew from the originals\n"
    )
    check_made(image_cache.load(never_built, 4, tmp_path))


def test_trust_ends_where_a_file_was_changed(tmp_path: Path) -> None:
    load_made(tmp_path)
    (file,) = tmp_path.glob("cache/*/labels.npy")
    content = bytearray(file.read_bytes())
    content[-4] ^= 1  # the last label
    file.write_bytes(content)
    os.utime(file, (1, 1))
    check_made(image_cache.load(source(), 4, tmp_path, trust=True))


def rewrite_cache(data_dir: Path, images: NDArray[Any], labels: NDArray[Any]) -> None:
    """A cache whose digest is right, whatever it holds."""
    images = np.ascontiguousarray(images)
    (folder,) = data_dir.glob("cache/*-4")
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels)
    info = json.loads((folder / "info.json").read_text())
    info |= {"sha256": digest(images, labels), "stamps": image_cache._stamps(folder)}
    (folder / "info.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x, y: (x, y + 1), "labels 1 to 2 of 2"),
        (lambda x, y: (x, y - 1), "labels -1 to 0 of 2"),
        (lambda x, y: (x, y[:-1]), "labels of type int32 and shape (4,)"),
        (lambda x, y: (x, y.astype(np.int64)), "labels of type int64"),
        (lambda x, y: (x.astype(np.float32), y), "images of type float32"),
        (lambda x, y: (x[:, 1:], y), "images of type uint8 and shape (5, 3, 4, 1)"),
    ],
)
def test_what_no_cache_can_be_is_made_anew(
    change: Any, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = load_made(tmp_path)
    images, labels = np.array(data.images), np.array(data.labels)
    rewrite_cache(tmp_path, images, labels)
    image_cache.load(source()._replace(open=never), 4, tmp_path, trust=True)
    rewrite_cache(tmp_path, *change(images, labels))
    for trust in (True, False):
        with pytest.raises(AssertionError, match="the cache was not used"):
            image_cache.load(source()._replace(open=never), 4, tmp_path, trust=trust)
        assert f"damaged ({fault}" in capsys.readouterr().err
    check_made(load_made(tmp_path))


def test_a_header_that_promises_more_than_the_memory_holds(tmp_path: Path) -> None:
    load_made(tmp_path)
    for name in ("images", "labels"):
        (file,) = tmp_path.glob(f"cache/*/{name}.npy")
        with file.open("wb") as out:
            header = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.int32))
            header["shape"] = (10**13,)
            np.lib.format.write_array_header_1_0(out, header)
        check_made(load_made(tmp_path))


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "info.json"])
def test_a_pipe_in_the_cache_is_not_waited_for(name: str, tmp_path: Path) -> None:
    load_made(tmp_path)
    (file,) = tmp_path.glob(f"cache/*/{name}")
    file.unlink()
    os.mkfifo(file)
    check_made(load_made(tmp_path))


def test_a_failed_build_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    def two_and_a_fault(size: ImageSize) -> Iterator[tuple[NDArray[np.uint8], int]]:
        yield from itertools.islice(source().open(size).pairs, 2)
        raise ZeroDivisionError

    def broken(size: ImageSize) -> Pictures:
        return source().open(size)._replace(pairs=two_and_a_fault(size))

    with pytest.raises(ZeroDivisionError):
        image_cache.load(source()._replace(open=broken), 4, tmp_path)
    assert [path.name for path in tmp_path.glob("cache/*")] == ["made.lock"]
    check_made(load_made(tmp_path))


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    partial = tmp_path / "cache" / f"made-4.{'0f' * 16}.partial"
    partial.mkdir(parents=True)
    (partial / "images.npy").write_bytes(b"half")
    check_made(load_made(tmp_path))
    assert not partial.exists()


def test_a_cache_is_built_where_the_file_system_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    check_made(load_made(tmp_path))
    told = capsys.readouterr().err
    assert "the file system has no locks; made.lock.held keeps other" in told
    assert not (tmp_path / "cache" / "made.lock.held").exists()


def build_and_count(data_dir: Path, builds: Path, barrier: Barrier) -> None:
    def counted(size: ImageSize) -> Pictures:
        with builds.open("a") as file:
            file.write("built\n")
        time.sleep(0.2)  # long enough for the others to arrive
        return source().open(size)

    barrier.wait(PATIENCE)
    check_made(image_cache.load(source()._replace(open=counted), 4, data_dir))


def test_processes_that_start_together_build_once(tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path, builds, context.Barrier(3))
    processes = [
        context.Process(target=build_and_count, args=arguments) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * 3
    assert builds.read_text() == "built\n"


def test_the_description_is_plain_json(tmp_path: Path) -> None:
    data = load_made(tmp_path)
    (file,) = tmp_path.glob("cache/*/info.json")
    info = json.loads(file.read_text())
    assert info["sha256"] == data.info.sha256
    assert info["class_names"] == ["even", "odd"]
