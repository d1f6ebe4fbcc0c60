"""Quality against time: ``python -m benchmarks.quality [--presets ...] --out DIR``.

The textbook loop and presets of both twins train on the same images, each alone on the
machine and for the same time. On the way each makes images of new latents, by which one
judge, `gans_torch.evaluate`'s, scores them all. The clock starts with the process, so
that imports and compilation count as they do for a user; while images are made for the
judge it stands still. Nothing here asserts on time.
"""

import dataclasses
import itertools
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import command_line
from benchmarks.cases import Case
from benchmarks.contestants import build
from benchmarks.train import describe_machine
from shared.commands.options import DEFAULT_PRESET
from shared.config.flags import refuse
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.data.image_data import DataInfo, ImageData
from shared.drawing.figures import new_figure, plain_style, save_figure
from shared.files.atomic import write_atomically

_TEXTBOOK = "textbook"
_FILES = ("quality.json", "quality.png")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Who races, for how long, and where to write it."""

    out: Path
    """Folder for quality.json and quality.png."""
    presets: tuple[str, ...] = tuple(dict.fromkeys((DEFAULT_PRESET, "dcgan", "hinge")))
    """Presets of images, trained by both twins."""
    dataset: str = "digits"
    """Data set, with labels."""
    image_size: int = 32
    """Height and width in pixels."""
    seconds: float = 75.0
    """How long each trains."""
    looks: int = 10
    """How often each is scored on the way."""
    seeds: int = 1
    """Runs of each."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    data_dir: Path = Path("data")
    """Folder of data sets."""


class Runner(NamedTuple):
    """One line of the plot."""

    framework: str
    """``textbook``, ``torch`` or ``jax``."""
    preset: str
    """Of the twins; the textbook has its DCGAN."""

    @property
    def name(self) -> str:
        """For tables and plots."""
        if self.framework == _TEXTBOOK:
            return self.framework
        return f"{self.preset}, {self.framework}"


class _Look(NamedTuple):
    """What a runner has reached on the way."""

    seconds: float
    steps: int
    images: NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class _RealCase(Case):
    """A configuration, and images of the world instead of random pixels."""

    images: ImageData

    @property
    def data_info(self) -> DataInfo:
        return self.images.info

    def originals(self) -> NDArray[np.uint8]:
        return np.asarray(self.images.images, np.uint8)

    def data(self) -> ImageData:
        return self.images


