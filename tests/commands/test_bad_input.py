"""Mistakes: one line, status 2, no traceback, and nothing written or overwritten."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import messages
from shared.config import train_config
from shared.drawing import images
from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import TINY, Twin, contents, last_checkpoint, stopped

# Places that a command names: {run} holds a run, {file} is a file, {empty} an empty
# folder, {faces} a folder of pictures without labels, {loop} a link to itself, {long}
# nothing that can be; {piped} is a run whose configuration is a pipe.
REFUSED_AT_ONCE = {
    "train dgan": "preset 'dgan': must be one of quick, gan, dcgan,",
    "train --dataset mnits": "--dataset mnits: must be digits,",
    "train --dataset folder:nowhere": "folder:nowhere: must be a folder of images",
    "train --dataset folder:{file}": "--dataset folder:{file}: ",
    "train --dataset folder:{empty}": "--dataset folder:{empty}: ",
    "train --dataset folder:{faces} --batch-size 4 --conditional": (
        "--conditional: needs labels of two classes or more, which --dataset"
    ),
    "train --aux-classifier 1": "--aux-classifier 1.0: needs --conditional",
    "train hinge --label-flip 0.1": "--label-flip 0.1: has no meaning for --objective",
    "train --path-length-every 8": "--path-length-every 8: needs a --path-length",
    "train dcgan --penalty-weight 1": "--penalty-weight 1.0: needs a --penalty",
    "train wgan --adam-betas 0 0.9": "--adam-betas 0.0 0.9: needs --optimizer adam",
    "train --instance-noise-steps 5": "--instance-noise-steps 5: needs a"
    " --instance-noise",
    "train --stpes 3": "unrecognized option --stpes; did you mean --steps?",
    "sample --nmu 8 {run}": "unrecognized option --nmu; did you mean --num?",
    "export --fromat hub {run}": "unrecognized option --fromat; did you mean --format?",
    "data --crp pad digits": "unrecognized option --crp; did you mean --crop?",
    "evaluate --draw 3 {run}": "unrecognized option --draw; did you mean --draws?",
    "train gan dcgan": "unexpected argument 'dcgan'",
    "train --objective foo": "--objective foo: must be one of minimax,",
    "train --precision float16": "--precision float16: must be one of float32,",
    "train --steps abc": "--steps abc: must be a whole number",
    "train --no-compile-cache --no-flip --steps abc": "--steps abc: must be a whole",
    "train --steps 0": "--steps 0: must be 1 or more",
    "train --epochs -1": "--epochs -1.0: must be more than 0",
    "train --image-size 50": "2, 4, 8, ...; the nearest are 48 and 56",
    "train --image-size 4": "2, 4, 8, ...; 8 is the smallest",
    **{
        f"train --image-size {size}": f"--image-size {size}: {rule}"
        for size, rule in {
            "48x50": "the shorter side must be 4, 5, 6 or 7 times 2, 4, 8, ..., the"
            " longer one a multiple of the same power of two and at most 4 times as"
            " long; the nearest are 48 and 48x56",
            "0x4": "the shorter side must be 4, 5, 6 or 7 times 2, 4, 8, ..., the"
            " longer one a multiple of the same power of two and at most 4 times as"
            " long; 8 is the smallest",
            "-3": "must be 4, 5, 6 or 7 times 2, 4, 8, ...; 8 is the smallest",
            **dict.fromkeys(
                ("48x", "48x64x3", "48,64", "x"),
                "must be a whole number, or height x width as in 48x64",
            ),
        }.items()
    },
    "train --resume {run} --image-size 16x32": (
        "--image-size 16x32: the run was started with 16;"
    ),
    "evaluate --samples {faces} --reference digits --image-size 4x16": (
        "--image-size 4x16: must be 8 or more"
    ),
    "train --batch-size 0": "--batch-size 0: must be 2 or more",
    "train --batch-size 1798": "--batch-size 1798: must be at most the 1797 images",
    "train --width 0": "--width 0: must be 1 or more",
    "train --z-dim -1": "--z-dim -1: must be 1 or more",
    "train --g-lr 0": "--g-lr 0.0: must be more than 0",
    "train --d-lr nan": "--d-lr nan: must be a finite number",
    "train --adam-betas 0.5 1": "--adam-betas 0.5 1.0: both must be in [0, 1)",
    "train --seed -1": "--seed -1: must be 0 or more",
    "train --log-every 0": "--log-every 0: must be 1 or more",
    "train --sample-every 0": "--sample-every 0: must be 1 or more",
    "train --save-every -5": "--save-every -5: must be 1 or more",
    "train dcgan --penalty wgan-gp": (
        "--penalty wgan-gp: is per sample, but --d-norm batch"
    ),
    "train --run-dir {run}": "--run-dir {run}: already holds a run; resume it with",
    "train --resume nowhere": "--resume nowhere: no such folder",
    "train --resume {empty}": "--resume {empty}: holds no run: no config.json",
    "train --resume {run} --width 8": "--width 8: the run was started with 4;",
    "train --resume {run} --steps 5": "--steps 5: the run has already done 6 steps",
    "sample": "RUN",
    "sample nowhere": "nowhere: no such folder",
    "sample {empty}": "{empty}: holds no run",
    "sample {file}": "{file}: is not a folder",
    "sample {run} --num 0": "--num 0: must be 1 or more",
    "sample {run} --columns -1": "--columns -1: must be 1 or more",
    "sample {run} --seed x": "--seed x: must be a whole number",
    "sample {run} --step 4": "--step 4: {run} has no such checkpoint; has 3, 6",
    "sample {run}/checkpoints/000009.safetensors": "000009.safetensors: cannot be read",
    "sample {long}": "{long}: File name too long",
    "sample {loop}": "{loop}: Too many levels of symbolic links",
    "sample {pipe}": "{pipe}: is not a folder",
    "sample {piped}": "config.json: a pipe, socket or device, not a file",
    "sample {pipe}.safetensors": "a pipe, socket or device, not a checkpoint file",
    "sample {long}.safetensors": "cannot be read: File name too long",
    "evaluate {run} --dataset ring": "--dataset ring: the run was trained on digits",
    "evaluate --samples {faces} --reference digits --draws 3": (
        "--draws 3: is for a run, and --samples are images"
    ),
    "evaluate --samples {faces} --reference nowhere --out new": (
        "error: --reference nowhere: must be a folder of images"
    ),
    "evaluate --samples {faces} --reference mnist --split test --features none": (
        "--split test: needs features"
    ),
    "export nowhere": "nowhere: no such folder",
    "export {empty}": "{empty}: holds no run",
    "train --resume {long}": "--resume {long}: File name too long",
    "train --resume {loop}": "--resume {loop}: Too many levels of symbolic links",
    "train --resume {piped}": "config.json: a pipe, socket or device, not a file",
    "train --run-dir {long}": "--run-dir {long}: cannot be used: File name too long",
    "train --plugin {pipe}": "--plugin {pipe}: a pipe, socket or device, not a file",
    "train --plugin {long}": "--plugin {long}: cannot be read: File name too long",
    "compare": "RUN: name one run or more; see",
    "compare {loop}": "{loop}: Too many levels of symbolic links",
    "sample {run} --labels 1": "--labels 1: the run is not conditional",
    "sample {run} --labels cat": "--labels cat: the run is not conditional",
    "sample {run} --labels -1": "--labels -1: the run is not conditional",
    "sample {run} --labels 3,": "--labels 3,: must be class ids from 0 up or names",
    "sample {run} --out {empty}": "--out {empty}: is a folder; name a file in it",
    "sample {run} --out {empty}/a.jpg": "--out {empty}/a.jpg: must end in .png",
    "sample {run} --separate --out {file}": (
        "--out {file}: must be a new folder, or an empty one"
    ),
    "sample {run} --separate --out {faces}": (
        "--out {faces}: must be a new folder, or an empty one"
    ),
    "sample {run} --separate --out {run}/drawn/a.png": (
        "--out {run}/drawn/a.png: names a file, and a folder is written"
    ),
    "sample {run} --separate --out {run}/samples": (
        "--out {run}/samples: samples is the run's own; choose another name"
    ),
    "sample {run} --out {run}/checkpoints/000010.safetensors": "must end in .png",
    "sample {run} --out {run}/samples/000020.png": (
        "samples/000020.png is the run's own; choose another name"
    ),
    "sample {run} --out {run}/nearest-000006.png": "is the run's own; choose",
    "compare {run} --out {run}/losses.png": "losses.png is the run's own",
    "compare {run} --out {run}/report.png": (
        "--out {run}/report.png: report.html is the run's own; choose another name"
    ),
    "compare {run} --out {empty}/c.html": "--out {empty}/c.html: must end in .png",
    "data digits --out {run}/real.png": "real.png is the run's own",
    "data digits --out {empty}/x.jpeg": "--out {empty}/x.jpeg: must end in .png",
    "evaluate {run} --out {run}/samples": (
        "--out {run}/samples: samples/evaluation-000006.json is the run's own"
    ),
    "evaluate --samples {faces} --reference digits --out {run}/samples": (
        "--out {run}/samples: samples/evaluation.json is the run's own"
    ),
    "train --crop pad": "--crop pad: is for images of folder:PATH",
    "train --pixel-bits 12": "--pixel-bits 12: is for images of folder:PATH",
    "train ring --channels grey": "--channels grey: is for images of folder:PATH",
    "train --dataset folder:{faces} --pixel-bits 17": "must be from 1 to 16",
    "train --allow-new-data": "--allow-new-data: needs a run to --resume",
    "data": "DATASET",
    "data mnits": "error: DATASET mnits: must be digits,",
    "data folder:nowhere": "error: DATASET folder:nowhere: must be a folder of images",
    "data {empty}": "did you mean folder:{empty}?",
    "data folder:{faces} --out {faces}/data.png": (
        "--out {faces}/data.png: lies within DATASET folder:{faces}, whose images"
    ),
    "train --dataset folder:{faces} --batch-size 4 --run-dir {faces}/run": (
        "--run-dir {faces}/run: lies within --dataset folder:{faces}, whose images"
        " would change; name another place"
    ),
    "data digits --image-size 30": "2, 4, 8, ...; the nearest are 28 and 32",
    "data ring --crop pad": "--crop pad: is for images of folder:PATH",
}

# Only the framework knows its devices, and the network what it needs.
REFUSED = {
    "train --device nonsense": "--device nonsense: no such device;",
    "train --device cuda:99": "--device cuda:99: no such device;",
    "train --device cpu --precision tf32": "--precision tf32: needs an NVIDIA GPU",
    "train --run-dir {file}/run": "--run-dir {file}/run: cannot be used: Not a dir",
    "train --resume {run} --steps 7 --device tpu:99": "--device tpu:99: no such device",
    "sample {run} --device nonsense": "--device nonsense: no such device;",
    "sample {run} --num 2 --out {file}/a.png": "--out {file}/a.png: cannot be written",
    "sample {run} --num 2 --separate --out {file}/a": "--out {file}/a: cannot be writ",
}


@pytest.fixture
def places(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    """What the commands name, in a folder that is also the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "faces"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("text")
    for number in range(5):
        picture = np.full((8, 8, 1), 50 * number, np.uint8)
        images.save_png(tmp_path / "faces" / f"{number}.png", picture)
    shutil.copytree(finished, tmp_path / "run")
    for name in ("pipe", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "loop").symlink_to("loop")
    piped = shutil.copytree(finished, tmp_path / "piped")
    (piped / "config.json").unlink()
    os.mkfifo(piped / "config.json")
    names = ("empty", "faces", "file", "run", "piped", "pipe", "loop")
    return {name: tmp_path / name for name in names} | {"long": tmp_path / ("n" * 256)}


