"""Reference results: ``python -m benchmarks.reference bands`` or ``... table``.

``bands`` writes shared/reference.json, with which ``train --check-reference`` compares.
``table`` trains presets with both twins and several seeds by the very commands that a
user would give, evaluates each run, and writes docs/reference_results.md from all runs
in its folder. Runs that were finished before are kept.
"""

import dataclasses
import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from tqdm import tqdm

from benchmarks.train import describe_machine
from shared import datasets, draws, initial, metrics, reference, schedules
from shared.presets import PRESETS

_ROOT = Path(__file__).parents[1]
_TWINS = ("torch", "jax")
# Those that need no download, in sizes that a CPU takes.
_SMALL = tuple(name for name, preset in PRESETS.items() if preset.image_size <= 32)
# `gan` differs from `dcgan` in its name alone.
_TABLE = tuple(name for name in _SMALL if name != "gan")
_RESULT = "reference.json"
_SHOWN = {
    "fid": "FID ↓",
    "coverage": "coverage ↑",
    "classes_hit": "classes hit ↑",
    "modes": "modes ↑",
    "high_quality": "high quality ↑",
}
_INTRODUCTION = """# Reference results

What the presets reach in both twins, after the same number of real images on a CPU, or
on points in the plane after the preset's own steps: mean over seeds ± half the 95%
interval of that mean. Written by `python -m benchmarks.reference table`; each row is
reproduced by its command below and an `evaluate` of that run. The budget is small, so
that anyone can repeat it: the numbers compare installations and twins, and say little
about how good a variant can become. A critic that sees five batches for each update of
G is at a disadvantage here; `gan` is `dcgan` by another name. Minutes include start-up,
sampling and checkpoints, with whatever else the machine was doing. The original
experiments at 64x64 (`gan-mnist`, `dcgan-cifar10`, `wgan-gp-mnist`, `cgan-mnist`) are
not here: at full length they take a CPU hours.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bands:
    """Where the metrics of each preset's first steps belong."""

    presets: tuple[str, ...] = _SMALL
    """Presets to renew; the others' bands are kept."""
    seeds: int = 5
    """Runs."""
    data_dir: Path = Path("data")
    """Folder of data sets."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """What the presets reach."""

    presets: tuple[str, ...] = _TABLE
    """Presets to train, each on the data set below, or on its own if it has points."""
    dataset: str = "digits"
    """Data set."""
    twins: tuple[Literal["torch", "jax"], ...] = _TWINS
    """Which twins."""
    seeds: int = 3
    """Runs of each twin."""
    images: int = 38_400
    """Real images that each run sees: the budget, the same for critics that take five
    batches a step. Presets of points train for their own steps."""
    runs: Path = Path("runs/reference")
    """Folder of the runs."""
    data_dir: Path = Path("data")
    """Folder of data sets."""
    page: Path = _ROOT / "docs" / "reference_results.md"
    """Page to write."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the file.

    Args:
        argv: the arguments; None: the process's.
    """
    options = tyro.cli(
        tyro.conf.OmitSubcommandPrefixes[Bands | Table],
        args=argv,
        prog="benchmarks.reference",
        description=__doc__,
    )
    if isinstance(options, Bands):
        write_bands(options)
    else:
        measure(options)
        options.page.write_text(render(options.runs), encoding="utf-8")


def write_bands(options: Bands) -> None:
    """Run the first steps of each preset, and renew its bands.

    Raises:
        RuntimeError: the JAX twin falls out of the bands of the PyTorch twin.
    """
    for name in (bar := tqdm(options.presets, unit="preset")):
        bar.set_postfix_str(name)
        runs = list(_first_means(name, "torch", options.seeds, options.data_dir))
        bands = {k: reference.make_band([run[k] for run in runs]) for k in runs[0]}
        # Equal seeds give nearly equal runs, so the other twin only has to fit.
        (other,) = _first_means(name, "jax", 1, options.data_dir)
        out = [k for k, band in bands.items() if not band.low <= other[k] <= band.high]
        if out or other.keys() != bands.keys():
            raise RuntimeError(f"{name}: JAX falls out of PyTorch's bands: {out}")
        path = reference.PATH
        stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
        known = stored.get("bands", {})
        known[name] = {
            metric: [float(f"{edge:.6g}") for edge in band]
            for metric, band in bands.items()
        }
        stored = {
            "steps": reference.STEPS,
            "bands": dict(sorted(known.items())),
        }
        path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def _first_means(
    preset: str, twin: str, seeds: int, data_dir: Path
) -> Iterator[dict[str, float]]:
    """The metrics' means over the first steps, for each seed."""
    config = PRESETS[preset]
    data = datasets.load(config.dataset, config.image_size, data_dir)
    module = importlib.import_module(f"gans_{twin}.backend")
    # One for all seeds, because JAX takes long to compile.
    backend = module.Backend(config, data.info, "cpu")
    backend.load_data(data)
    total = schedules.total_steps(config, data.info.count)
    for seed in range(seeds):
        seeded = dataclasses.replace(config, seed=seed)
        backend.load(initial.initial_arrays(backend.shapes(), seed))
        history: list[dict[str, Any]] = []
        for step in range(reference.STEPS):
            drawn = draws.draw(
                seeded,
                data.info.channels,
                data.info.count,
                total,
                range(step, step + 1),
            )
            history.append(backend.train(backend.prepare(drawn))())
        yield {
            name: float(np.mean([record[name] for record in history]))
            for name in sorted(history[0])
        }


