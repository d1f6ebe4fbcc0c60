import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reference, report, train
from benchmarks.cases import CASES
from benchmarks.race import Effort, Entry, Worker, run_case, spread


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_the_images_have_the_sizes_that_the_case_names() -> None:
    case = CASES["dcgan-64"]
    assert case.originals().shape == (case.data_info.count, 32, 32, 3)
    assert case.data().images.shape == (case.data_info.count, 64, 64, 3)


@pytest.mark.parametrize("framework", ["textbook", "torch"])
def test_a_race_measures_what_the_report_shows(framework: str, tmp_path: Path) -> None:
    effort = Effort(rounds=1, seconds=0.0, matmul_size=64)
    tiny: dict[str, Any] = {"width": 2, "batch_size": 4, "image_size": 8}
    races = run_case("small", [Entry(framework)], "cpu", effort, **tiny)
    (row,) = races
    assert row["step"]["images_per_second"]["median"] > 0
    assert row["step_with_data"]["images_per_second"]["median"] > 0
    assert row["memory"]["host"] > 1 << 20
    sweep = {"contestant": "a", "width": 2, "images_per_second": spread([1.0])}
    results = {
        "machine": "here",
        "races": races,
        "sweeps": {"width": [sweep]},
        "start_up": {"torch": {"help_seconds": 0.5}},
    }
    report.write(results, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["races"] == races
    assert f"{framework} float32" in (tmp_path / "table.txt").read_text()
    assert (tmp_path / "throughput.png").stat().st_size > 1000


def test_a_dead_worker_is_an_error() -> None:
    with (
        Worker("small", Entry("torch"), "no such device") as worker,
        pytest.raises(RuntimeError, match="died at open"),
    ):
        worker.ask("open")


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        train.main(["--help"])
    assert stop.value.code == 0
    assert "--cases" in capsys.readouterr().out


def test_the_reference_page_has_a_row_for_each_twin(tmp_path: Path) -> None:
    for twin, scores in {"torch": (0.4, 0.6), "jax": (0.5, 0.5)}.items():
        for seed, fid in enumerate(scores):
            run = tmp_path / f"lsgan-digits-{twin}-{seed}"
            run.mkdir()
            result = {
                "preset": "lsgan",
                "dataset": "digits",
                "twin": twin,
                "seed": seed,
                "images_seen": 38400,
                "minutes": 1.5,
                "threads": "all",
                "machine": "a machine",
                "command": f"python -m gans_{twin}.train lsgan --seed {seed}",
                "protocol": {"samples": 1797, "interval": "95%", "draws": 1},
                "scores": {"fid": fid, "kid": 1.0},
            }
            (run / "reference.json").write_text(json.dumps(result))
    page = reference.render(tmp_path).splitlines()
    assert "| preset | twin | seeds | FID ↓ | images | minutes |" in page
    # Student's t for one degree of freedom, 12.706, times 0.1.
    assert "| lsgan | torch | 2 | 0.500 ± 1.271 | 38,400 | 1.5 |" in page
    assert "| lsgan | jax | 2 | 0.500 ± 0.000 | 38,400 | 1.5 |" in page
    assert "samples: 1797; draws: 1." in page
    commands = page[page.index("```bash") + 1 : -3]
    assert commands == [
        "python -m gans_TWIN.evaluate RUN --draws 1  # after each of these:",
        "python -m gans_jax.train lsgan --seed 0  # and --seed 1",
        "python -m gans_torch.train lsgan --seed 0  # and --seed 1",
    ]
