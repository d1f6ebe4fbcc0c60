"""Which checkpoints stay: a rule of the steps alone."""

import itertools

import pytest

from shared.run.retention import Keep, kept, most_kept


def test_the_last_the_best_and_a_history_stay() -> None:
    steps = range(100, 3901, 100)  # as eight minutes have left
    assert sorted(kept(steps, 3, 100, best=1500)) == [
        *(800, 1500, 1600, 2400, 3200, 3700, 3800, 3900)
    ]
    assert kept(steps, "all", 100) == set(steps)
    assert kept([], 3, 100) == set()
    assert kept([7], 1, 100) == {7}


@pytest.mark.parametrize("keep", [1, 3, 20])
def test_what_stays_does_not_depend_on_when_others_went(keep: int) -> None:
    on_disk: set[int] = set()
    for step in range(5, 2001, 5):
        on_disk = kept(on_disk | {step}, keep, 5)
        assert on_disk == kept(range(5, step + 1, 5), keep, 5)
        assert len(on_disk) <= most_kept(step // 5, keep)


def test_the_most_is_reached() -> None:
    for keep, saved in itertools.product((1, 3), (1, 5, 1000)):
        steps = range(1, saved + 1)
        before = kept(steps[:-1], keep, 1, best=1)
        assert len(before | {saved}) <= most_kept(saved, keep)
    assert most_kept(1000, "all") == 1000
    counts = [len(kept(range(1, n), 3, 1, best=9) | {n}) for n in range(10, 1000)]
    most: Keep = 3
    assert max(counts) == most_kept(1000, most)
