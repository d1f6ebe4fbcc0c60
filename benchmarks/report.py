"""Results for people: a table, JSON and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.drawing.figures import new_figure, plain_style, save_figure
from shared.files.atomic import write_atomically, write_object

Results = dict[str, Any]

FILES = ("results.json", "table.txt", "throughput.png")
"""What `write` writes."""


def table(results: Results) -> str:
    """Every measurement of the races and of the start, as text."""
    lines = [results["machine"]]
    for case, rows in by_case(results["races"]).items():
        flops = rows[0]["flops_per_image"]
        counted = f": {flops / 1e9:.3f} GFLOP for each real image" if flops else ""
        lines += ["", case + counted]
        header = ("", "images/s", "", "with data", "", "vs first")
        limits = ("matmul GFLOP/s", "share", "copy GB/s")
        lines.append(_row((*header, *limits, "compile s", "grid s", "memory MB")))
        first = rows[0]["step_with_data"]["images_per_second"]["median"]
        lines += [_row(_race_cells(row, first)) for row in rows]
    for what, start in results["start_up"].items():
        texts = [
            f"{name.replace('_', ' ')} {value:.2f}" for name, value in start.items()
        ]
        lines += ["", f"gans_{what}.train: " + ", ".join(texts)]
    return "\n".join(lines) + "\n"


def write(results: Results, folder: Path) -> None:
    """Write `FILES` into a folder."""
    numbers, text, picture = (folder / name for name in FILES)
    write_object(numbers, results)
    write_atomically(text, table(results).encode())
    _plot(results, picture)


def _race_cells(row: Results, first: float) -> tuple[str, ...]:
    step, with_data = (
        row[what]["images_per_second"] for what in ("step", "step_with_data")
    )
    memory = row["memory"]["device"] or row["memory"]["host"]
    share = row["share_of_matmul"]
    return (
        _name(row),
        f"{step['median']:.1f}",
        f"({step['min']:.1f}-{step['max']:.1f})",
        f"{with_data['median']:.1f}",
        f"({with_data['min']:.1f}-{with_data['max']:.1f})",
        f"{with_data['median'] / first:.2f}x",
        f"{row['matmul_flops_per_second']['median'] / 1e9:.0f}",
        f"{share['median']:.0%}" if share else "-",
        f"{row['copy_bytes_per_second']['median'] / 1e9:.0f}",
        f"{row['compile_seconds']:.1f}",
        f"{row['first_grid_seconds']:.1f}",
        f"{memory / 1e6:.0f}",
    )


def _name(row: Results) -> str:
    return f"{row['framework']} {row['precision']}"


def _row(cells: Sequence[str]) -> str:
    widths = (18, 9, 17, 10, 17, 9, 16, 6, 11, 10, 7, 10)
    return "".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )


def by_case(races: list[Results]) -> dict[str, list[Results]]:
    """The races' rows by the name of their case."""
    cases: dict[str, list[Results]] = {}
    for row in races:
        cases.setdefault(row["case"], []).append(row)
    return cases


@plain_style()
def _plot(results: Results, path: Path) -> None:
    figure = new_figure(13, 4)
    races, *sweeps = figure.subplots(1, 1 + len(results["sweeps"]), squeeze=False)[0]
    _plot_races(races, results["races"])
    for axes, (field, points) in zip(sweeps, results["sweeps"].items(), strict=True):
        _plot_sweep(axes, field, points)
    save_figure(path, figure)


def _plot_races(axes: Any, races: list[Results]) -> None:
    """Throughput with data, as a multiple of each case's first contestant."""
    cases = by_case(races)
    names = list(dict.fromkeys(_name(row) for row in races))
    for i, name in enumerate(names):
        for j, rows in enumerate(cases.values()):
            first = rows[0]["step_with_data"]["images_per_second"]["median"]
            for row in rows:
                if _name(row) == name:
                    rate = row["step_with_data"]["images_per_second"]["median"] / first
                    label = name if j == 0 else None
                    place = j + (i - len(names) / 2 + 0.5) * 0.8 / len(names)
                    axes.bar(place, rate, 0.8 / len(names), color=f"C{i}", label=label)
    axes.set_xticks(range(len(cases)), list(cases))
    axes.set_title("images/s with data, the first of each case = 1")
    axes.legend()


def _plot_sweep(axes: Any, field: str, points: list[Results]) -> None:
    for name in dict.fromkeys(point["contestant"] for point in points):
        mine = [point for point in points if point["contestant"] == name]
        rates = [point["images_per_second"]["median"] for point in mine]
        axes.plot([point[field] for point in mine], rates, marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(field.replace("_", " "))
    axes.set_title("images/s of the small case's step")
    axes.legend()