def main(argv: Sequence[str] | None = None) -> None:
    """Race, print the table and write the files.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run(Options, argv, "quality", __doc__, _FILES) as options:
        results: dict[str, Any] = {}
        for results in measure(options):
            write(results, options.out)
        sys.stdout.write(table(results))


def measure(options: Options) -> Iterator[dict[str, Any]]:
    """The results so far, again and again.

    Raises:
        UsageError: there is no such preset, or it is one of points; nobody is to run,
            or to be looked at; there is no such device.
    """
    import gans_torch  # judges

    command_line.check_above_0(options, "seconds", "looks", "seeds")
    for name in options.presets:
        if name not in PRESETS or PRESETS[name].image_size == 1:
            raise refuse("presets", name, "must be presets of images")
    machine = describe_machine(options.device)
    data = datasets.load(options.dataset, options.image_size, options.data_dir)
    runners = [Runner(_TEXTBOOK, "dcgan")]
    runners += [Runner(t, p) for p in options.presets for t in ("torch", "jax")]
    rows: list[dict[str, Any]] = []
    found: gans_torch.Evaluation | None = None
    # Seed by seed, so that what disturbs the machine for a while disturbs them all.
    for seed, runner in itertools.product(range(options.seeds), runners):
        sys.stderr.write(f"{runner.name}, seed {seed}\n")
        for seconds, steps, images in _train(options, runner, seed):
            found = gans_torch.evaluate(
                images, data, device=options.device, data_dir=options.data_dir
            )
            scores = {name: found.values[name] for name in ("fid", "coverage")}
            row = {**runner._asdict(), "seed": seed, "seconds": seconds, "steps": steps}
            rows.append({**row, **scores})
        assert found is not None, "looks are above 0"
        yield {
            "machine": machine,
            "dataset": options.dataset,
            "image_size": options.image_size,
            "protocol": found.protocol,
            "ceiling": {name: dict(row) for name, row in found.sanity.items()},
            "rows": rows,
        }


def table(results: dict[str, Any]) -> str:
    """What each runner's last images are worth, as Markdown; medians over the seeds."""
    lines = [f"{results['machine']}\n", "| | seconds | steps | FID | coverage |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for runner, looks in _looks(results).items():
        last = looks[-1]
        cells = [f"{last['seconds']:.0f}", f"{last['steps']:.0f}"]
        cells += [f"{last['fid']:.3f}", f"{last['coverage']:.3f}"]
        lines.append(f"| {' | '.join([runner.name, *cells])} |")
    return "\n".join(lines) + "\n"


def write(results: dict[str, Any], folder: Path) -> None:
    """Write ``quality.json`` and ``quality.png`` into a folder."""
    numbers, picture = (folder / name for name in _FILES)
    write_atomically(numbers, (json.dumps(results, indent=1) + "\n").encode())
    _plot(results, picture)


def _train(options: Options, runner: Runner, seed: int) -> list[_Look]:
    """All looks, from a process of its own."""
    # A fresh interpreter: it imports, and starts the clock, as a user's does.
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    start = time.time()
    process = spawn.Process(
        target=_run, args=(theirs.send, options, runner, seed, start)
    )
    process.start()
    theirs.close()
    try:
        found = [ours.recv() for _ in range(options.looks)]
    except EOFError as error:
        raise RuntimeError(f"{runner.name} died; it said why above") from error
    finally:
        process.join()
    return found


def _run(
    tell: Callable[[_Look], None],
    options: Options,
    runner: Runner,
    seed: int,
    start: float,
) -> None:
    """Train against the clock, and send what was reached on the way."""
    config = _config(options, runner, seed)
    data = datasets.load(options.dataset, options.image_size, options.data_dir)
    size = options.image_size
    case = _RealCase(config, data.info.channels, size, data)
    contestant = build(case, runner.framework, options.device)
    count = min(len(data.images), 2048)
    batch = config.batch_size * config.n_critic
    pause = 0.0
    calls = 0
    for look in range(1, options.looks + 1):
        while time.time() - start - pause < options.seconds * look / options.looks:
            contestant.step_with_data()
            calls += 1
        contestant.wait()
        now = time.time()
        images = contestant.images(count)
        steps = calls * contestant.images_per_call // batch
        tell(_Look(now - start - pause, steps, images))
        pause += time.time() - now


def _config(options: Options, runner: Runner, seed: int) -> TrainConfig:
    preset = PRESETS[runner.preset]
    changes = {"dataset": options.dataset, "image_size": options.image_size}
    return dataclasses.replace(preset, **changes, seed=seed)


def _looks(results: dict[str, Any]) -> dict[Runner, list[dict[str, float]]]:
    """Of each runner, the median over its seeds at each look."""
    seeds: dict[Runner, dict[int, list[dict[str, Any]]]] = {}
    for row in results["rows"]:
        runner = Runner(row["framework"], row["preset"])
        seeds.setdefault(runner, {}).setdefault(row["seed"], []).append(row)
    return {
        runner: [
            {
                name: statistics.median(row[name] for row in rows)
                for name in ("seconds", "steps", "fid", "coverage")
            }
            for rows in zip(*runs.values(), strict=True)
        ]
        for runner, runs in seeds.items()
    }


@plain_style()
def _plot(results: dict[str, Any], path: Path) -> None:
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    looks = _looks(results)
    presets = list(dict.fromkeys(r.preset for r in looks if r.framework != _TEXTBOOK))
    for runner, row in looks.items():
        textbook = runner.framework == _TEXTBOOK
        color = "black" if textbook else f"C{presets.index(runner.preset)}"
        style = "--" if runner.framework == "jax" else "-"
        for axes, name in ((left, "fid"), (right, "coverage")):
            axes.plot(
                [look["seconds"] for look in row],
                [look[name] for look in row],
                style,
                marker="o",  # a single look is no line
                color=color,
                label=runner.name,
            )
    # Coverage alone: FID falls with the number of images, and few are held out.
    for name, row in results["ceiling"].items():
        if "held out" in name:
            line = right.axhline(
                row["coverage"], color="grey", lw=1, ls=":", label=name
            )
            # The others are named on the left; here, they would be hidden by it.
            right.legend(handles=[line], fontsize=8, loc="lower right")
    left.set_yscale("log")
    left.set_ylabel(f"FID of {results['dataset']} by the project's judge")
    right.set_ylabel("coverage")
    right.set_ylim(0, 1)
    for axes in (left, right):
        axes.set_xlabel("seconds since the start")
    left.legend(fontsize=8)
    save_figure(path, figure)


if __name__ == "__main__":
    main()
