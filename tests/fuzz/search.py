"""Many inputs for each reader: ``python tests/fuzz/search.py [COUNT] [SEED] [READER]``.

Coverage-guided: an input that has the readers' code run lines that none before it had
joins those that later ones are made from. Whatever ends otherwise than well or in a
`UsageError` of one line, takes more than five seconds or more than a gigabyte is
printed, kept below ``fuzz-failures/``, and makes the exit status 1.
"""

import pickle
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fuzz.readers import READERS, Reader, try_input  # noqa: E402

_SECONDS = 5
_BYTES = 2**30
_SHARED = str(ROOT / "shared")
_KEPT = Path("fuzz-failures")


class Lines:
    """The lines of ``shared/`` that have run so far."""

    def __init__(self) -> None:
        self._seen: set[tuple[Any, int]] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def trace(self, frame: FrameType, event: str, argument: object) -> Any:
        """For `sys.settrace`; frames elsewhere are left alone."""
        if not frame.f_code.co_filename.startswith(_SHARED):
            return None
        code, seen = frame.f_code, self._seen

        def line(frame: FrameType, event: str, argument: object) -> Any:
            seen.add((code, frame.f_lineno))
            return line

        return line


class Fuzzer:
    """One reader, and the inputs that have shown something new."""

    def __init__(self, name: str, rng: random.Random, folder: Path) -> None:
        self.name = name
        self.refused: Counter[str] = Counter()
        self.accepted = 0
        self.failures = 0
        self.slowest = 0.0
        self._reader: Reader = READERS[name]
        self._rng = rng
        self._folder = folder
        self._lines = Lines()
        self._corpus = self._reader.seeds()
        for seed in self._corpus:
            self._try(seed)

    def run(self, count: int) -> None:
        """Try so many inputs."""
        for _ in range(count):
            rng = self._rng
            case = rng.choice(
                self._corpus[-100:] if rng.random() < 0.5 else self._corpus
            )
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                case = self._reader.mutate(rng, case)
            before = len(self._lines)
            self._try(case)
            if len(self._lines) > before:
                self._corpus.append(case)

    def report(self) -> str:
        """What came of it, in a line."""
        refused = sum(self.refused.values())
        return (
            f"{self.name}: {self.accepted + refused + self.failures} inputs,"
            f" {self.accepted} read, {refused} refused in {len(self.refused)} ways,"
            f" {self.failures} failures; {len(self._lines)} lines,"
            f" {len(self._corpus)} kept inputs, slowest {self.slowest:.2f} s"
        )

    def _try(self, case: Any) -> None:
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        sys.settrace(self._lines.trace)
        try:
            message = try_input(self._reader, case, self._folder)
        except BaseException as error:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if isinstance(error, KeyboardInterrupt):
                raise
            self._fail(case)
        else:
            if message is None:
                self.accepted += 1
            else:
                kind = "".join(x for x in message if not x.isdigit())
                self.refused[kind.rpartition("/")[2][:40]] += 1
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, time.perf_counter() - start)

    def _fail(self, case: Any) -> None:
        self.failures += 1
        if self.failures > 20:
            return
        _KEPT.mkdir(exist_ok=True)
        path = _KEPT / f"{self.name}-{self.failures}.pickle"
        path.write_bytes(pickle.dumps(case))
        lines = [str(path), *traceback.format_exc(limit=-4).splitlines()]
        sys.stdout.write("".join(f"{line[:200]}\n" for line in lines))


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"no answer in {_SECONDS} seconds")


def main(count: int = 100_000, seed: int = 0, only: str = "") -> int:
    """Try so many inputs, an equal share by each reader; returns the exit status."""
    signal.signal(signal.SIGALRM, _too_slow)
    used = int(Path("/proc/self/statm").read_text().split()[0])
    limit = used * resource.getpagesize() + _BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    names = [name for name in READERS if only in name]
    failures = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            fuzzer = Fuzzer(name, random.Random(f"{seed} {name}"), Path(folder))
            fuzzer.run(count // len(names))
        sys.stdout.write(fuzzer.report() + "\n")
        sys.stdout.flush()
        failures += fuzzer.failures
    return int(failures > 0)


if __name__ == "__main__":
    number, start, *name = [*sys.argv[1:], *("100000", "0")[len(sys.argv) - 1 :]][:3]
    sys.exit(main(int(number), int(start), *name))
