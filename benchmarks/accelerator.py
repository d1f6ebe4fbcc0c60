"""All that needs an accelerator: ``python -m benchmarks.accelerator --out DIR``.

In under ten minutes on a GPU: the tests that need one, the twins' parity there in every
precision, trainings by their command, and the races against the textbook loop, with
CUDA graphs and without. Needs no network. Writes ``accelerator.json`` and
``accelerator.md``, again and again, so that a run that is stopped has not been for
nothing. With ``--device cpu`` it is a rehearsal.
"""

import dataclasses
import importlib.metadata
import itertools
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from benchmarks import command_line, device_parity, race, report
from benchmarks.race import Effort, Entry
from benchmarks.train import describe_machine
from shared.config.choices import Precision
from shared.config.presets import PRESETS
from shared.files.atomic import write_atomically

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("torch", "jax", "flax", "optax", "numpy")
# Of the races; JAX takes half a minute to compile each.
_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("float32",),
    "cuda": ("tf32", "bfloat16"),
}
# A section that hangs must not take the others' time.
_SECONDS = {"tests": 240, "parity": 270, "compiling": 240, "training": 90}
_TWINS = ("torch", "jax")
# Steps that JAX compiles into one call, off the CPU.
_CALL = 10
# A batch of 512 at the published width takes 109 GiB in one piece.
_ACCUMULATE = {"r3gan-cifar10": 8}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and where to write it."""

    out: Path
    """Folder for accelerator.json and accelerator.md."""
    device: str = "cuda"
    """cuda, cuda:N, or cpu for a rehearsal."""
    cases: tuple[Literal["small", "dcgan-64", "gan-64", "wgan-gp-64"], ...] = (
        "dcgan-64",
        "wgan-gp-64",
        "small",
    )
    """Races to run."""
    minutes: float = 8.0
    """No training and no race is started later than this."""
    rounds: int = 3
    """Of each race, in which everyone has a turn."""
    seconds: float = 0.5
    """About how long each measurement of a race takes."""
    presets: tuple[str, ...] = (
        "dcgan-cifar10",
        "quick",
        "stylegan2-cifar10",
        "biggan-cifar10",
    )
    """Trainings, on the digits that come with scikit-learn."""
    images: int = 12_800
    """Real images that each training sees; 40 steps at the least."""
    at_once: int = max(1, (os.cpu_count() or 1) // 2)
    """Processes side by side where speed is not measured."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write both files as results come.

    Args:
        argv: the arguments; None: the process's.
    """
    names = ("accelerator.json", "accelerator.md")
    with command_line.run(Options, argv, "accelerator", __doc__, names) as options:
        numbers, page = (options.out / name for name in names)
        start = time.perf_counter()
        for results in measure(options):
            results["minutes"] = round((time.perf_counter() - start) / 60, 2)
            text = json.dumps(results, indent=1) + "\n"
            write_atomically(numbers, text.encode())
            write_atomically(page, render(results).encode())
        sys.stdout.write(f"written: {page}\n")


def measure(options: Options) -> Iterator[dict[str, Any]]:
    """The results so far, again and again, as `render` takes them.

    Raises:
        UsageError: there is no such device or preset, or numbers are of nothing.
    """
    command_line.check_known("presets", options.presets, PRESETS)
    command_line.check_above_0(options, "rounds", "images", "at_once")
    kind = options.device.partition(":")[0]
    start = time.perf_counter()
    results: dict[str, Any] = {
        "machine": describe_machine(options.device),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": options.device,
    }
    # First what is not timed, side by side: most of it compiles.
    with ThreadPoolExecutor(2 + max(1, options.at_once // 3)) as pool:
        parity = pool.submit(_compare_twins, options)
        tests = pool.submit(_run_tests)
        compiling = [  # for the training's start, which finds it then
            pool.submit(_train, preset, "jax", options, "compiling", steps=_CALL)
            for preset in options.presets
        ]
        results["parity"] = parity.result()
        results["tests"] = tests.result()
        for future in compiling:
            future.result()
    yield results
    results["training"] = []
    results["left_out"] = []
    late = start + 60 * options.minutes
    for preset, twin in itertools.product(options.presets, _TWINS):
        if time.perf_counter() > late:
            results["left_out"].append(f"training of {preset}, {twin}")
            continue
        results["training"].append(_train(preset, twin, options))
        yield results
    effort = Effort(options.rounds, options.seconds, 4096 if kind == "cuda" else 256)
    results["races"] = []
    # A textbook's convolutions use TF32 on a GPU unless they are told not to.
    entries = [Entry("textbook", "float32" if kind == "cpu" else "tf32")]
    for precision in _PRECISIONS[kind]:
        entries += [Entry("torch", precision), Entry("jax", precision)]
    if kind == "cuda":
        entries.append(Entry("torch-eager", "tf32"))
    for case in options.cases:
        if time.perf_counter() > late:
            results["left_out"].append(f"race of {case}")
            continue
        results["races"] += race.run_case(case, entries, options.device, effort)
        yield results
    yield results


def _run(section: str, *words: str) -> tuple[int | str, str]:
    """Exit status (or that time was up) and output of a command of ours."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # JAX would take three quarters of a GPU's memory, and others are there.
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        start_new_session=True,
    )
    try:
        text, error = process.communicate(timeout=_SECONDS[section])
    except subprocess.TimeoutExpired:
        # With the processes that it has started, which would disturb what comes next.
        os.killpg(process.pid, signal.SIGKILL)
        return f"not done after {_SECONDS[section]} s", process.communicate()[0]
    # What went wrong is worth more than what had been said before.
    return process.returncode, text + (error if process.returncode else "")


