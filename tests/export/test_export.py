"""The command ``export``: where it writes, and what it refuses."""

import importlib
import importlib.util
import subprocess
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.export.formats import FORMATS, check_format
from support import Twin, contents, copy, last_checkpoint, stopped


def _export(twin: Twin, *words: object) -> None:
    twin.main("export")(list(map(str, words)))


def test_the_command_writes_what_python_writes(
    finished: Path, twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(finished, tmp_path)
    _export(twin, run, "--step", 3)
    assert capsys.readouterr().err == f"exported: {run}/exported/000003\n"
    out = twin.library.export(run, tmp_path / "python", step=3)
    assert contents(out) == contents(run / "exported" / "000003")
    # The same of a checkpoint.
    _export(twin, last_checkpoint(run), "--out", tmp_path / "last")
    assert contents(tmp_path / "last") == contents(twin.library.export(run))


def test_an_exported_generator_is_no_run(
    finished: Path, twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = twin.library.export(finished, tmp_path / "exported")
    for words in (["sample", out], ["evaluate", out], ["train", "--resume", out]):
        stopped(2, lambda w=words: twin.main(w[0])(list(map(str, w[1:]))))
        said = capsys.readouterr().err
        assert f"{out}: is an exported generator, which load_generator reads" in said


def test_a_file_is_made_on_the_cpu_and_so_is_its_folder(
    finished: Path, twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"gans_{twin.name}.library")
    devices: list[str] = []

    def load(state: object, device: str) -> None:
        devices.append(device)

    monkeypatch.setattr(module, "TrainedGenerator", load)
    monkeypatch.setattr(module, "convert", lambda generator, name: name.encode())
    own = {"torch": "torch", "jax": "stablehlo"}[twin.name]
    place = tmp_path / "new" / "folder" / f"x{FORMATS[own].suffix}"
    assert twin.library.export(finished, place, own) == place
    assert place.read_text() == own
    assert devices == ["cpu"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nowhere", "nowhere: no such folder"),
        ("{run} --step 4", "--step 4: {run} has no such checkpoint; has 3, 6"),
        ("{run} --step best", "--step best: {run} has no scores"),
        ("{run} --step -1", "--step -1: must be 0 or more"),
        ("{run} --truncation nan", "--truncation nan: must be 0.05 or more, and"),
        (
            "{run} --truncation 0.5",
            "--truncation 0.5: --format hub has the generator whole, and whoever loads"
            " it draws by sample(n, truncation=0.5)\n",
        ),
        (
            "{run} --truncation 0.5 --format {own}",
            "--truncation 0.5: dcgan has no styles; truncate the latents, which the"
            " file is given: draw each of their numbers anew until it is at most 0.5"
            " from 0\n",
        ),
        ("{run} --format pickle", "--format pickle: must be one of hub, onnx,"),
        ("{run} --format {other}", "--format {other}: is written by gans_"),
        (
            "{run} --format {own} --out {run}",
            "--out {run}: is a folder; name a file in it",
        ),
        (
            "{run} --format {own} --out {run}/config.json/x",
            "--out {run}/config.json/x: config.json/x is the run's own; choose another",
        ),
        ("{run} --out {run}", "--out {run}: must be a new folder, or an empty one"),
        *(
            (f"{{run}} {words}", f"--out {{run}}/{said}")
            for words, said in {
                "--format {own} --out {run}/config.json": (
                    "config.json: must end in {suffix}"
                ),
                "--out {run}/x.onnx": "x.onnx: needs --format onnx; hub is a folder",
                "--out {run}/x.ONNX": "x.ONNX: needs --format onnx; hub is a folder",
                "--out {run}/x{suffix}": "x{suffix}: needs --format {own}; hub is a",
                "--format {own} --out {run}/x.onnx": (
                    "x.onnx: needs --format onnx; {own} ends in {suffix}"
                ),
                "--format {own} --out {run}/x.bin": "x.bin: must end in {suffix}",
                "--format {own} --out {run}/samples/x": (
                    "samples/x: samples/x is the run's own; choose another name"
                ),
                "--out {run}/x.zip": "x.zip: names a file, and a folder is written",
                "--out {run}/samples/new": (
                    "samples/new: samples/new is the run's own; choose another name"
                ),
            }.items()
        ),
    ],
)
def test_a_mistake_is_one_line(
    words: str,
    said: str,
    finished: Path,
    twin: Twin,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, other = {"torch": ("torch", "stablehlo"), "jax": ("stablehlo", "onnx")}[
        twin.name
    ]
    suffix = FORMATS[own].suffix
    names = {"run": finished, "own": own, "other": other, "suffix": suffix}
    before = contents(finished)
    stopped(2, lambda: _export(twin, *words.format(**names).split()))
    message = capsys.readouterr().err
    assert message.startswith(f"gans_{twin.name}.export: error: {said.format(**names)}")
    assert message.count("\n") == 1
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("name", "package", "writer"),
    [("onnx", "onnxscript", "gans_torch"), ("stablehlo", "flatbuffers", "gans_jax")],
)
def test_a_missing_package_is_one_line_with_its_extra(
    name: str, package: str, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda x: None if x == package else find(x)
    )
    needs = rf'^--format {name}: needs the package {package}; pip install "gans-twins'
    with pytest.raises(UsageError, match=needs):
        check_format(name, writer)
    with pytest.raises(UsageError, match="--format x: must be one of hub, onnx, "):
        check_format("x", writer)
    with pytest.raises(UsageError, match=f"--format {name}: is written by {writer}"):
        check_format(name, "the other twin")


def test_it_is_a_function_even_where_the_command_was_imported(twin: Twin) -> None:
    twin.main("export")
    with pytest.raises(UsageError, match=r"^run nowhere: no such folder"):
        twin.library.export("nowhere")


def test_a_process_exports(finished: Path, twin: Twin, tmp_path: Path) -> None:
    command = twin.command("export", finished, "--out", tmp_path / "hub")
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "hub" / "README.md").is_file()
