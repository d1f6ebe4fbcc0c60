"""What is said is dropped where it cannot be written, and nothing else is."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared import terminal

# A command, without anything heavy.
COMMAND = """
import os, sys
from shared.commands.process import run_command
from shared import terminal
with run_command("prog", None):
    terminal.keep_unsaid({folder!r} and __import__("pathlib").Path({folder!r}))
    {body}
"""


def _run(
    body: str, redirection: str, folder: Path, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    """Run a command by a shell, which redirects its streams."""
    script = COMMAND.format(folder=str(folder), body=body)
    return subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {redirection}', sys.executable, script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    "redirection", ["2>&-", ">&- 2>&- <&-", "2>/dev/full", "2> >(true)"]
)
def test_what_stderr_does_not_take_is_in_the_folder(
    redirection: str, tmp_path: Path
) -> None:
    body = 'terminal.say("a line"); print("x")'
    if ">(" in redirection:  # until its reader is gone
        body = f"import select; p = select.poll(); p.register(2, 0); p.poll(); {body}"
    result = _run(body, redirection, tmp_path)
    assert (result.returncode, result.stderr) == (0, b"")
    assert (tmp_path / terminal.UNSAID).read_text() == "a line\n"


def test_what_is_said_is_not_in_the_folder(tmp_path: Path) -> None:
    result = _run('terminal.say("a line")', "", tmp_path)
    assert (result.returncode, result.stderr) == (0, b"a line\n")
    assert not list(tmp_path.iterdir())


def test_no_file_gets_the_number_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    body = f'f = open({str(file)!r}, "w"); os.write(2, b"x"); os.write(1, b"x")'
    assert _run(body, ">&- 2>&- <&-", tmp_path).returncode == 0
    assert file.read_bytes() == b""


@pytest.mark.parametrize("option", ["", "-u"])
def test_results_that_cannot_be_written_are_an_error_in_one_line(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", option)
    result = _run('print("x" * 10)', "> /dev/full", tmp_path)
    assert result.returncode == 1
    reason = b"No space left on device"
    assert result.stderr == b"prog: error: stdout: cannot be written: %s\n" % reason


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_characters_that_are_missing_are_replaced(
    encoding: str, tmp_path: Path
) -> None:
    text = "FID ↓ 1 ± 2 é 図"
    body = f"print({text!r}); terminal.say({text!r})"
    result = _run(body, "", tmp_path, encoding)
    shown = {
        "ascii": b"FID v 1 +- 2 ? ?\n",
        "cp1252": b"FID v 1 \xb1 2 \xe9 ?\n",
        "utf-8": text.encode() + b"\n",
    }[encoding]
    assert (result.returncode, result.stdout, result.stderr) == (0, shown, shown)


def test_a_pipe_that_is_not_read_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    stream = terminal.Stderr(writer, "utf-8")
    start = time.monotonic()
    for _ in range(200):
        stream.write("x" * 1000)
    assert stream.is_lost
    # One that is merely slow gets a second once, and not for each text.
    assert time.monotonic() - start < 100
    # Once it is read, what is said comes through again.
    while len(os.read(reader, 2**20)) == 2**20:
        pass
    stream.write("y")
    assert not stream.is_lost
    os.close(reader)
    stream.write("z")
    assert stream.is_lost
    os.close(writer)


def test_a_library_with_no_stderr_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    terminal.say("x")
    assert not terminal.is_watched()
    assert list(terminal.bar([1, 2])) == [1, 2]
