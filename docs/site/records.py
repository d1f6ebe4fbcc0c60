"""Writes docs/records.md from the table of quantities: ``python docs/site/records.py``.

A test fails where the page is not what the table gives.
"""

from pathlib import Path

from shared.quantities import QUANTITIES, Quantity

PAGE = Path(__file__).parents[1] / "records.md"

_INTRODUCTION = """\
# What a run writes down

Both twins record the same numbers under the same names, which are also TensorBoard's
tags. A `.jsonl` file holds one JSON object a line, each with its `step`, so that

    import pandas
    pandas.read_json("runs/quick-digits-001/metrics.jsonl", lines=True)

reads it. Only what a run has is in its files: no `penalty` without one, no `modes`
without points. This page is written by `python docs/site/records.py` from the table
that the log, the plots and the report read,
[`shared/quantities.py`](../shared/quantities.py). How the scores are computed, and what
they cannot tell, stands in [Evaluation](evaluation.md); what curves look like in
[Reading the curves](reading_curves.md).
"""
_PLACES = {
    "metrics": (
        "metrics.jsonl",
        "A line every `--log-every` steps, of that step; what is said of D is the mean"
        " over its updates. The speed and the waiting are since the last grid, the last"
        " scores or the start of the process.",
    ),
    "samples": (
        "samples.jsonl",
        "A line for each grid of samples, every `--sample-every` steps.",
    ),
    "scores": (
        "scores.jsonl",
        "A line every `--evaluate-every` steps: one draw, with its `protocol`.",
    ),
    "evaluation": (
        "evaluation-STEP.json",
        "Of `evaluate`, under `scores`: each with its `value`, half the width of its"
        " `interval_95`, the values of all `draws`, and the `protocol`.",
    ),
}


def written() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(
        f"\n## {file}\n\n{words}\n\n"
        "| name | what it is | unit | better |\n| --- | --- | --- | --- |\n"
        + "".join(_row(x) for x in QUANTITIES.values() if place in x.places)
        for place, (file, words) in _PLACES.items()
    )


def _row(quantity: Quantity) -> str:
    better = "" if quantity.better == "neither" else quantity.better
    cells = (f"`{quantity.name}`", quantity.meaning, quantity.unit, better)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(written())
