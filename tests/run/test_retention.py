"""Which checkpoints stay: a rule of the steps alone."""

import itertools

import pytest

from shared.config.train_config import TrainConfig
from shared.run.retention import kept, most_kept


def every(steps: int) -> TrainConfig:
    return TrainConfig(save_every=steps)


def test_the_last_the_best_and_a_history_stay() -> None:
    steps = range(100, 3901, 100)  # as eight minutes have left
    assert sorted(kept(steps, 3, every(100), best=1500)) == [
        *(800, 1500, 1600, 2400, 3200, 3700, 3800, 3900)
    ]
    assert kept(steps, "all", every(100)) == set(steps)
    assert kept([], 3, every(100)) == set()
    assert kept([7], 1, every(100)) == {7}


def test_the_last_that_no_signal_has_saved_stays() -> None:
    steps = [*range(100, 1001, 100), 1001, 1002, 1003]
    assert kept(steps, 2, every(100)) == {200, 400, 600, 800, 1000, 1002, 1003}
    steps[9] = 950  # from an evaluation
    config = TrainConfig(save_every=100, evaluate_every=50)
    assert kept(steps, 1, config) == {200, 400, 600, 800, 950, 1003}


@pytest.mark.parametrize("keep", [1, 3, 20])
def test_what_stays_does_not_depend_on_when_others_went(keep: int) -> None:
    on_disk: set[int] = set()
    for step in range(5, 2001, 5):
        on_disk = kept(on_disk | {step}, keep, every(5))
        assert on_disk == kept(range(5, step + 1, 5), keep, every(5))
        assert len(on_disk) <= most_kept(step // 5, keep)


def test_there_are_never_more_than_the_most() -> None:
    for keep, saved in itertools.product((1, 3), (1, 5, 1000)):
        steps = range(1, saved + 1)
        before = kept(steps[:-1], keep, every(1), best=1)
        assert len(before | {saved}) <= most_kept(saved, keep)
    assert most_kept(1000, "all") == 1000


def test_there_may_be_as_many_as_the_most() -> None:
    # Of an evaluation each: the best, and the last that no signal has saved.
    steps = [*range(100, 801, 100), 150, 850, 851, 852, 853]
    config = TrainConfig(save_every=100, evaluate_every=50)
    before = kept(steps, 3, config, best=150)
    assert len(before | {854}) == most_kept(1000, 3)
