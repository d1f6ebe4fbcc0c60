"""What is installed besides modules: scripts, their version, and what they refuse."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

import shared
from shared.commands import program
from shared.commands.process import run_command
from support import Twin, stopped

ROOT = Path(__file__).parents[2]


def _run(arguments: Sequence[str], at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=at,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module",
    [
        *("gans_torch", "gans_torch.train", "gans_torch.compare", "gans_jax.sample"),
        "gans_torch.data",
        *("gans_jax", "parity_tests", "benchmarks.train"),
    ],
)
@pytest.mark.parametrize("name", ["shared.py", "shared/__init__.py"])
def test_a_checkout_whose_shared_is_hidden_says_so(
    module: str, name: str, tmp_path: Path
) -> None:
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_text("")
    result = _run(["-m", module, "--help"], tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    theirs = other if name == "shared.py" else other.parent
    assert re.fullmatch(
        rf"gans_\w+: error: {theirs} hides {ROOT / 'shared'}: .+\n", result.stderr
    )


def test_an_import_beside_another_shared_raises(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("")
    code = "try: import gans_torch\nexcept ImportError as error: print(error)"
    assert " hides " in _run(["-c", code], tmp_path).stdout


def test_a_missing_framework_is_one_line_with_its_extra(
    twin: Twin, tmp_path: Path
) -> None:
    package = {"torch": "torch", "jax": "jax"}[twin.name]
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from gans_{twin.name} import train; train.main([])"
    )
    result = _run(["-c", code], tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        f"gans_{twin.name}.train: error: {package} is not installed;"
        f' pip install "gans-twins[{twin.name}]" brings it\n'
    )


def test_any_other_missing_module_is_a_fault_of_ours() -> None:
    from shared.commands.process import run_command

    with pytest.raises(ModuleNotFoundError), run_command("gans_torch.train"):
        raise ModuleNotFoundError("no", name="shared.nothing")


@pytest.mark.parametrize(
    "command", ["", "train", "sample", "evaluate", "export", "data", "compare"]
)
def test_every_command_says_its_version(
    command: str, twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(0, lambda: twin.main(command or "__main__")(["--version"]))
    said = capsys.readouterr().out
    assert said.startswith(f"gans-twins {shared.__version__}, Python 3.")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "module",
    [
        "parity_tests",
        *(
            f"benchmarks.{x}"
            for x in ("train", "reference", "accelerator", "device_parity")
        ),
    ],
)
def test_other_commands_say_it_too(module: str) -> None:
    result = _run(["-m", module, "--version"], ROOT)
    assert result.stdout.startswith(f"gans-twins {shared.__version__}")


def test_a_script_calls_the_command_of_that_name(
    twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    main = twin.main("__main__")
    stopped(0, lambda: main(["sample", "--help"]))
    assert f"gans_{twin.name}.sample" in capsys.readouterr().out
    stopped(2, lambda: main(["train", "--steps", "x"]))
    assert f"gans_{twin.name}.train: error: --steps x" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_a_script_says_which_commands_there_are(
    words: list[str], twin: Twin, capsys: pytest.CaptureFixture[str]
) -> None:
    twin.main("__main__")(words)
    said = capsys.readouterr().out
    assert said.startswith(f"usage: gans-{twin.name} COMMAND")
    commands = ("train", "sample", "evaluate", "export", "data", "compare")
    for command in (*commands, "completion"):
        assert f"\n  {command} " in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["samples"], "did you mean sample?"),
        (["compile"], "completion; for JAX there is python -m gans_jax.compile"),
        (["__init__"], "command '__init__': must be one of train, sample, "),
        (["completion"], "completion: name a shell, bash or zsh"),
        (["completion", "fish"], "completion: name a shell, bash or zsh"),
    ],
)
def test_a_script_refuses_in_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def call() -> None:
        with run_command("gans-torch"):
            program.run_program("gans-torch", "gans_torch", words)

    stopped(2, call)
    printed = capsys.readouterr().err
    assert printed.startswith("gans-torch: error: ")
    assert said in printed
    assert printed.count("\n") == 1


def test_a_folder_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call() -> None:
        with run_command("gans_torch.train"):
            raise AssertionError("nothing is begun")

    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    stopped(2, call)
    assert capsys.readouterr().err == (
        "gans_torch.train: error: the current folder is gone: cd to another\n"
    )


def _completion(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        program.run_program("gans-jax", "gans_jax", ["completion", shell])
    assert not done.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tr", ["train"]),
        ("train --obj", ["--objective"]),
        ("train --objective hi", ["hinge"]),
        ("train wgan-gp --n-cr", ["--n-critic"]),
        ("sample run --inter", ["--interpolate"]),
    ],
)
def test_bash_completes_words(
    typed: str, offered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    script = _completion("bash", capsys)
    words = ["gans-jax", *typed.split(" ")]
    script += (
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE='{' '.join(words)}'; COMP_POINT=${{#COMP_LINE}}\n"
        f'_tyro_gans_jax gans-jax {words[-1]}; echo "${{COMPREPLY[@]}}"\n'
    )
    result = subprocess.run(
        ["bash"], input=script, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == offered


def test_zsh_is_told_something_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert _completion("zsh", capsys).startswith("#compdef gans-jax")


def test_the_extras_bring_one_framework_or_both() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w-]", one)[0] for one in requirements}

    frameworks = {"torch", "torchvision", "jax", "flax", "optax"}
    assert names(project["dependencies"]) & frameworks == set()
    assert names(extras["torch"]) == {"torch", "torchvision"}
    assert names(extras["jax"]) == {"jax", "flax", "optax"}
    # Beside both, what the proof needs.
    assert extras["all"] == ["gans-twins[torch,jax]", "flatbuffers>=25"]
    assert "gans-twins[all,docs]" in extras["dev"]


@pytest.mark.parametrize("twin_name", ["torch", "jax"])
def test_what_ci_installs_for_one_twin(twin_name: str) -> None:
    command = [sys.executable, ".ci/requirements.py", twin_name]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = {re.split(r"[^\w-]", line)[0] for line in listed.splitlines()}
    other = {"torch": {"jax", "flax", "optax"}}.get(
        twin_name, {"torch", "torchvision", "torch-fidelity", "torchmetrics"}
    )
    assert names & other == set()
    assert {twin_name, "numpy", "pytest"} <= names
    assert "gans-twins" not in names


def test_the_citation_names_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f'\nversion: "{shared.__version__}"\n' in citation


def test_the_lock_has_hashes_and_public_places_only() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    for package in lock["package"]:
        if package["name"] == "gans-twins":
            continue
        assert package["source"] == {"registry": "https://pypi.org/simple"}
        files = [*package.get("wheels", []), package.get("sdist")]
        for file in filter(None, files):
            assert file["url"].startswith("https://files.pythonhosted.org/")
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"])
