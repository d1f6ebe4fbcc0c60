import dataclasses
import itertools
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import (
    accelerator,
    device_parity,
    quality,
    reference,
    report,
    scaling,
    train,
)
from benchmarks.cases import CASES, Case
from benchmarks.race import Effort, Entry, Worker, run_case, spread
from shared.config.presets import PRESETS
from shared.sizes import ImageSize, height_and_width


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_the_images_have_the_sizes_that_the_case_names() -> None:
    case = CASES["dcgan-64"]
    assert case.originals().shape == (case.data_info.count, 32, 32, 3)
    assert case.data().images.shape == (case.data_info.count, 64, 64, 3)


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("preset", "size"),
    [
        *[("dcgan", 8), ("dcgan", 20), ("dcgan", 28)],
        *[("sngan", 8), ("sngan", 28), ("sngan", 32)],
        *[("r3gan", 16), ("r3gan", 28), ("stylegan2", 8), ("stylegan2", 28)],
        *[("dcgan", (8, 12)), ("sngan", (10, 8)), ("r3gan", (8, 14))],
        ("stylegan2", (12, 8)),
    ],
)
def test_a_textbook_has_the_sizes_of_the_twins(preset: str, size: ImageSize) -> None:
    import torch

    from benchmarks import textbooks
    from gans_torch.models import build_discriminator, build_generator

    config = dataclasses.replace(PRESETS[preset], width=2, image_size=size)
    case = Case(config, channels=1, original_size=16)
    networks = textbooks.TEXTBOOKS[config.architecture].networks(case)
    images = networks[0](torch.zeros(2, case.config.z_dim, 1, 1))
    assert images.shape == (2, case.channels, *height_and_width(size))
    assert case.data().images.shape[1:3] == images.shape[2:]
    assert networks[1](images).numel() == 2
    for network, build in zip(
        networks, (build_generator, build_discriminator), strict=True
    ):
        ours = build(case.config, case.data_info)
        counts = [sum(x.numel() for x in n.parameters()) for n in (network, ours)]
        assert counts[0] == counts[1]


@pytest.mark.needs("torch")
@pytest.mark.parametrize("preset", ["wgan-gp", "sngan", "r3gan", "stylegan2"])
def test_a_textbook_trains(preset: str) -> None:
    import torch

    from benchmarks import textbooks

    config = dataclasses.replace(
        PRESETS[preset], width=4, image_size=8, batch_size=4, z_dim=8
    )
    textbook = textbooks.build(Case(config, channels=1, original_size=8), "cpu")
    batches = textbook.batches()
    for _ in range(2):
        for name in ("generator", "discriminator"):
            network = getattr(textbook, name)
            before = torch.cat([x.detach().flatten() for x in network.parameters()])
            losses = textbook.step(next(batches))
            after = torch.cat([x.detach().flatten() for x in network.parameters()])
            assert all(map(math.isfinite, losses))
            assert not torch.equal(before, after)


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("case", "framework"),
    [("small", "textbook"), ("small", "torch"), ("r3gan", "textbook")],
)
def test_a_race_measures_what_the_report_shows(
    case: str, framework: str, tmp_path: Path
) -> None:
    effort = Effort(rounds=1, seconds=0.0, matmul_size=64)
    tiny: dict[str, Any] = {"width": 2, "batch_size": 4, "image_size": 8}
    races = run_case(case, [Entry(framework)], "cpu", effort, **tiny)
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
    text = (tmp_path / "table.txt").read_text()
    assert f"{framework} float32" in text
    assert "  matmul GFLOP/s share  copy GB/s compile s" in text
    assert (tmp_path / "throughput.png").stat().st_size > 1000


def test_a_dead_worker_is_an_error() -> None:
    with (
        Worker("small", Entry("torch"), "no such device") as worker,
        pytest.raises(RuntimeError, match="died at open"),
    ):
        worker.ask("open")


