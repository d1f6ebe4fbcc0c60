"""Power that fails at any moment, and disks that fail at any call: nothing is lost.

A tiny training is watched from below. ``--every-moment`` tries every prefix of what it
does to the disk, with more of what a loss of power may leave, and every call that may
fail; without it, a few of each are tried. See docs/reliability.md.
"""

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults.disk import Disk, Operation, State, Watch, make
from shared.run.run_dir import RunDir
from shared.training import driver, recorder
from shared.training.loop import Training
from support import TINY, Train, Twin, metrics, untimed_contents

# With checkpoints that go when newer ones come, grids between them and after the last
# one, and scores.
FLAGS = (
    *TINY,
    *("--steps", "10", "--save-every", "1", "--sample-every", "4", "--keep", "1"),
    *("--evaluate-every", "4"),
)


class Watched(NamedTuple):
    """A training that ended well, and what it did to the disk."""

    run: Path
    log: list[Operation]

    def outcome(self) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        return metrics(self.run), untimed_contents(self.run)


class AlreadyProvenError(Exception):
    """Training goes on from a state from which it has gone on before."""


@pytest.fixture(scope="module")
def every_moment(request: pytest.FixtureRequest) -> bool:
    return request.config.getoption("--every-moment")


@pytest.fixture(scope="module", autouse=True)
def cheap_scores() -> Iterator[None]:
    """What is tested is what becomes of scores; making them takes long."""

    def make_evaluation(session: Any, options: Any) -> Callable[[], dict[str, float]]:
        return lambda: {"fid": abs(session.step - 5.0)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_make_evaluation", make_evaluation)
        yield


def train_watched(train: Train, watch: Watch) -> None:
    save = recorder.FolderRecorder.save

    def save_and_tell(self: Any, state: Any) -> None:
        save(self, state)
        watch.saved(RunDir(self.path).checkpoint_path(state.step))

    with pytest.MonkeyPatch.context() as patch, watch.watching():
        patch.setattr(recorder.FolderRecorder, "save", save_and_tell)
        train(*FLAGS, "--run-dir", watch.folder / "run")


@pytest.fixture(scope="module")
def watched(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    watch = Watch(folder)
    train_watched(train, watch)
    return Watched(folder / "run", watch.log)


def test_what_is_watched_is_all_that_is_written(watched: Watched) -> None:
    disk = Disk(watched.run.parent)
    for operation in watched.log:
        if operation.kind != "saved":
            disk.do(operation)
    state = disk.whole()
    files = {path: path.read_bytes() for path in watched.run.rglob("*.*")}
    del files[watched.run / ".lock"]
    assert {path: x for path, x in state.items() if x is not None} == files
    # When a run has ended, all of it is on the disk.
    assert list(disk.after_power_loss()) == [state] * 8
    assert RunDir(watched.run).checkpoint_steps() == [2, 4, 6, 8, 10]


def after_each_prefix(
    watched: Watched, draws: int
) -> Iterator[tuple[int, Path | None, list[State]]]:
    """Number of operations, the last checkpoint that was called saved, what is left."""
    disk, saved = Disk(watched.run.parent), None
    for number, operation in enumerate(watched.log):
        if operation.kind == "saved":
            saved = operation.path
            continue
        disk.do(operation)
        states = [disk.whole(), *disk.after_power_loss(draws, seed=number)]
        yield number, saved, states


def digest(state: State, root: Path) -> str:
    """Of all that decides how a run goes on; a page does not."""
    found = hashlib.sha256()
    for path, content in sorted(state.items()):
        if path.name != "report.html":
            found.update(repr((path.relative_to(root), content)).encode())
    return found.hexdigest()


def state_of(folder: Path) -> State:
    paths = [path for path in folder.rglob("*") if path.name != ".lock"]
    return {path: None if path.is_dir() else path.read_bytes() for path in paths}


class Prover:
    """Has runs go on, and compares what they end with."""

    def __init__(self, train: Train, watched: Watched) -> None:
        self._train = train
        self._expected = watched.outcome()
        self._proven: set[str] = set()
        self.trained = 0

    def prove(self, run: Path) -> None:
        """Have a run that was cut off go on, or start where none had started."""
        go_on = Training.run_to_end

        def once(training: Training, stop: Any) -> int | None:
            key = digest(state_of(run), run)
            if key in self._proven:
                raise AlreadyProvenError
            self.trained += 1
            result = go_on(training, stop)
            self._proven.add(key)
            return result

        resumes = (run / "config.json").exists()
        words = ("--resume", run) if resumes else (*FLAGS, "--run-dir", run)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "run_to_end", once)
            try:
                self._train(*words, "--device", "cpu")
            except AlreadyProvenError:
                return
        assert metrics(run) == self._expected[0]
        assert untimed_contents(run) == self._expected[1]


def test_after_any_loss_of_power_a_run_ends_as_if_nothing_had_been(
    watched: Watched,
    train: Train,
    every_moment: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prover = Prover(train, watched)
    root, seen, count = watched.run.parent, set(), itertools.count()
    moments = list(after_each_prefix(watched, draws=3 if every_moment else 0))
    # Of each kind of moment some, wherever they fall.
    step = 1 if every_moment else 19
    for number, saved, states in moments[::step]:
        for state in states:
            if (key := digest(state, root)) in seen:
                continue
            seen.add(key)
            folder = tmp_path / str(next(count))
            folder.mkdir()
            make(state, root, folder)
            run = folder / "run"
            if saved is not None:
                later = [
                    path
                    for path in state
                    if path.suffix == ".safetensors" and path.stem >= saved.stem
                ]
                assert later, f"after operation {number}, {saved.name} is lost"
            prover.prove(run)
            told = capsys.readouterr().err
            assert "missing" not in told, f"after operation {number}: {told}"
            shutil.rmtree(folder)
    with capsys.disabled():
        if every_moment:
            print(  # noqa: T201
                f"\n{len(moments)} prefixes, {len(seen)} states, from which"
                f" {prover.trained} different trainings went on"
            )


def full(operation: Operation) -> None:
    """There is no space left, from here on."""
    if operation.kind in ("create", "write", "mkdir"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(operation.path))


def broken(operation: Operation) -> None:
    """The disk does not do this."""
    raise OSError(errno.EIO, os.strerror(errno.EIO), str(operation.path))


class Fault:
    """Fails a call, by its number."""

    def __init__(self, number: int, kind: str) -> None:
        self._left = number
        self._kind = kind
        self.hit: Operation | None = None

    def __call__(self, operation: Operation) -> int | None:
        self._left -= 1
        if self._left > 0:
            return None
        if self.hit is None:
            self.hit = operation
            if self._kind == "half, then full" and operation.kind == "write":
                return len(operation.content) // 2
        elif self._kind == "broken":
            return None  # once
        (broken if self._kind == "broken" else full)(operation)
        return None


@pytest.mark.parametrize("kind", ["full", "half, then full", "broken"])
def test_a_fault_at_any_call_is_one_line_and_nothing_is_lost(
    kind: str,
    watched: Watched,
    train: Train,
    twin: Twin,
    every_moment: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prover = Prover(train, watched)
    calls = sum(operation.kind != "saved" for operation in watched.log)
    lines: set[str] = set()
    for number in range(1, calls + 1, 1 if every_moment else calls // 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        fault = Fault(number, kind)
        status = 0
        try:
            train_watched(train, Watch(folder, fault))
        except SystemExit as stop:
            status = stop.code
        *_, line = capsys.readouterr().err.splitlines()
        where = f"call {number}: {fault.hit}"
        if status == 0:
            # Nothing that needs space came any more.
            assert number > calls - 10, where
        else:
            assert status in (1, 2), where
            assert line.startswith(f"gans_{twin.name}.train: "), where
            assert str(folder / "run") in line, where
            lines.add(line.replace(str(folder), ""))
        saved = RunDir(folder / "run").checkpoint_steps()
        prover.prove(folder / "run")
        told = capsys.readouterr().err
        assert "missing" not in told, where
        assert "removed" not in told or not saved, where
        shutil.rmtree(folder)
    assert lines
    if every_moment:
        with capsys.disabled():
            print(f"\n{kind}: {calls} calls, {len(lines)} different lines")  # noqa: T201


def test_short_writes_change_nothing(
    watched: Watched, train: Train, tmp_path: Path
) -> None:
    def short(operation: Operation) -> int | None:
        is_long = operation.kind == "write" and len(operation.content) > 1
        return len(operation.content) // 2 if is_long else None

    watch = Watch(tmp_path, short)
    train_watched(train, watch)
    assert len(watch.log) > 2 * len(watched.log)
    ours = Watched(tmp_path / "run", watch.log)
    assert ours.outcome() == watched.outcome()
