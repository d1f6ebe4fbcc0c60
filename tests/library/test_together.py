"""From Python in several processes of a run: what each of them is handed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import PATIENCE, Twin

# What a user's program may do after, between and during trainings, in each process or
# in the first alone.
_SCRIPT = """
import dataclasses, importlib, json, os, sys

gans = importlib.import_module(sys.argv[1])
data = gans.data.load("ring")
config = dataclasses.replace(
    gans.PRESETS["ring"], width=4, batch_size=8, steps=4, log_every=1, save_every=2,
    sample_every=4, evaluate_every=4,
)
is_first = os.environ["RANK"] == "0"
losses = []

def evaluate(record):
    losses.append(record["d_loss"])
    if record["step"] == 3 and is_first:
        gans.evaluate(kept, data, num=16, device="cpu")

kept = gans.fit(config, data, device="cpu")
run = gans.fit(config, data, sys.argv[2], device="cpu", on_record=evaluate)
drawn = gans.load_generator(run, step=2, device="cpu").sample(1)
if is_first:
    gans.evaluate(run, data, num=16, device="cpu")
longer = dataclasses.replace(config, steps=6)
run = gans.fit(longer, data, resume=run, step=2, keep=1, device="cpu")
print(json.dumps([
    run.path.name, run.records, run.scores, kept.scores, drawn.tolist(), losses,
]))
"""

# The second process has a mistake of its own, while the first trains on.
_MISTAKE = """
import dataclasses, importlib, os, sys

gans = importlib.import_module(sys.argv[1])
data = gans.data.load("ring")
config = dataclasses.replace(
    gans.PRESETS["ring"], width=4, batch_size=8, steps=4, sample_every=4
)
gans.fit(config, data, device="cpu")
print("here")
if os.environ["RANK"] == "1":
    raise KeyError("mistake")
gans.fit(config, data, device="cpu")
"""


def _started(script: str, twin: Twin, folder: Path, place: str) -> list[Any]:
    """Both processes of a program."""
    # Late, as for `place`.
    from parity_tests.harness.devices import environments

    words = [sys.executable, "-c", script, f"gans_{twin.name}", str(folder / "run")]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return [
        subprocess.Popen(words, env=os.environ | told, text=True, **pipes)
        for told in environments(2, apart=True, place=place)
    ]


def test_each_process_is_handed_what_the_first_has(
    twin: Twin, tmp_path: Path, place: str
) -> None:
    running = _started(_SCRIPT, twin, tmp_path, place)
    said = [process.communicate(timeout=PATIENCE)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    name, records, scores, kept, _, losses = json.loads(said[0])
    assert name == "run"
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in scores] == [4]
    assert scores[0].keys() > {"step"}
    assert kept == scores
    assert len(losses) == 4


def test_who_has_a_mistake_of_its_own_does_not_keep_the_others(
    twin: Twin, tmp_path: Path, place: str
) -> None:
    """JAX would wait for them at the end, as they do for this process."""
    first, second = _started(_MISTAKE, twin, tmp_path, place)
    out, error = second.communicate(timeout=PATIENCE)
    assert (out, second.returncode) == ("here\n", 1)
    assert error.endswith("KeyError: 'mistake'\n")
    _, error = first.communicate(timeout=PATIENCE)
    assert first.returncode == 1
    assert "TrainingError: rank 1 answers no more: " in error.splitlines()[-1]
