"""What a run's records lack, such as after a loss of power."""

from collections.abc import Iterator

from shared.config.train_config import TrainConfig
from shared.run.run_dir import RunDir


def describe_gaps(run: RunDir, config: TrainConfig, step: int) -> str | None:
    """In one line, which records up to a checkpoint's step are missing; None: none.

    Args:
        run: a run's folder.
        config: what it was trained with up to there.
        step: the checkpoint's.

    Raises:
        UsageError: a file is damaged.
    """
    if found := list(_gaps(run, config, step)):
        return f"{run.path}: at step {step} records are missing: {'; '.join(found)}"
    return None


def _gaps(run: RunDir, config: TrainConfig, step: int) -> Iterator[str]:
    samples = {record["step"] for record in run.read_sample_metrics()}
    for name, steps, every in (
        ("metrics.jsonl", {r["step"] for r in run.read_metrics()}, config.log_every),
        ("samples.jsonl", samples, config.sample_every),
        ("scores.jsonl", {r["step"] for r in run.read_scores()}, config.evaluate_every),
    ):
        last = max((x for x in steps if x <= step), default=0)
        if every and last < step // every * every:
            yield f"{name} ends at step {last}" if last else f"{name} has none"
    grids = [x for x in run.sample_steps() if x <= min(step, max(samples, default=0))]
    if alone := sorted(set(grids) - samples):
        yield f"samples.jsonl has none of grid {', '.join(map(str, alone))}"