@pytest.mark.parametrize(
    ("module", "word"),
    [
        (accelerator, "--cases"),
        (device_parity, "--cases"),
        (reference, "{bands,table}"),
        (train, "--cases"),
    ],
)
def test_the_command_line(
    module: ModuleType, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        module.main(["--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert word in said
    assert " ".join((module.__doc__ or "").split()[:2]) in said


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [
        (accelerator, "--presets nope", "--presets nope: must be one of quick, "),
        (accelerator, "--at-once 0", "--at-once 0: must be above 0"),
        (device_parity, "--cases hinges", "did you mean hinge?"),
        (device_parity, "--device gpu", "--device gpu: must be one of cpu, cuda, tpu"),
        (quality, "--device cuda", "--device cuda: nvidia-smi finds no GPU"),
        (reference, "table --presets nope", "--presets nope: must be one of quick, "),
        (reference, "table --seeds 0", "--seeds 0: must be above 0"),
        (scaling, "--counted nope", "--counted nope: must be one of quick, "),
        (scaling, "--timed nope", "--timed nope: must be one of quick, "),
        (scaling, "--twins foo", "--twins foo: must be one of torch, jax"),
        (scaling, "--rounds 0", "--rounds 0: must be above 0"),
        (train, "--rounds -1", "--rounds -1: must be above 0"),
        (train, "--rounds 0", "--rounds 0: must be above 0"),
        (train, "--batch-sizes 8 -4", "--batch-sizes -4: must be above 0"),
        (train, "--device gpu", "--device gpu: must be one of cpu, cuda"),
        (train, "--device cuda", "--device cuda: nvidia-smi finds no GPU"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    module: ModuleType,
    words: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")  # without nvidia-smi
    new = tmp_path / "new"
    out = ["--out", str(new)] if module in (accelerator, quality, train) else []
    with pytest.raises(SystemExit) as stop:
        module.main([*words.split(), *out])
    assert stop.value.code == 2
    assert not new.exists()
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "file"),
    [
        (accelerator, "accelerator.md"),
        (quality, "quality.png"),
        (train, "results.json"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_first(
    module: ModuleType, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / file
    folder.mkdir()
    for out, said in (
        (tmp_path / "file", "cannot be used: File exists"),
        (tmp_path, f"{folder} is a folder, and a file is written"),
    ):
        with pytest.raises(SystemExit) as stop:
            module.main(["--out", str(out)])
        assert stop.value.code == 2
        printed = capsys.readouterr().err
        assert printed.endswith(f" error: --out {out}: {said}\n")


def test_the_reference_page_has_a_table_for_each_protocol(tmp_path: Path) -> None:
    for preset, weights in (("lsgan", "G"), ("hinge", "G"), ("quick", "average of G")):
        run = tmp_path / preset
        run.mkdir()
        result = {
            **{"preset": preset, "dataset": "digits", "twin": "torch", "seed": 0},
            **{"images_seen": 38400, "minutes": 1.5, "threads": "1", "machine": "one"},
            "command": f"python -m gans_torch.train {preset}",
            **{"protocol": {"weights": weights}, "scores": {"fid": 0.4}},
        }
        (run / "reference.json").write_text(json.dumps(result))
    page = reference.render(tmp_path)
    _, first, second = page.split("weights: ")
    assert first.startswith("G.\n")
    assert second.startswith("average of G.\n")
    for preset in ("lsgan", "hinge"):
        assert f"| {preset} |" in first
    assert "| quick |" in second
    assert page.count("## digits") == 1


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


def _accelerator_results() -> dict[str, Any]:
    rate = {"images_per_second": spread([20.0])}
    row = {
        "case": "small",
        "framework": "torch",
        "precision": "tf32",
        "step": rate,
        "step_with_data": rate,
        "share_of_matmul": spread([0.25]),
        "memory": {"host": 10**9, "device": 3 * 10**6},
        "compile_seconds": 1.5,
    }
    training = {"preset": "quick", "precision": "tf32", "steps": 60}
    parity = {"case": "wgan", "twin": "jax", "precision": "float64"}
    return {
        "machine": "a GPU",
        "python": "3.12",
        "packages": {"torch": "2.11"},
        "minutes": 5,
        "tests": {"status": 1, "summary": "9 passed in 12.19s", "failed": ["a::b"]},
        "parity": {
            "status": "not done after 240 s",
            "said": "",
            "rows": [{**parity, "arrays": 3e-16, "repeats": True}],
        },
        "training": [
            {**training, "twin": "torch", "status": 1, "said": "no such device"},
            {
                **training,
                "twin": "jax",
                "status": 0,
                "seconds": 9.5,
                "images_per_second": 25000.0,
                "wait_share": 0.05,
            },
        ],
        "races": [row],
    }


def test_the_accelerators_page_shows_what_came_and_what_did_not() -> None:
    page = accelerator.render(_accelerator_results()).splitlines()
    assert "`9 passed`" in page
    assert "- a::b" in page
    assert "| wgan | 3e-16 * |" in page
    assert "Incomplete: not done after 240 s." in page
    assert "| quick | tf32 | torch | 60 | 1: no such device | | |" in page
    assert "| quick | tf32 | jax | 60 | 9.5 | 25,000 | 5.0% |" in page
    assert "| torch tf32 | 20 | 1.00 | 20 | 25.0% | 3 | 1.5 |" in page


def test_the_accelerators_page_hides_no_failure() -> None:
    results = _accelerator_results()
    results["tests"] = {"status": "not done after 240 s", "summary": "", "failed": []}
    results["parity"] = {"status": 1, "said": "no such device", "rows": []}
    results["left_out"] = ["training of quick, jax", "race of small"]
    page = accelerator.render(results).splitlines()
    assert "Status: not done after 240 s." in page
    assert "Incomplete: 1. no such device" in page
    assert "Left out, for lack of time: training of quick, jax; race of small." in page


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_what_comes_too_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_compare_twins", "_run_tests", "_train"):
        monkeypatch.setattr(accelerator, name, lambda *_, **__: {})
    options = accelerator.Options(
        out=Path(), device="cpu", cases=("small",), presets=("quick",), minutes=0
    )
    *_, results = accelerator.measure(options)
    assert results["left_out"] == [
        *("training of quick, torch", "training of quick, jax"),
        "race of small",
    ]


def test_the_rate_of_a_training_leaves_out_its_start() -> None:
    # Steps of ten images: two in the first ten seconds, of which nine are waited for,
    # then one a second, a quarter of which is.
    seconds, waited = (10, 11, 12, 13), (9.0, 9.25, 9.5, 9.75)
    records = [
        {
            "step": step,
            "images_per_second": 10 * step / elapsed,
            "wait_share": idle / elapsed,
        }
        for step, elapsed, idle in zip((2, 3, 4, 5), seconds, waited, strict=True)
    ]
    assert accelerator.second_half(records, 10) == {
        "images_per_second": 10.0,
        "wait_share": 0.25,
    }


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_the_accelerators_parity_is_measured_on_any_device() -> None:
    options = device_parity.Options(device="cpu", cases=("wgan",))
    rows = list(itertools.islice(device_parity.compare(options), 2))
    assert [(row["precision"], row["twin"]) for row in rows] == [
        ("float64", "torch"),
        ("float64", "jax"),
    ]
    assert rows[0]["arrays"] == 0
    assert 0 < rows[1]["arrays"] < 1e-12
    assert rows[0]["repeats"]
