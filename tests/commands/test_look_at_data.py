"""The command ``data``, on what people have on disk: words, a picture, a command."""

import json
import re
import shlex
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.commands import data as look
from shared.commands.command_line import parse_train
from shared.commands.options import DEFAULT_PRESET, DataOptions
from shared.config.presets import PRESETS
from shared.data import datasets
from shared.data.arrays import from_arrays
from shared.data.image_data import ImageData
from support import TINY, Train, Twin, stopped

SIZE = 16


def disc(number: int) -> NDArray[np.uint8]:
    """A soft grey disc, whose place depends on the number."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    centre = 0.5 + 0.3 * np.cos([number, 2.3 * number])
    away = (y - centre[0]) ** 2 + (x - centre[1]) ** 2
    return np.rint(30 + 200 * np.exp(-40 * away)).astype(np.uint8)


def colour(number: int) -> Image.Image:
    tint = 0.5 + 0.5 * np.sin([number, number + 1, number + 2]) ** 2
    return Image.fromarray((disc(number)[..., None] * tint).astype(np.uint8))


def many(folder: Path, count: int, name: str = "p{:04d}.png", start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        path = folder / name.format(number)
        colour(number).save(path, None if path.suffix else "PNG")


def phone(place: Path) -> str:
    many(place, 8, "{}.jpg")
    for number in range(40):
        (place / f"IMG_{number:04d}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    return "folder:{}"


def microscope(place: Path) -> str:
    place.mkdir()
    for number in range(20):
        Image.fromarray(disc(number).astype(np.uint16) * 16).save(
            place / f"{number}.png"
        )
    return "folder:{}"


def classes(place: Path, *names: str) -> None:
    for number, name in enumerate(names):
        many(place / name, 8, start=8 * number)


def hole(place: Path) -> str:
    classes(place, "0", "1", "3")
    (place / "2").mkdir()
    return "folder:{}"


def splits(place: Path) -> str:
    classes(place, *(f"{x}/{y}" for x in ("train", "val") for y in ("cat", "dog")))
    return "folder:{}"


def dollars(place: Path) -> str:
    many(place / "cost_$5_and_$x^", 8)
    return "folder:{}/cost_$5_and_$x^"


def same(place: Path) -> str:
    place.mkdir()
    for number in range(20):
        colour(0).save(place / f"{number}.png")
    return "folder:{}"


def scraped(place: Path) -> str:
    place.mkdir()
    for number in range(8):
        colour(number).save(place / f"{zlib.crc32(bytes([number])):08x}", "PNG")
    return "folder:{}"


def grey_as_rgb(place: Path) -> str:
    place.mkdir()
    for number in range(8):
        Image.fromarray(disc(number)).convert("RGB").save(place / f"{number}.jpg")
    return "folder:{}"


def zipped(place: Path) -> str:
    many(place, 8)
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        for path in place.glob("*.png"):
            archive.write(path, path.name)
    return "folder:{}/x.zip"


def enough(place: Path) -> str:
    many(place, 40)
    return "folder:{}"


def json_labels(place: Path) -> str:
    many(place, 12)
    labels = [[f"p{number:04d}.png", number % 3] for number in range(12)]
    (place / "dataset.json").write_text(json.dumps({"labels": labels}))
    return "folder:{}"


# What is drawn, what is said of it, and the flags that suit it.
CASES: dict[Callable[[Path], str], tuple[list[str], str]] = {
    phone: (
        [
            "passed over 40 of 48 files, HEIC, which need the package pillow-heif (pip"
            " install pillow-heif): IMG_0000.HEIC, IMG_0001.HEIC, IMG_0002.HEIC, ...",
            "8 of 16x16, in colour",
        ],
        "--batch-size 8",
    ),
    microscope: (
        ["images use 12 of 16 bits, 1/16 of the range", "values   2 to 14"],
        "--pixel-bits 12 --batch-size 16",
    ),
    hole: (
        [
            "1 of 4 subfolders hold no image, and are no class: 2",
            "3 has id 2",
            "\n            2        8  3\n",
        ],
        "--batch-size 16 --conditional",
    ),
    splits: (
        [
            "the classes are train, val, which looks like parts of a data set",
            "\n  python",
        ],
        "",
    ),
    dollars: (["cost_$5_and_$x^"], "--batch-size 8"),
    same: (["all 20 images are one and the same"], "--batch-size 16"),
    scraped: (["8 of 16x16, in colour"], "--batch-size 8"),
    grey_as_rgb: (
        ["all images are grey, though their files have colour"],
        "--channels grey --batch-size 8",
    ),
    zipped: (["8 of 16x16, in colour"], "--batch-size 8"),
    # As many as a batch of the preset that trains by default.
    enough: (["40 of 16x16, in colour"], "--image-size 16"),
    json_labels: (
        ["the labels are those of dataset.json", "3: id, images, name"],
        "--batch-size 8 --conditional",
    ),
}


@pytest.mark.parametrize("draw", CASES, ids=lambda draw: draw.__name__)
def test_what_people_have_on_disk(
    draw: Callable[[Path], str],
    twin: Twin,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = draw(tmp_path / "images").format(tmp_path / "images")
    where = ["--data-dir", str(tmp_path / "data")]
    picture = tmp_path / "sheet.png"
    flags = ["--image-size", "16", *where, "--out", str(picture)]
    twin.main("data")([dataset, *flags])
    said, errors = capsys.readouterr()
    assert errors == ""
    words, suits = CASES[draw]
    for word in words:
        assert word in said
    with Image.open(picture) as sheet:
        assert sheet.width == 8 * (48 + 2) + 2
    command = shlex.split(said.splitlines()[-1])
    program = "data" if draw is splits else "train"
    assert command[:3] == ["python", "-m", f"gans_{twin.name}.{program}"]
    if draw is splits:
        twin.main("data")([*command[3:], "--out", str(picture)])
        assert "\n            1        8  dog\n" in capsys.readouterr().out
        return
    said = said.replace(f" {shlex.join(where)}", "")
    assert said.rstrip().endswith(suits)
    config = parse_train(command[3:], "gans_torch.train").config
    assert config.dataset == dataset
    data = datasets.load_for(config, tmp_path / "data")
    assert config.batch_size <= data.info.count


def test_the_picture_is_what_a_run_sees(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path / "images", "cat", "dog")
    dataset, out = f"folder:{tmp_path}/images", tmp_path / "sheet.png"
    where = ["--data-dir", str(tmp_path), "--out", str(out), "--image-size", "64"]
    twin.main("data")([dataset, *where])
    data = datasets.load(dataset, 64, tmp_path)
    with Image.open(out) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (2 * 66 + 2, 8 * 66 + 2, 3)
    cells = sheet[2:, 2:].reshape(2, 66, 8, 66, 3)[:, :64, :, :64].swapaxes(1, 2)
    np.testing.assert_array_equal(cells.reshape(16, 64, 64, 3), data.images)


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [
        ("digits", "1797 of 32x32, grey", "train --data-dir {} --conditional"),
        ("ring", "20000 in the plane", "train ring"),
        ("swiss-roll", "classes  none", "train swiss-roll"),
    ],
)
def test_named_data_sets(
    name: str,
    words: str,
    command: str,
    twin: Twin,
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = ["--out", str(tmp_path / "x.png"), "--data-dir", str(data_dir)]
    twin.main("data")([name, *out])
    said = capsys.readouterr().out
    assert said.startswith(f"{name}\n\n")
    assert words in said
    assert said.endswith(f"  python -m gans_{twin.name}.{command.format(data_dir)}\n")
    with Image.open(tmp_path / "x.png") as picture:
        assert np.asarray(picture).std() > 10


def test_copies_in_a_named_data_set_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gans_torch.data.__main__ import main

    usual = datasets.load("digits", 8, tmp_path)
    images = np.asarray(usual.images, np.uint8)
    twice = usual._replace(images=np.concatenate([images[:1], images[:-1]]))
    monkeypatch.setattr(datasets, "load_for", lambda *_: twice)
    main(["digits", "--image-size", "8", "--out", str(tmp_path / "x.png")])
    assert "1 of 1797 images are the same as another" in capsys.readouterr().out


def test_it_needs_no_framework(twin: Twin, tmp_path: Path) -> None:
    many(tmp_path / "images", 4)
    code = (
        f"import sys; from gans_{twin.name}.__main__ import main\n"
        f"main(['data', 'folder:{tmp_path}/images', '--data-dir', '{tmp_path}',"
        f" '--out', '{tmp_path}/x.png'])\n"
        "assert not {'torch', 'jax', 'flax', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_points_have_no_size(twin: Twin, capsys: pytest.CaptureFixture[str]) -> None:
    stopped(2, lambda: twin.main("data")(["swiss-roll", "--image-size", "64"]))
    assert capsys.readouterr() == (
        "",
        f"gans_{twin.name}.data: error: --image-size 64: is for images, which points of"
        " swiss-roll are not\n",
    )


def test_a_picture_that_cannot_be_written_is_refused(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many(tmp_path / "images", 4)
    words = [f"folder:{tmp_path}/images", "--data-dir", str(tmp_path)]
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "x.png"
    stopped(2, lambda: twin.main("data")([*words, "--out", str(out)]))
    assert capsys.readouterr() == (
        "",
        f"gans_{twin.name}.data: error: --out {out}: cannot be written: Not a"
        " directory\n",
    )


def test_a_run_says_what_it_is_trained_on_and_keeps_the_names(
    train: Train, sample: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path / "images", "cat", "dog", "owl")
    (tmp_path / "images" / "emu").mkdir()
    (tmp_path / "images" / "cat" / "a.heic").write_bytes(b"")
    run, dataset = tmp_path / "run", f"folder:{tmp_path}/images"
    train("cgan", *TINY, "--dataset", dataset, "--run-dir", run)
    log = capsys.readouterr().err
    assert log.startswith(
        "24 images, in colour, 3 classes: 0 cat, 1 dog, 2 owl\n"
        "passed over 1 of 25 files, HEIC, which need the package pillow-heif"
    )
    assert "\n1 of 4 subfolders hold no image, and are no class: emu\n" in log
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["class_names"] == ["cat", "dog", "owl"]
    content = (run / "checkpoints" / "000006.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert rb"\"class_names\":[\"cat\",\"dog\",\"owl\"]" in content[: 8 + length]
    page = " ".join((run / "report.html").read_text().split())
    named = "0 <bdi>cat</bdi>, 1 <bdi>dog</bdi>, 2 <bdi>owl</bdi>."
    assert f"Classes, by id: {named}" in page
    for name, labels in {"a": "owl,cat", "b": "2,0"}.items():
        sample(run, "--labels", labels, "--out", tmp_path / f"{name}.png", "--num", 8)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    capsys.readouterr()
    stopped(2, lambda: sample(run, "--labels", "catt"))
    said = capsys.readouterr().err
    assert (
        "--labels catt: must be class ids from 0 up, as in 3,7, or names; has cat,"
        in said
    )
    assert said.endswith("; did you mean cat?\n")


def test_one_image_over_and_over_has_no_diversity(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same(tmp_path / "images")
    run = tmp_path / "run"
    train(*TINY, "--dataset", f"folder:{tmp_path}/images", "--run-dir", run)
    assert "all 20 images are one and the same" in capsys.readouterr().err
    records = map(json.loads, (run / "samples.jsonl").read_text().splitlines())
    assert [list(record) for record in records] == [["step"]] * 4
    # Of its numbers: the letters that pictures are written in may say anything.
    page = re.sub(r"base64,[\w+/=]+", "", (run / "report.html").read_text())
    assert not re.search(r"e\+\d\d", page)


def test_a_way_of_reading_is_stored_and_kept(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey_as_rgb(tmp_path / "images")
    run = tmp_path / "run"
    words = ["--dataset", f"folder:{tmp_path}/images", "--channels", "grey"]
    train(*TINY, *words, "--crop", "pad", "--run-dir", run, "--steps", 1)
    assert "8 images, grey\n" in capsys.readouterr().err
    config = json.loads((run / "config.json").read_text())
    assert (config["channels"], config["crop"]) == ("grey", "pad")
    assert "pixel_bits" not in config
    train("--resume", run, "--steps", 2)
    stopped(2, lambda: train("--resume", run, "--steps", 3, "--crop", "stretch"))
    assert "--crop stretch: the run was started with pad" in capsys.readouterr().err


def test_a_folder_that_has_grown_goes_on_where_that_is_allowed(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = tmp_path / "images", tmp_path / "run"
    many(folder, 8)
    train(*TINY, "--dataset", f"folder:{folder}", "--run-dir", run, "--steps", 2)
    stored = json.loads((run / "config.json").read_text())
    assert "earlier_data" not in stored
    many(folder, 1, start=8)
    capsys.readouterr()
    stopped(2, lambda: train("--resume", run, "--steps", 4))
    assert "(8 of digest " in (said := capsys.readouterr().err)
    assert said.endswith("--allow-new-data goes on with them\n")
    train("--resume", run, "--steps", 4, "--allow-new-data")
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["count"] == 9
    assert config["earlier_data"] == [{"until_step": 2, "data": stored["data"]}]
    # A process that is killed before its first checkpoint leaves one of the old data.
    for step in (3, 4):
        (run / "checkpoints" / f"{step:06d}.safetensors").unlink()
    train("--resume", run, "--steps", 4)
    again = json.loads((run / "config.json").read_text())
    assert again["earlier_data"] == config["earlier_data"]


def test_new_data_must_suit_the_networks(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = tmp_path / "images", tmp_path / "run"
    classes(folder, "cat", "dog")
    dataset = ["--dataset", f"folder:{folder}"]
    train("cgan", *TINY, *dataset, "--run-dir", run, "--steps", 1)
    # The same images, of which the ids now mean something else.
    (folder / "dog").rename(folder / "owl")
    stopped(2, lambda: train("--resume", run, "--steps", 2))
    assert "(0 cat, 1 dog then, 0 cat, 1 owl now)" in capsys.readouterr().err
    (folder / "owl").rename(folder / "dog")
    classes(folder, "ape")
    planned = ("--epochs", 1, "--lr-schedule", "linear", "--run-dir", tmp_path / "plan")
    train("dcgan", *TINY[:8], "--device", "cpu", *dataset, *planned)
    classes(folder, "cow")
    stopped(2, lambda: train("--resume", tmp_path / "plan", "--allow-new-data"))
    assert "--lr-schedule linear is spread over --epochs" in capsys.readouterr().err
    on = ["--resume", run, "--steps", 2, "--allow-new-data"]
    stopped(2, lambda: train(*on))
    said = capsys.readouterr().err
    assert (
        "other classes than the conditional run was started with (0 cat, 1 dog" in said
    )
    for path in folder.rglob("*.png"):
        Image.fromarray(disc(1)).save(path)
    stopped(2, lambda: train(*on))
    assert "has 1 channels, the run 3" in capsys.readouterr().err


def in_memory(count: int, *sides: int, classes: int = 0) -> ImageData:
    """Images and labels, which no file holds."""
    labels = np.arange(count) % classes if classes else None
    found = from_arrays(np.zeros((count, *sides), np.uint8), labels)
    return found._replace(name="digits")


def test_a_picture_is_of_all_parts_of_the_data_and_large_enough(tmp_path: Path) -> None:
    chosen, words = look._choose(in_memory(1000, 8, 8))
    assert (chosen[0], chosen[-1], len(chosen)) == (0, 999, 64)
    assert words == "64 of 1000 images"
    out = tmp_path / "data.png"
    look._draw(in_memory(2, 8, 32), DataOptions(dataset="digits", out=out))
    with Image.open(out) as picture:
        assert picture.height >= 48


def test_points_that_are_higher_lie_higher() -> None:
    picture = look._density(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    assert picture[-1, 0] == 255
    assert 0 < picture[0, -1] < 255
    assert picture[0, 0] == picture[-1, -1] == 0


def test_sides_are_named_where_they_differ_and_classes_counted() -> None:
    rows = dict(look._described(in_memory(2, 16, 8)))
    assert rows["images"] == "2 of 16x8 (height x width), grey"
    rows = list(look._described(in_memory(120, 8, 8, classes=120)))
    assert rows[-2][1].split() == ["99", "1", "99"]
    assert rows[-1] == ("", " ... 20 more")


def test_the_next_command_has_what_suits_the_data() -> None:
    config = PRESETS[DEFAULT_PRESET]
    places = {"data_dir": Path("d"), "cache_dir": Path("c")}

    def words(count: int, classes: int, **options: Any) -> str:
        asked = DataOptions(dataset="digits", **options)
        data = in_memory(count, 32, 32, classes=classes)
        return look._next_command(data, asked, config, "gans_jax.data")[1].strip()

    plain = "python -m gans_jax.train"
    assert words(config.batch_size, classes=1) == plain
    assert words(config.batch_size, 2, **places) == (
        f"{plain} --data-dir d --cache-dir c --conditional"
    )
    fewer = config.batch_size - 1
    less = config.batch_size // 2
    assert words(fewer, classes=0) == f"{plain} --batch-size {less}"
    few = in_memory(2, 32, 32)
    one = few._replace(info=few.info._replace(count=1))
    asked = DataOptions(dataset="digits")
    assert look._next_command(one, asked, config, "gans_jax.data") == [
        "No run on it: a run takes 2 images or more."
    ]
    assert look._choose(in_memory(3, 8, 8, classes=1))[1].endswith(", of id 0")
