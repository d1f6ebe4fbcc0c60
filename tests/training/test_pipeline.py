"""The end of calls of the twin, where the device does not come to its own."""

import os
import subprocess
import sys

from support import PATIENCE

_STUCK = """
import threading
from types import SimpleNamespace
from shared.errors import TrainingError
from shared.training.pipeline import Pipeline
from shared.training.session import Prepared

# A GPU's message to a process that is gone.
session = SimpleNamespace(
    config=SimpleNamespace(images_per_step=1),
    step=0,
    train=lambda prepared: threading.Event().wait,
)
with Pipeline(session) as pipeline:
    pipeline.train(Prepared(range(1), None))
    raise TrainingError("rank 1 answers no more")
"""


def test_what_never_ends_keeps_no_error_and_no_process() -> None:
    told = {"RANK": "0", "WORLD_SIZE": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", _STUCK],
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last == "shared.errors.TrainingError: rank 1 answers no more"