def measure(options: Table) -> None:
    """Train and evaluate what the folder of runs does not hold yet."""
    for seed in range(options.seeds):
        for preset in options.presets:
            for twin in options.twins:
                _measure_one(options, preset, twin, seed)


def _measure_one(options: Table, preset: str, twin: str, seed: int) -> None:
    config = PRESETS[preset]
    points = config.dataset in datasets.POINTS
    dataset = config.dataset if points else options.dataset
    run = options.runs.resolve() / f"{preset}-{dataset}-{twin}-{seed}"
    result = run / _RESULT
    if result.exists():
        return
    sys.stderr.write(f"{run.name}\n")
    images_per_step = config.batch_size * config.n_critic
    # The presets of points state their length in steps.
    own = config.steps if points else None
    steps = own or options.images // images_per_step
    settings = [preset, "--dataset", dataset, "--steps", str(steps)]
    settings += ["--seed", str(seed)]
    if run.exists():  # It was interrupted, and its minutes would be wrong.
        shutil.rmtree(run)
    common = ["--data-dir", str(options.data_dir.resolve()), "--device", "cpu"]
    command = [sys.executable, "-m", f"gans_{twin}.train", *settings]
    start = time.perf_counter()
    _call([*command, "--run-dir", str(run), *common])
    minutes = (time.perf_counter() - start) / 60
    evaluate = [sys.executable, "-m", f"gans_{twin}.evaluate", str(run), *common]
    _call([*evaluate, "--draws", "1"])
    evaluation = json.loads(max(run.glob("evaluation-*.json")).read_text("utf-8"))
    found = {
        "preset": preset,
        "dataset": dataset,
        "twin": twin,
        "seed": seed,
        "steps": steps,
        "images_seen": steps * images_per_step,
        "minutes": round(minutes, 2),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "machine": describe_machine("cpu"),
        "command": shlex.join(["python", "-m", f"gans_{twin}.train", *settings]),
        "protocol": evaluation["protocol"],
        "scores": {k: score["value"] for k, score in evaluation["scores"].items()},
    }
    result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _call(command: list[str]) -> None:
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: {done.stderr[-2000:]}")


def render(runs: Path) -> str:
    """The documentation's page, from all finished runs in a folder."""
    found = [
        json.loads(p.read_text("utf-8")) for p in sorted(runs.glob(f"*/{_RESULT}"))
    ]
    lines = [_INTRODUCTION]
    for dataset in dict.fromkeys(row["dataset"] for row in found):
        rows = [row for row in found if row["dataset"] == dataset]
        protocol = "; ".join(f"{k}: {v}" for k, v in rows[0]["protocol"].items())
        names = [name for name in _SHOWN if name in rows[0]["scores"]]
        lines += [f"## {dataset}\n", f"{protocol}.\n"]
        head = ["preset", "twin", "seeds", *map(_SHOWN.get, names), "images", "minutes"]
        lines += [_line(head), _line(["---"] * len(head))]
        for preset in PRESETS:
            for twin in _TWINS:
                group = [r for r in rows if (r["preset"], r["twin"]) == (preset, twin)]
                if group:
                    lines.append(_line(_cells(group, names)))
        lines.append("")
    commands = [row["command"] for row in found if row["seed"] == 0]
    machines = sorted({f"{row['machine']}, {row['threads']} threads" for row in found})
    lines += ["## Commands\n", "```bash", *commands, "```\n"]
    lines += [f"Machine: {'; '.join(machines)}."]
    return "\n".join(lines) + "\n"


def _cells(group: list[dict[str, Any]], names: list[str]) -> list[str]:
    first = group[0]
    cells = [first["preset"], first["twin"], str(len(group))]
    for name in names:
        mean, reach = metrics.mean_interval([row["scores"][name] for row in group])
        places = 1 if name in ("classes_hit", "modes") else 3
        reach_text = "" if reach is None else f" ± {reach:.{places}f}"
        cells.append(f"{mean:.{places}f}{reach_text}")
    minutes = np.mean([row["minutes"] for row in group])
    return [*cells, f"{first['images_seen']:,}", f"{minutes:.1f}"]


def _line(cells: Sequence[str | None]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
