"""--plugin: a user's file, whose errors are his, and whose digest the run keeps."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import plugins
from shared.errors import UsageError
from shared.plugins import Plugin
from shared.run import checkpoint
from support import TINY, Train, Twin, last_checkpoint, stopped

OWN = """
def discriminator_loss(real_logits, fake_logits):
    return (abs(real_logits - 1) + abs(fake_logits + 1)).mean()


def generator_loss(fake_logits):
    return abs(fake_logits - 1).mean()


def register(twin):
    twin.register_objective("{name}", discriminator_loss, generator_loss)
"""


def write(folder: Path, name: str, twin: Twin) -> Path:
    """A plugin whose objective no other test has registered."""
    path = folder / "own.py"
    path.write_text(OWN.format(name=f"{name}-{twin.name}"))
    return path


def test_a_run_keeps_and_needs_its_plugin(
    twin: Twin,
    train: Train,
    sample: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, run = write(tmp_path, "kept", twin), tmp_path / "run"
    own = ("--objective", f"kept-{twin.name}", "--plugin", path)
    flags = (*TINY, "--steps", 2, *own)
    train(*flags, "--run-dir", run)
    digest = plugins.load(path, f"gans_{twin.name}")
    stored = json.loads((run / "config.json").read_text())["plugin"]
    assert stored == digest._asdict() == {"file": "own.py", "sha256": digest.sha256}
    assert checkpoint.load(last_checkpoint(run)).plugin == digest
    page = (run / "report.html").read_text()
    assert "own.py" in page
    assert digest.sha256 in page
    assert f"--plugin PATH/{path.name}" in page  # not where it was made

    def refused(expected: str, *words: object) -> None:
        capsys.readouterr()
        stopped(2, lambda: train("--resume", run, "--device", "cpu", *words))
        (line,) = capsys.readouterr().err.splitlines()
        assert expected in line

    train("--resume", run, "--steps", 3, "--device", "cpu", f"--plugin={path}")
    sample(run, "--num", 2, "--plugin", path)
    assert checkpoint.load(last_checkpoint(run)).step == 3
    refused("--plugin: the run was started with own.py of digest", "--steps", 4)
    path.write_text(f"{path.read_text()}# changed\n")
    other = "is another than the run was started with, own.py"
    refused(other, "--plugin", path)
    for command in ("sample", "evaluate", "export"):
        stopped(2, lambda: twin.main(command)([str(run), "--plugin", str(path)]))  # noqa: B023
        assert other in capsys.readouterr().err


def test_a_run_without_a_plugin_gets_none(
    twin: Twin,
    train: Train,
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "plugin" not in json.loads((finished / "config.json").read_text())
    assert checkpoint.load(last_checkpoint(finished)).plugin is None
    path = write(tmp_path, "late", twin)
    stopped(2, lambda: train("--resume", finished, "--plugin", path))
    told = "--plugin own.py: the run was started without a plugin"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("def register(twin):\n    x = 1 / 0\n", "line 2: ZeroDivisionError: division"),
        (
            "def register(twin):\n    twin.models.ARCHITECTURES, twin.layers\n"
            "    twin.losses, twin.penalties, twin.distribution\n    1 / 0\n",
            "line 4: ZeroDivisionError: division",
        ),
        (
            "def register(twin):\n    mine()\n\ndef mine():\n    1 / 0\n",
            "line 5: ZeroDivisionError: division",
        ),
        (  # to which dataclasses find their module
            "import dataclasses\n\n@dataclasses.dataclass\nclass Mine:\n"
            "    x: 'int'\n\ndef register(twin):\n    1 / 0\n",
            "line 8: ZeroDivisionError: division",
        ),
        ("import nonsense_of_ours\n", "line 1: ModuleNotFoundError: No module named"),
        ("x = (\n", "line 1: SyntaxError: '(' was never closed"),
        ("x = 1\n", ".py: AttributeError: must define register(twin)"),
        (
            "def register(twin):\n"
            "    loss = lambda fake_logits: fake_logits.mean()\n"
            "    twin.register_objective('mine', loss, loss)\n",
            "line 3: objective 'mine': discriminator_loss takes",
        ),
    ],
)
def test_errors_are_told_with_their_line(
    content: str,
    told: str,
    twin: Twin,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("wrong.py")  # where it is called from
    path.write_text(content)
    stopped(2, lambda: twin.main("train")(["--plugin", str(path), "--steps", "1"]))
    output, message = capsys.readouterr()
    assert output == ""
    assert message.startswith(f"gans_{twin.name}.train: error: --plugin {path}")
    assert told in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        ("real_logits - fake_logits", "shape [8], not one number: the mean"),
        ("1.0", "a float, no "),
    ],
)
def test_a_loss_that_is_no_mean_is_told(
    loss: str,
    told: str,
    twin: Twin,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"no-mean-{len(loss)}"
    path = write(tmp_path, name, twin)
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if "return" in line)
    lines[first] = f"    return {loss}"
    path.write_text("\n".join(lines))
    own = ("--objective", f"{name}-{twin.name}", "--plugin", path)
    stopped(2, lambda: train(*TINY, *own, "--run-dir", tmp_path / "run"))
    *_, message = capsys.readouterr().err.splitlines()
    said = f"objective {name}-{twin.name}: discriminator_loss gives {told}"
    assert said in message


def test_names_are_those_of_the_plugin_that_was_loaded_last(
    twin: Twin, tmp_path: Path
) -> None:
    paths = [tmp_path / "one.py", tmp_path / "other.py"]
    for number, path in enumerate(paths):
        text = OWN.format(name=f"last-{twin.name}")
        path.write_text(f"{text}    twin.register_objective.number = {number}\n")
    register = twin.library.register_objective
    for number in (0, 1, 0):
        twin.library.load_plugin(paths[number])
        assert register.number == number
    del register.number


def test_from_python_an_edited_plugin_draws_no_earlier_run(
    twin: Twin, finished: Path, tmp_path: Path
) -> None:
    library = twin.library
    path, run = write(tmp_path, "edited", twin), tmp_path / "run"
    library.load_plugin(path)
    data = library.data.from_arrays(np.zeros((16, 8, 8, 1), np.uint8))
    changes = {"image_size": 8, "width": 2, "batch_size": 4, "steps": 1}
    config = dataclasses.replace(
        library.PRESETS["dcgan"], objective=f"edited-{twin.name}", **changes
    )
    library.fit(config, data, run, plugin=path, device="cpu")
    exported = library.export(run, tmp_path / "exported")
    calls = (
        lambda: library.load_generator(run, device="cpu"),
        lambda: library.load_generator(exported, device="cpu"),
        lambda: library.export(run, format="hub"),
        lambda: library.evaluate(run, data, features="none", device="cpu"),
    )
    for call in calls:
        call()
    text = path.read_text()
    path.write_text(f"{text}# changed\n")
    library.load_generator(run, device="cpu")  # what is loaded counts
    library.load_plugin(path)
    for call in calls:
        with pytest.raises(UsageError, match=r"^plugin own.py .* is another than"):
            call()
    library.load_generator(finished, device="cpu")
    path.write_text(text)
    library.load_plugin(path)
    library.load_generator(run, device="cpu")


def test_a_missing_plugin_is_refused(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(2, lambda: twin.main("sample")(["run", "--plugin", "nowhere.py"]))
    assert (
        "--plugin nowhere.py: cannot be read: no such file" in capsys.readouterr().err
    )
    with pytest.raises(UsageError, match=r"^path nowhere.py: cannot be read"):
        twin.library.load_plugin("nowhere.py")
    with pytest.raises(UsageError, match=r"^path .*: a folder, not a file$"):
        twin.library.load_plugin(tmp_path)
    with pytest.raises(UsageError, match=r"^path /dev/null: a pipe, socket or dev"):
        twin.library.load_plugin("/dev/null")
    text = tmp_path / "text.txt"
    text.write_text("x = 1")
    with pytest.raises(UsageError, match=r"^path .*text.txt: .* must be a Python file"):
        twin.library.load_plugin(text)


@pytest.mark.parametrize(
    ("given", "stored", "told"),
    [
        (None, Plugin("a.py", "12" * 32), "started with a.py of digest 12121212"),
        (Plugin("b.py", "34" * 32), None, "b.py: the run was started without"),
        (Plugin("a.py", "34" * 32), Plugin("a.py", "12" * 32), "is another than"),
    ],
)
def test_only_the_same_plugin_will_do(given: Any, stored: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        plugins.check_same(given, stored)


def test_the_name_of_the_file_does_not_matter() -> None:
    plugins.check_same(Plugin("a.py", "12" * 32), Plugin("b.py", "12" * 32))
    plugins.check_same(None, None)