def _run_tests() -> dict[str, Any]:
    """The tests that need a GPU (elsewhere they are left out)."""
    words = ("-m", "pytest", "-q", "-n", "0", "tests/twins/test_graphs.py")
    status, text = _run("tests", *words)
    lines = text.strip().splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("FAILED")]
    summary = lines[-1] if lines else "no output"
    return {"status": status, "summary": summary, "failed": failed}


def _compare_twins(options: Options) -> dict[str, Any]:
    words = ("--device", options.device, "--jobs", str(options.at_once))
    status, text = _run("parity", "-m", "benchmarks.device_parity", *words)
    lines = text.splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    cases = list(device_parity.CASES)
    rows.sort(key=lambda row: cases.index(row["case"]))
    said = [line for line in lines if not line.startswith("{")]
    return {"status": status, "rows": rows, "said": " ".join(said[-3:])}


def _train(
    preset: str,
    twin: str,
    options: Options,
    section: str = "training",
    steps: int | None = None,
) -> dict[str, Any]:
    """A run by its command: seconds in all; rates and waiting of its second half."""
    config = PRESETS[preset]
    if steps is None:
        batch = config.batch_size * config.n_critic
        steps = max(options.images // batch // _CALL, 4) * _CALL
    precision = "float32" if options.device == "cpu" else "tf32"
    row = {"preset": preset, "twin": twin, "precision": precision, "steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        start = time.perf_counter()
        status, text = _run(
            section,
            *("-m", f"gans_{twin}.train", preset, "--dataset", "digits"),
            *("--device", options.device, "--precision", precision),
            *("--steps", str(steps), "--log-every", str(max(1, steps // 20))),
            *("--sample-every", str(steps)),  # which starts the clock again
            *("--accumulate", str(_ACCUMULATE.get(preset, 1))),
            *("--run-dir", str(run), "--data-dir", str(Path(folder) / "data")),
        )
        seconds = time.perf_counter() - start
        if status != 0:
            return row | {"status": status, "said": " ".join(text.splitlines()[-3:])}
        lines = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return row | {
        "status": 0,
        "seconds": round(seconds, 1),
        **second_half(records, config.images_per_step),
    }


def second_half(
    records: Sequence[dict[str, Any]], images_per_step: float
) -> dict[str, float]:
    """Images a second, and the share in which the device waits, without the start.

    Args:
        records: of a run that draws once, at its end: its rates are since its start.
        images_per_step: real images of each of its steps.
    """
    middle, last = records[len(records) // 2 - 1], records[-1]
    images, start, waited = _since_start(middle, images_per_step)
    all_images, end, all_waited = _since_start(last, images_per_step)
    return {
        "images_per_second": round((all_images - images) / (end - start), 1),
        "wait_share": round(max(0.0, (all_waited - waited) / (end - start)), 3),
    }


def _since_start(
    record: dict[str, Any], images_per_step: float
) -> tuple[float, float, float]:
    """Images, and seconds in all and without a call."""
    images = record["step"] * images_per_step
    seconds = images / record["images_per_second"]
    return images, seconds, seconds * record["wait_share"]


def render(results: dict[str, Any]) -> str:
    """The page, in Markdown."""
    versions = ", ".join(f"{k} {v}" for k, v in results["packages"].items())
    lines = [
        "# On an accelerator",
        "",
        f"Measured by `python -m benchmarks.accelerator` in {results['minutes']} min on"
        f" {results['machine']}; Python {results['python']}, {versions}.",
        "",
        "## Tests that need a GPU",
        "",
        f"`{_without_times(results['tests']['summary'])}`",
    ]
    if (status := results["tests"]["status"]) != 0:
        lines += ["", f"Status: {status}."]
    if failed := results["tests"]["failed"]:
        lines += ["", *(f"- {name}" for name in failed)]
    lines += ["", *_render_parity(results["parity"])]
    if results.get("training"):
        lines += ["", *_render_training(results["training"])]
    if results.get("races"):
        lines += ["", *_render_races(results)]
    if left_out := results.get("left_out"):
        lines += ["", f"Left out, for lack of time: {'; '.join(left_out)}."]
    return "\n".join(lines) + "\n"


def _without_times(summary: str) -> str:
    return re.sub(r"\s*in [\d.]+s.*", "", summary).strip("= ")


def _render_parity(parity: dict[str, Any]) -> Iterator[str]:
    yield "## The twins on the device"
    if parity["rows"]:
        yield ""
        yield from _render_differences(parity["rows"])
    if parity["status"] != 0:
        yield ""
        yield f"Incomplete: {parity['status']}. {parity['said']}".rstrip()


def _render_differences(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        "Ten steps of small networks on the device, against PyTorch in float64 on the"
        " CPU: the largest difference of any parameter, statistic or optimiser state,"
        " as a share of the largest number in it (or of 1, where that is less). A"
        " star: two runs on the device gave the same bytes."
    )
    yield ""
    found = {(row["precision"], row["twin"]) for row in rows}
    columns = [
        (precision, twin)
        for precision in device_parity.PRECISIONS["cuda"]
        for twin in _TWINS
        if (precision, twin) in found
    ]
    names = {"torch": "PyTorch", "jax": "JAX"}
    yield "| | " + " | ".join(f"{p}, {names[t]}" for p, t in columns) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for case in dict.fromkeys(row["case"] for row in rows):
        mine = {(r["precision"], r["twin"]): r for r in rows if r["case"] == case}
        cells = [_cell(mine.get(column)) for column in columns]
        yield f"| {case} | " + " | ".join(cells) + " |"
    for row in rows:
        if "failed" in row:
            yield ""
            name = f"{row['case']}, {row['precision']}, {names[row['twin']]}"
            yield f"{name}: {' '.join(row['failed'].split())[:300]}"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    if "failed" in row:
        return "failed"
    text = "NaN" if math.isnan(row["arrays"]) else f"{row['arrays']:.0e}"
    return text + (" *" if row["repeats"] else "")


def _render_training(training: list[dict[str, Any]]) -> Iterator[str]:
    yield "## Trainings"
    yield ""
    yield (
        "By their command, each with the device for itself, on small grey images scaled"
        " up to the preset's size; JAX takes its programs from a start before."
    )
    yield ""
    yield (
        "| preset | precision | | steps | seconds, start to end |"
        " images/s, second half | device waits |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in training:
        preset, twin, precision = row["preset"], row["twin"], row["precision"]
        start = f"| {preset} | {precision} | {twin} | {row['steps']} |"
        if row["status"] != 0:
            yield f"{start} {row['status']}: {row['said']} | | |"
            continue
        yield (
            f"{start} {row['seconds']} | {row['images_per_second']:,.0f} |"
            f" {row['wait_share']:.1%} |"
        )


def _render_races(results: dict[str, Any]) -> Iterator[str]:
    yield "## Races"
    yield ""
    yield (
        "Real images a second, data included, interleaved rounds, medians;"
        " `torch-eager` is the twin without CUDA graphs; the textbook loop is eager"
        " PyTorch with a DataLoader and `.item()` at every step. The share is of the"
        " matrix product that the same framework reaches in the same precision."
    )
    for case, rows in report.by_case(results["races"]).items():
        first = rows[0]["step_with_data"]["images_per_second"]["median"]
        yield ""
        yield f"### {case}"
        yield ""
        yield (
            "| | images/s | beside the textbook | step alone | share | memory, MB |"
            " compile, s |"
        )
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        for row in rows:
            rate = row["step_with_data"]["images_per_second"]["median"]
            memory = row["memory"]["device"] or row["memory"]["host"]
            yield (
                f"| {row['framework']} {row['precision']} | {rate:,.0f} |"
                f" {rate / first:.2f} |"
                f" {row['step']['images_per_second']['median']:,.0f} |"
                f" {row['share_of_matmul']['median']:.1%} | {memory / 1e6:,.0f} |"
                f" {row['compile_seconds']:.1f} |"
            )


if __name__ == "__main__":
    main()
