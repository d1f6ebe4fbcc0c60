"""How long a user waits for the first sign of life, measured on the real commands."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared.config.presets import PRESETS
from shared.data import datasets

_ROOT = Path(__file__).parents[1]
_POLL_SECONDS = 0.01
_REPEATS = 3


def measure(framework: str, device: str, data_dir: Path) -> dict[str, float]:
    """Seconds to the help text, to a refusal, to the first sample and to the end.

    Each is the median of three; the data are cached beforehand.

    Args:
        framework: ``torch`` or ``jax``.
        device: for the training command.
        data_dir: folder that caches the data set (digits, which needs no download).
    """
    config = PRESETS["dcgan"]
    datasets.load(config.dataset, config.image_size, data_dir)
    found = [_measure_once(framework, device, data_dir) for _ in range(_REPEATS)]
    return {name: statistics.median(once[name] for once in found) for name in found[0]}


def _measure_once(framework: str, device: str, data_dir: Path) -> dict[str, float]:
    program = [sys.executable, "-m", f"gans_{framework}.train"]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        # A first start, each time.
        flags = ["--steps", "1", "--device", device, "--no-compile-cache"]
        flags += ["--run-dir", str(run)]
        start = time.perf_counter()
        training = subprocess.Popen(
            [*program, *flags, "--data-dir", str(data_dir)],
            cwd=_ROOT,
            stderr=subprocess.DEVNULL,
        )
        first_sample = None
        while training.poll() is None:
            if first_sample is None and any((run / "samples").glob("*.png")):
                first_sample = time.perf_counter() - start
            time.sleep(_POLL_SECONDS)
        if training.returncode or first_sample is None:
            raise RuntimeError(f"{program} ended with status {training.returncode}")
        end = time.perf_counter() - start
        return {
            "help_seconds": _seconds([*program, "--help"]),
            "refusal_seconds": _seconds([*program, "--steps", "x"]),
            "first_sample_seconds": first_sample,
            "one_step_run_seconds": end,
        }


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=_ROOT, capture_output=True, check=False)
    return time.perf_counter() - start
