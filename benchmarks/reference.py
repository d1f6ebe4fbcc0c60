"""Reference results: ``python -m benchmarks.reference bands`` or ``... table``.

``bands`` writes shared/diagnosis/reference.json, with which ``train
--check-reference`` compares.
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

from benchmarks import command_line
from benchmarks.train import describe_machine
from shared.config.choices import POINTS
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.diagnosis import reference_check
from shared.evaluation import metrics
from shared.quantities import QUANTITIES
from shared.training.session import Session

_ROOT = Path(__file__).parents[1]
_TWINS = ("torch", "jax")
# Those that need no download, in sizes that a CPU takes.
_SMALL = tuple(
    name for name, preset in PRESETS.items() if preset.dataset in ("digits", *POINTS)
)
# `gan` differs from `dcgan` in its name alone.
_TABLE = tuple(name for name in _SMALL if name != "gan")
# One run as it is, and some with ten times the error that float32 makes anywhere.
_JITTER = (0.0, *(1e-5,) * 8)
_RESULT = "reference.json"
_ONE_DRAW = ("--draws", "1")
_SHOWN = ("fid", "coverage", "classes_hit", "modes", "high_quality")
_INTRODUCTION = """# Reference results

What the presets reach in both twins, after the same number of real images on a CPU, or
on points in the plane after the preset's own steps: mean over seeds ± half the 95%
interval of that mean. Written by `python -m benchmarks.reference table`; each row is
reproduced by its command below with each of its seeds. The budget is small, so that
anyone can repeat it: the numbers compare installations and twins, and say little about
how good a variant can become. A critic that sees five batches for each update of
G is at a disadvantage here; `gan` is `dcgan` by another name. Minutes include start-up,
sampling and checkpoints, with whatever else the machine was doing. The originals at
64x64 (`gan-mnist`, `dcgan-cifar10`, `wgan-gp-mnist`, `cgan-mnist`), which take a CPU
hours, have [a page of their own](originals.md).
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bands:
    """Where the metrics of each preset's first steps belong."""

    presets: tuple[str, ...] = _SMALL
    """Presets to renew; the others' references are kept."""
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
    kind = tyro.conf.OmitSubcommandPrefixes[Bands | Table]
    # pyrefly: ignore[bad-argument-type]
    with command_line.run(kind, argv, "reference", __doc__) as options:
        command_line.check_known("presets", options.presets, PRESETS)
        if isinstance(options, Bands):
            write_bands(options)
        else:
            measure(options)
            options.page.write_text(render(options.runs), encoding="utf-8")


def write_bands(options: Bands) -> None:
    """Run the first steps of each preset, and renew its reference."""
    path = reference_check.PATH
    for name in (bar := tqdm(options.presets, unit="preset")):
        bar.set_postfix_str(name)
        config = PRESETS[name]
        exact = dataclasses.replace(config, precision="float64")
        (run,) = first_steps(exact, "torch", options.data_dir)
        rounded = [
            *first_steps(config, "torch", options.data_dir, _JITTER),
            *first_steps(config, "jax", options.data_dir),
        ]
        made = reference_check.make_reference(run, rounded)
        stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
        stored[name] = {
            "reach": [_short(share) for share in made.reach],
            "metrics": {k: list(map(_short, x)) for k, x in made.metrics.items()},
        }
        text = json.dumps(dict(sorted(stored.items())), indent=1)
        path.write_text(f"{text}\n", encoding="utf-8")