def everything(folder: Path) -> tuple[dict[str, bytes], list[Path]]:
    """All there is in a folder, to compare later."""
    return contents(folder), sorted(p for p in folder.rglob("*") if p.name != ".lock")


def call(twin: Twin, data_dir: Path, line: str, places: dict[str, Path]) -> list[str]:
    """The command and its arguments; those of ``train`` with a place for the data."""
    command, *words = (word.format(**places) for word in line.split(" "))
    return [command, *words, *(["--data-dir", str(data_dir)] * (command == "train"))]


@pytest.mark.parametrize("line", REFUSED)
def test_mistakes_that_the_framework_finds(
    line: str,
    twin: Twin,
    data_dir: Path,
    places: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    command, *words = call(twin, data_dir, line, places)
    before = everything(tmp_path)
    stopped(2, lambda: twin.main(command)(words))
    assert everything(tmp_path) == before
    output, message = capsys.readouterr()
    assert output == ""
    assert message.startswith(f"gans_{twin.name}.{command}: error: ")
    assert REFUSED[line].format(**places) in message
    assert message.count("\n") == 1


SCRIPT = """
import importlib, io, json, sys
import messages
messages.install()
package, commands = sys.argv[1], json.loads(sys.argv[2])
answers = []
for command, *words in commands:
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    module = {"data": "data.__main__"}.get(command, command)
    try:
        importlib.import_module(f"{package}.{module}").main(words)
    except SystemExit as stop:
        answers.append([stop.code, sys.stdout.getvalue(), sys.stderr.getvalue()])
frameworks = {"torch", "torchvision", "jax", "flax", "optax"} & set(sys.modules)
sys.stdout = sys.__stdout__
print(json.dumps([answers, sorted(frameworks), messages.raw()]))
"""


def test_most_mistakes_are_found_before_a_framework_is_imported(
    twin: Twin, data_dir: Path, places: dict[str, Path], tmp_path: Path
) -> None:
    commands = [call(twin, data_dir, line, places) for line in REFUSED_AT_ONCE]
    commands += [["train", "--help"], ["train", "wgan", "--help"], ["sample", "--help"]]
    before = everything(tmp_path)
    script = [sys.executable, "-c", SCRIPT, f"gans_{twin.name}", json.dumps(commands)]
    paths = [str(Path(__file__).parents[number]) for number in (2, 1)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    output = subprocess.check_output(script, env=environment, text=True)
    assert everything(tmp_path) == before
    answers, frameworks, made = json.loads(output)
    messages.add(map(tuple, made))
    assert frameworks == []
    assert len(answers) == len(commands)
    for status, output, message in answers[-3:]:
        assert (status, message) == (0, "")
        assert output.startswith("usage: gans_")
    for line, (status, output, message) in zip(REFUSED_AT_ONCE, answers, strict=False):
        command = line.split()[0]
        assert (line, status, output) == (line, 2, "")
        assert message.startswith(f"gans_{twin.name}.{command}: error: ")
        assert REFUSED_AT_ONCE[line].format(**places) in message
        assert (line, message.count("\n")) == (line, 1)


def test_labels_out_of_range(
    train: Callable[..., None],
    sample: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train("cgan", *TINY, "--steps", 1, "--run-dir", tmp_path)
    capsys.readouterr()
    before = everything(tmp_path)
    stopped(2, lambda: sample(tmp_path, "--labels", "3,10"))
    message = "error: --labels 10: must be below 10, the number of classes\n"
    assert capsys.readouterr().err.endswith(message)
    assert everything(tmp_path) == before


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def make_newer(path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        state = checkpoint.load(path)
        patch.setattr(train_config, "CONFIG_VERSION", train_config.CONFIG_VERSION + 1)
        checkpoint.save(path, state)


def swap_networks(path: Path) -> None:
    state = checkpoint.load(path)
    names = {"generator": "discriminator", "discriminator": "generator"}
    arrays = {
        ".".join([names.get(part, part) for part in name.split(".")]): array
        for name, array in state.arrays.items()
    }
    checkpoint.save(path, state._replace(arrays=arrays))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "truncated or damaged: empty"),
    "text": (lambda path: path.write_text("no arrays"), "no safetensors file"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "6.safetensors: "),
    "foreign": (
        lambda path: save_file({"weight": np.zeros(3)}, path),
        "not a checkpoint of this project",
    ),
    "cut in the header": (lambda path: cut(path, 0.01), "truncated or damaged: "),
    "cut in half": (lambda path: cut(path, 0.5), "truncated or damaged: "),
    "last byte cut off": (lambda path: cut(path, 0.99999), "truncated or damaged: "),
    "bit flipped in the length": (lambda path: flip(path, 0), "damaged: "),
    "bit flipped in the header": (lambda path: flip(path, 150), "damaged: "),
    "bit flipped in an array": (lambda path: flip(path, -50), "damaged: "),
    "newer configuration": (make_newer, "this program reads versions up to"),
    "other networks": (swap_networks, "its configuration needs"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_checkpoints_are_refused(
    damage: str,
    train: Callable[..., None],
    sample: Callable[..., None],
    places: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = places["run"]
    path = last_checkpoint(run)
    harm, expected = DAMAGE[damage]
    harm(path)
    # From an older one, a run would go on.
    RunDir(run).checkpoint_path(3).unlink()
    capsys.readouterr()
    before = everything(run)
    for call in (
        lambda: train("--resume", run, "--steps", 7, "--device", "cpu"),
        lambda: sample(run, "--num", 2),
        lambda: sample(path, "--num", 2),
    ):
        stopped(2, call)
        output, message = capsys.readouterr()
        assert output == ""
        assert expected in message
        assert "000006.safetensors" in message
        assert message.count("\n") == 1
        assert everything(run) == before


CONFIG_DAMAGE: dict[str, tuple[Callable[[str], str], str]] = {
    "newer": (
        lambda text: text.replace('"version": 1', '"version": 2'),
        "configuration version 2: this program reads versions up to 1; use a newer",
    ),
    "unknown setting": (
        lambda text: text.replace('"width"', '"breadth"'),
        "configuration: unknown breadth",
    ),
    "refused setting": (
        lambda text: text.replace('"width": 4', '"width": -4'),
        "--width -4: must be 1 or more",
    ),
    "wrong type": (lambda text: text.replace('"width": 4', '"width": "4"'), "config"),
    "cut off": (lambda text: text[:100], "config.json: unreadable: "),
    "no object": (lambda text: "[]", "config.json: unreadable: "),
    "no data": (lambda text: text.replace('"data"', '"date"'), "config.json: "),
    "other width": (
        lambda text: text.replace('"width": 4', '"width": 8'),
        "belongs to a run of another configuration or data",
    ),
}


@pytest.mark.parametrize("damage", CONFIG_DAMAGE)
def test_damaged_configurations_are_refused(
    damage: str,
    train: Callable[..., None],
    places: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = places["run"] / "config.json"
    harm, expected = CONFIG_DAMAGE[damage]
    text = path.read_text()
    path.write_text(harm(text))
    assert path.read_text() != text
    capsys.readouterr()
    before = everything(places["run"])
    stopped(2, lambda: train("--resume", places["run"], "--device", "cpu"))
    output, message = capsys.readouterr()
    assert output == ""
    assert expected in message
    assert message.count("\n") == 1
    assert everything(places["run"]) == before
