"""Updates of their own intervals: when they come, how they count, what goes on."""

import dataclasses
import json
from pathlib import Path

from shared.config.train_config import TrainConfig, lazy_factor
from shared.randomness.draws import draw
from shared.run import checkpoint
from support import TINY, Train, last_checkpoint

_LAZY = ("--d-norm", "layer", "--penalty", "r1", "--penalty-every", 4)


def test_rates_are_lower_by_the_share_of_the_usual_updates() -> None:
    assert [lazy_factor(every) for every in (1, 4, 16)] == [1.0, 4 / 5, 16 / 17]


def test_it_comes_at_every_so_many_steps() -> None:
    config = TrainConfig(penalty="r1", d_norm="none", penalty_every=4, batch_size=4)
    found = draw(config, 1, 50, 100, range(10)).update_d_by_penalty
    assert found is not None
    assert [step for step, comes in enumerate(found) if comes] == [0, 4, 8]
    usual = dataclasses.replace(config, penalty_every=1)
    assert draw(usual, 1, 50, 100, range(2)).update_d_by_penalty is None


def test_its_updates_are_counted_and_a_run_goes_on(
    train: Train, sample: Train, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train("dcgan", *TINY, *_LAZY, "--run-dir", run)
    arrays = checkpoint.load(last_checkpoint(run)).arrays
    # Six steps, and the first and the fifth have one more.
    assert arrays["d_optimizer.step"] == 8
    assert arrays["g_optimizer.step"] == 6
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert not any("penalty" in json.loads(line) for line in lines)
    sample(run, "--num", 2, "--out", tmp_path / "grid.png")
    train("--resume", run, "--steps", 9)
    arrays = checkpoint.load(last_checkpoint(run)).arrays
    assert arrays["d_optimizer.step"] == 12
