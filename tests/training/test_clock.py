"""The clock of a training: what it tells adds up to the time that was trained."""

import time

import pytest

from shared.training.clock import Clock


def test_seconds_add_up_over_grids_and_rates_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)
    clock = Clock(images=8, step=0)
    clock.add(range(10), 100.0, 104.0)
    assert clock.take_rates() == {
        "images_per_second": 20.0,
        "seconds": 4.0,
        "wait_share": 0.0,
    }
    # Of several steps of one call, the first has its time.
    assert clock.take_rates()["seconds"] == 0.0
    clock.add(range(10, 15), 104.0, 105.0)
    # A grid is drawn for 95 seconds; nobody asked before it.
    monkeypatch.setattr(time, "perf_counter", lambda: 200.0)
    clock.restart(15)
    clock.add(range(15, 20), 200.0, 203.0)
    rates = clock.take_rates()
    assert rates["seconds"] == 1.0 + 3.0
    assert rates["images_per_second"] == 13.3
