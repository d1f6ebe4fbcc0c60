"""What happened when: the marks on a page's axis of time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.diagnosis.symptoms import DIVERGED
from shared.diagnosis.watch import Diagnosis
from shared.run.run_dir import RunDir


def of_run(
    run: RunDir, diagnoses: Sequence[Diagnosis], metrics: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Marks, each with its ``step``, ``kind`` and ``text``.

    Args:
        run: the run's folder.
        diagnoses: what was noticed.
        metrics: records of metrics.jsonl.
    """
    for step in run.checkpoint_steps():
        yield _mark(step, "checkpoint", "checkpoint")
    if (best := run.best_step()) is not None:
        yield _mark(best, "best", "best score")
    for diagnosis in diagnoses:
        yield _mark(diagnosis.first, "warning", diagnosis.problem)
    for rollback in run.config_file.rollbacks():
        text = f"diverged; back to step {rollback.to}"
        yield _mark(rollback.at, "diverged", text)
    for record in metrics:
        if record.get(DIVERGED):
            yield _mark(record["step"], "diverged", "diverged")
    for step, twin in run.config_file.handovers():
        yield _mark(step, "twin", f"{twin} goes on")


def _mark(step: int, kind: str, text: str) -> dict[str, Any]:
    return {"step": step, "kind": kind, "text": text}
