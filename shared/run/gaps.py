"""What a run's records lack, such as after a loss of power."""

from collections.abc import Iterator

from shared.config.train_config import TrainConfig
from shared.run.run_dir import RunDir


def describe_gaps(run: RunDir, config: TrainConfig, step: int) -> str | None:
    """In one line, which records up to a checkpoint's step are missing; None: none.

    Args:
        run: a run's folder, which has been taken back to that step.
        config: what it was trained with up to there.
        step: the checkpoint's.

    Raises:
        UsageError: a file is damaged.
    """
    if found := list(_gaps(run, config, step)):
        return f"{run.path}: at step {step} records are missing: {'; '.join(found)}"
    return None


def _gaps(run: RunDir, config: TrainConfig, step: int) -> Iterator[str]:
    for name, records, every in (
        ("metrics.jsonl", run.read_metrics(), config.log_every),
        ("scores.jsonl", run.read_scores(), config.evaluate_every),
    ):
        last = max((record["step"] for record in records), default=0)
        if every and last < step // every * every:
            yield f"{name} ends at step {last}" if last else f"{name} has none"
    measured = {record["step"] for record in run.read_sample_metrics()}
    # That of the very step is about to be made again.
    if alone := [x for x in run.sample_steps() if x < step and x not in measured]:
        yield f"samples.jsonl lacks {len(alone)}, from step {alone[0]} on"
