"""Kills trainings at random moments, resumes them, and compares with an unbroken run.

``python tests/faults/kills.py torch --chains 100``

A chain is one run that is killed (SIGKILL) again and again, and resumed each time,
until it is finished; then every file must be, byte for byte, what an unbroken run
leaves (but for how fast it was). Each process dies before one of its operations on a
file of the run, or some milliseconds after it: the operations are those that Python
announces to its audit hooks. So all kinds of moments are hit, and counted: while the
run starts, draws, saves, logs, trains on, and ends.

The processes are forks of one that has imported the framework and has used nothing of
it, which is as good as starting anew, and takes a moment.
"""

import argparse
import collections
import contextlib
import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 12
FLAGS = (
    *("cgan", "--image-size", "8", "--width", "2", "--z-dim", "3", "--batch-size", "8"),
    *("--log-every", "1", "--sample-every", "2", "--save-every", "3"),
    *("--ema-decay", "0.5", "--device", "cpu"),
)
MOMENTS = ("starting", "drawing", "saving", "logging", "training", "ending")

_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate")
_LATEST_SECONDS = 0.03
# As many as an unbroken run has.
_MOST_OPERATIONS = 137


class _Killer:
    """Ends this process at one of its operations on a run's files.

    Args:
        run: the run's folder.
        count: at which operation; never, if there are fewer.
        delay: how long after it, in seconds; 0: before it.
        reached: is told what the process was doing, before it dies.
    """

    def __init__(
        self, run: Path, count: int, delay: float, reached: Callable[[str], object]
    ) -> None:
        self._run = str(run)
        self._left = count
        self._delay = delay
        self._reached = reached
        self._logs = self._ends = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _OPERATIONS or not isinstance(arguments[0], str | os.PathLike):
            return
        path = os.fspath(arguments[0])
        if not path.startswith(self._run):
            return
        name = os.path.relpath(path, self._run)
        appends = event == "open" and arguments[2] & os.O_APPEND
        self._logs |= bool(name == "metrics.jsonl" and appends)
        self._left -= 1
        if self._left == 0:
            self._reached(self._moment(name))
            self._die()
        renames = event == "os.rename"
        self._ends |= renames and os.fspath(arguments[1]).endswith(
            f"{STEPS:06d}.safetensors"
        )

    def _die(self) -> None:
        if not self._delay:
            os.kill(os.getpid(), signal.SIGKILL)
        timer = threading.Timer(self._delay, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()

    def _moment(self, name: str) -> str:
        if self._ends:
            return "ending"
        if not self._logs:
            return "starting"
        if self._delay:
            return "training"
        if name.startswith("samples/"):
            return "drawing"
        if name.endswith(".jsonl"):
            return "logging"
        return "saving"


def _train(main: Callable[[list[str]], None], flags: list[str], killer: Any) -> int:
    """Train in a process of its own; returns its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        if killer is not None:
            sys.addaudithook(killer)
        with (
            open(os.devnull, "w") as nowhere,  # noqa: PTH123
            contextlib.redirect_stderr(nowhere),
        ):
            main(flags)
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        os._exit(status)
    raise AssertionError("the child is gone")


def contents(run: Path) -> dict[str, Any]:
    """Every file of a run, without what tells how fast it was."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if not path.is_file() or path.name.startswith(".") or name == "report.html":
            continue
        found[name] = path.read_bytes()
        if name == "metrics.jsonl":
            records = map(json.loads, found[name].splitlines())
            timed = ("images_per_second", "seconds", "wait_share")
            found[name] = [
                {k: v for k, v in record.items() if k not in timed}
                for record in records
            ]
    return found


def run_chain(
    main: Callable[[list[str]], None],
    run: Path,
    data_dir: Path,
    rng: random.Random,
    reached: collections.Counter[str],
) -> int:
    """One run, killed and resumed until it is finished; returns how often.

    Raises:
        RuntimeError: a process ended by itself, but not well.
    """
    fifo_read, fifo_write = os.pipe()
    for kills in itertools.count():
        where = ["--data-dir", str(data_dir)]
        flags = [*FLAGS, "--steps", str(STEPS), "--run-dir", str(run), *where]
        if (run / "config.json").exists():
            flags = ["--resume", str(run), "--device", "cpu", *where]
        delay = rng.choice((0.0, rng.uniform(0, _LATEST_SECONDS)))
        killer = _Killer(
            run,
            rng.randint(1, _MOST_OPERATIONS),
            delay,
            lambda moment: os.write(fifo_write, moment.encode() + b"\n"),
        )
        status = _train(main, flags, killer)
        if status == -signal.SIGKILL:
            moment = os.read(fifo_read, 100).decode().strip()
            reached[moment] += 1
            continue
        os.close(fifo_read)
        os.close(fifo_write)
        if status:
            raise RuntimeError(f"status {status}: {' '.join(flags)}")
        return kills
    raise AssertionError("count never ends")


def main(argv: list[str] | None = None) -> None:
    """Run chains, and print how many processes were killed at which moments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("twin", choices=("torch", "jax"))
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--kills", type=int, default=0, help="chains until so many")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    train = _imported(options.twin, root)
    _expect(_train(train, _unbroken(root), None) == 0, "the unbroken run failed")
    expected = contents(root / "unbroken")
    rng = random.Random(options.seed)
    reached: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    chains = kills = 0
    while chains < options.chains or kills < options.kills:
        run = root / f"chain-{chains}"
        kills += run_chain(train, run, root / "data", rng, reached)
        found = contents(run)
        wrong = [x for x in expected.keys() | found if expected.get(x) != found.get(x)]
        _expect(not wrong, f"{run}: differs in {', '.join(sorted(wrong))}")
        shutil.rmtree(run)
        chains += 1
    moments = ", ".join(f"{reached[moment]} {moment}" for moment in MOMENTS)
    seconds = time.monotonic() - start
    sys.stdout.write(
        f"{options.twin}: {chains} chains, {kills} kills ({moments}),"
        f" all byte-identical to the unbroken run; {seconds:.0f} s\n"
    )
    shutil.rmtree(root)


def _unbroken(root: Path) -> list[str]:
    run = ["--run-dir", str(root / "unbroken"), "--data-dir", str(root / "data")]
    return [*FLAGS, "--steps", str(STEPS), *run]


def _imported(twin: str, root: Path) -> Callable[[list[str]], None]:
    """The twin's ``train``; all that it imports is there, and unused."""
    from shared.training.threads import use_one_thread

    use_one_thread()
    for name in ("matplotlib.figure", "sklearn.datasets", "shared.commands.train"):
        importlib.import_module(name)
    if twin == "torch":
        # A first optimiser imports it, which takes longer than all of a run.
        importlib.import_module("torch._dynamo")
    else:
        import jax

        # Compiled once, by the unbroken run.
        jax.config.update("jax_compilation_cache_dir", str(root / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    importlib.import_module(f"gans_{twin}.backend")
    return importlib.import_module(f"gans_{twin}.train").main


def _expect(holds: bool, what: str) -> None:
    if not holds:
        sys.stdout.write(f"FAILED  {what}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
