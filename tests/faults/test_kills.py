"""A few of the kills that ``python tests/faults/kills.py TWIN`` makes hundreds of."""

import subprocess
import sys
from pathlib import Path

from support import Twin

KILLS = Path(__file__).with_name("kills.py")


def test_a_run_that_is_killed_again_and_again_is_as_if_it_never_was(twin: Twin) -> None:
    result = subprocess.run(
        [sys.executable, KILLS, twin.name, "--chains", "1", "--kills", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "all byte-identical to the unbroken run" in result.stdout
