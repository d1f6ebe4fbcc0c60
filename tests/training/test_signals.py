"""Signals: save and stop while training, end at once before and after it."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.run.run_dir import RunDir
from support import PATIENCE, TINY, Twin

ROOT = Path(__file__).parents[2]
ASKING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")


@pytest.fixture(autouse=True)
def terminal_may_close() -> Iterator[None]:
    """Programs started from here hear SIGHUP, though ``nohup`` runs the tests."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


# Without anything heavy: what a command does at each stage.
STAGES = """
import gc, os, signal, sys, time
from shared.training import signals

number, stage = signal.Signals[sys.argv[1]], sys.argv[2]
signals.end_at_once()
signals.say_at_last("last words")


def ask():
    os.kill(os.getpid(), number)
    for _ in range(1000):
        time.sleep(0.001)


if stage == "start":
    ask()
elif stage == "hook":
    # From where no exception comes out.
    gc.callbacks.append(lambda *_: ask())
    gc.collect()
elif stage == "data":
    with signals.tidily():
        try:
            ask()
        finally:
            print("tidied")
elif stage == "lost":
    with signals.tidily():
        try:
            ask()
        except SystemExit:
            pass
elif stage == "training":
    with signals.Signals() as stop:
        ask()
        print(stop.received == number)
elif stage == "again":
    with signals.Signals():
        ask()
        ask()
print("end")
"""


def _ask(name: str, stage: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STAGES, name, stage],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("name", ASKING)
def test_each_signal_saves_while_training(name: str) -> None:
    result = _ask(name, "training")
    assert (result.returncode, result.stdout) == (0, "True\nend\n")
    assert result.stderr == "\nsaving, after this step; again: stop without saving\n"


@pytest.mark.parametrize(
    ("stage", "told", "said"),
    [
        ("start", "", "last words\n"),
        ("hook", "", "last words\n"),
        ("data", "tidied\n", ""),
        ("lost", "", ""),
        (
            "again",
            "",
            "\nsaving, after this step; again: stop without saving\nlast words\n",
        ),
    ],
)
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_where_nothing_is_to_be_saved_the_process_ends(
    name: str, stage: str, told: str, said: str
) -> None:
    result = _ask(name, stage)
    assert result.returncode == 128 + signal.Signals[name]
    assert (result.stdout, result.stderr) == (told, said)


def test_nohup_is_heeded() -> None:
    script = f"trap '' HUP; exec {sys.executable} -c '{STAGES}' SIGHUP training"
    result = subprocess.run(
        ["bash", "-c", script.replace("'{STAGES}'", '"$0"'), STAGES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "False\nend\n")


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_still_interrupts_a_program_that_imports_a_twin(
    twin: Twin, tmp_path: Path
) -> None:
    program = tmp_path / "theirs"
    program.mkdir()
    (program / "__init__.py").write_text(f"import gans_{twin.name}._own_shared")
    code = "import signal\nsignal.raise_signal(signal.SIGINT)"
    (program / "__main__.py").write_text(code)
    result = subprocess.run(
        [sys.executable, "-m", "theirs"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.endswith("\nKeyboardInterrupt\n")


def test_a_terminal_that_closes_saves_the_run(
    twin: Twin, data_dir: Path, tmp_path: Path
) -> None:
    """As behind ``tee``, which the same Ctrl-C has ended before a line comes."""
    flags = (*TINY, "--steps", 1000000, "--save-every", 1000000)
    places = ("--run-dir", tmp_path / "run", "--data-dir", data_dir)
    command = twin.command("train", *flags, *places)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith(b"step "):
            assert process.poll() is None
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        try:
            assert process.wait(PATIENCE) == 128 + signal.SIGHUP
        finally:
            process.kill()
    (step,) = RunDir.open(tmp_path / "run").checkpoint_steps()
    unsaid = (tmp_path / "run" / "messages.txt").read_text()
    assert f"stopped after {step} of 1000000 steps; continue with:" in unsaid
    assert "--resume" in unsaid.splitlines()[-1]


def _handles(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether it has a handler of this signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_at_any_moment_of_the_start_ends_it(
    twin: Twin, data_dir: Path, tmp_path: Path
) -> None:
    rng = random.Random(twin.name)
    for number in range(2):
        run = tmp_path / str(number)
        flags = (*TINY, "--steps", 1000000, "--run-dir", run, "--data-dir", data_dir)
        command = twin.command("train", *flags)
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            # Until then it is Python's, or our first lines': see below.
            while not _handles(process, signal.SIGTERM):
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 3.0))
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, log
        assert b"Traceback" not in log


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_shows_no_traceback_before_there_is_a_handler(
    twin: Twin, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "def hook(event, words):\n"
        "    if event == 'import' and words[0] == 'shared.commands.process':\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "sys.addaudithook(hook)\n"
    )
    result = subprocess.run(
        twin.command("train"),
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (-signal.SIGINT, "")
