"""One writer at a time, also where the file system has no locks."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import UsageError
from shared.files.locks import lock_folder


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks, as far as this process can tell."""

    def flock(file: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


def unheard(line: str) -> None:
    raise AssertionError(line)


def test_a_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            lock_folder(tmp_path, unheard),
            pytest.raises(UsageError, match="is being written by another process"),
        ):
            lock_folder(tmp_path, unheard)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_stands_for_one(tmp_path: Path) -> None:
    for _ in range(2):
        said: list[str] = []
        with lock_folder(tmp_path, said.append):
            assert said == [
                f"{tmp_path}: the file system has no locks; .lock.held keeps other"
                " processes out"
            ]
            holder = f"process {os.getpid()} on .*, says .*/.lock.held; remove it if"
            with pytest.raises(UsageError, match=holder):
                lock_folder(tmp_path, said.append)
        assert not (tmp_path / ".lock.held").exists()


@pytest.mark.usefixtures("no_locks")
def test_what_a_killed_process_has_left_is_taken_over_on_its_own_host(
    tmp_path: Path,
) -> None:
    mark = tmp_path / ".lock.held"
    program = (
        "import sys, filelock, os;"
        "held = filelock.SoftFileLock(sys.argv[1]).acquire(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(mark)], check=True)
    number, host, *rest = mark.read_text().split()
    mark.write_text("\n".join([number, "elsewhere", *rest]) + "\n")
    with pytest.raises(UsageError, match=f"by process {number} on elsewhere, says"):
        lock_folder(tmp_path, lambda line: None)
    mark.write_text("\n".join([number, host, *rest]) + "\n")
    with lock_folder(tmp_path, lambda line: None):
        assert mark.read_text().split()[0] == str(os.getpid())


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: cannot be written: "):
        lock_folder(tmp_path / "file", unheard)
