"""What a log says of a run's steps, where no terminal shows a bar."""

import re
import time

import pytest

from shared.training.progress import TerminalProgress

RECORD = {
    "d_loss": 1.0,
    "g_loss": 1.0,
    "d_real": 0.5,
    "d_fake_before": 0.5,
    "d_fake_after": 0.5,
    "images_per_second": 10.0,
}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(1, [100, 120]), (20, [40, 70, 100, 120])],
)
def test_a_slow_run_is_not_silent_for_minutes(
    seconds: int,
    told: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Steps of one second and of twenty: the latter by the minute, not every 100."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = TerminalProgress()
    with progress.begin(120, 10, every=100):
        for step in range(20, 121, 10):
            now += seconds
            progress.show(RECORD | {"step": step})
    lines = capfd.readouterr().err.splitlines()
    assert [int(re.findall(r"step (\d+)/120", line)[0]) for line in lines] == told


def test_what_is_left_is_told_by_the_steps_that_this_process_has_made(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = TerminalProgress()
    with progress.begin(total=120, step=100, every=10):
        now += 20
        progress.show(RECORD | {"step": 110})
    assert capfd.readouterr().err.endswith("  00:20 left\n")