def first_steps(
    config: TrainConfig, twin: str, data_dir: Path, jitter: Sequence[float] = (0.0,)
) -> Iterator[reference_check.Trajectory]:
    """The metrics of a run's first steps, on the CPU.

    Args:
        config: the run's configuration.
        twin: torch or jax.
        data_dir: folder of data sets.
        jitter: relative errors of the initial weights, for a run each; they stand for
            the rounding of other machines.
    """
    data = datasets.load(config.dataset, config.image_size, data_dir)
    module = importlib.import_module(f"gans_{twin}.backend")
    # One for all runs, because JAX takes long to compile.
    session = Session(config, data, module.Backend(config, data.info, "cpu"))
    for number, error in enumerate(jitter):
        arrays = session.initial_arrays()
        random = np.random.default_rng(number)
        for name, array in arrays.items():
            noise = error * random.standard_normal(array.shape)
            arrays[name] = (array * (1 + noise)).astype(array.dtype)
        session.restore(arrays, step=0)
        found: dict[str, list[float]] = {}
        for _ in range(reference_check.STEPS):
            for name, (value,) in session.run(1).items():
                found.setdefault(name, []).append(float(value))
        yield dict(sorted(found.items()))


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def measure(options: Table) -> None:
    """Train and evaluate what the folder of runs does not hold yet.

    Raises:
        UsageError: runs or images are none.
    """
    command_line.check_above_0(options, "seeds", "images")
    for seed in range(options.seeds):
        for preset in options.presets:
            for twin in options.twins:
                _measure_one(options, preset, twin, seed)


def _measure_one(options: Table, preset: str, twin: str, seed: int) -> None:
    config = PRESETS[preset]
    points = config.dataset in POINTS
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
    _call([*evaluate, *_ONE_DRAW])
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
    names = {row["dataset"] for row in found}
    for dataset in sorted(names, key=lambda name: (name in POINTS, name)):
        lines.append(f"## {dataset}\n")
        # Presets have sizes and averages of their own; a table has one protocol.
        tables: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            if row["dataset"] == dataset:
                tables.setdefault(_protocol(row), []).append(row)
        for protocol, rows in sorted(tables.items(), key=lambda item: -len(item[1])):
            lines += [f"{protocol}.\n", *_table(rows), ""]
    machines = sorted({f"{row['machine']}, {row['threads']} threads" for row in found})
    lines += ["## Commands\n", "```bash", *_commands(found), "```\n"]
    lines += [f"Machine: {'; '.join(machines)}."]
    return "\n".join(lines) + "\n"


def _protocol(row: dict[str, Any]) -> str:
    # Earlier evaluations of one draw named its interval, which it does not have.
    parts = {k: v for k, v in row["protocol"].items() if k != "interval"}
    return "; ".join(f"{name}: {value}" for name, value in parts.items())


def _table(rows: list[dict[str, Any]]) -> Iterator[str]:
    names = [name for name in _SHOWN if name in rows[0]["scores"]]
    titles = [QUANTITIES[name].heading() for name in names]
    head = ["preset", "twin", "seeds", *titles, "images", "minutes"]
    yield from (_line(head), _line(["---"] * len(head)))
    for preset in PRESETS:
        for twin in _TWINS:
            group = [r for r in rows if (r["preset"], r["twin"]) == (preset, twin)]
            if group:
                yield _line(_cells(group, names))


def _commands(found: list[dict[str, Any]]) -> Iterator[str]:
    """What to type: for each row its first run, and which seeds the others have."""
    evaluate = ["python", "-m", "gans_TWIN.evaluate", "RUN", *_ONE_DRAW]
    yield f"{shlex.join(evaluate)}  # after each of these:"
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for run in found:
        key = (run["preset"], run["dataset"], run["twin"])
        rows.setdefault(key, []).append(run)
    for first, *others in rows.values():
        seeds = ", ".join(str(run["seed"]) for run in others)
        yield first["command"] + (f"  # and --seed {seeds}" if seeds else "")


def _cells(group: list[dict[str, Any]], names: list[str]) -> list[str]:
    first = group[0]
    cells = [first["preset"], first["twin"], str(len(group))]
    for name in names:
        mean, reach = metrics.mean_interval([row["scores"][name] for row in group])
        places = QUANTITIES[name].decimals
        reach_text = "" if reach is None else f" ± {reach:.{places}f}"
        cells.append(f"{mean:.{places}f}{reach_text}")
    minutes = np.mean([row["minutes"] for row in group])
    return [*cells, f"{first['images_seen']:,}", f"{minutes:.1f}"]


def _line(cells: Sequence[str | None]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
