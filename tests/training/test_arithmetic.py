"""Threads are the run's, not the machine's; a GPU is deterministic if it is told to."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.backend import Arithmetic
from shared.config.presets import PRESETS
from shared.data import points
from shared.data.image_data import DataInfo
from shared.training import driver
from shared.training.session import Session
from support import TINY, Train, Twin, copy, last_checkpoint, stopped


@pytest.mark.needs("torch")
def test_torch_computes_with_as_many_threads_as_before(
    data_dir: Path, tmp_path: Path
) -> None:
    import torch

    from gans_torch.train import main

    flags = ["--data-dir", str(data_dir), "--device", "cpu"]
    usual = torch.get_num_threads()
    try:
        main([*TINY, *flags, "--run-dir", str(tmp_path), "--threads", str(usual + 1)])
        assert torch.get_num_threads() == usual + 1
        torch.set_num_threads(usual)  # as in a process of its own
        main(["--resume", str(tmp_path), "--steps", "7", *flags])
        assert torch.get_num_threads() == usual + 1
    finally:
        torch.set_num_threads(usual)
    assert json.loads((tmp_path / "config.json").read_text())["threads"] == usual + 1


@pytest.mark.parametrize(
    ("asked", "before", "now", "told"),
    [
        (None, None, 4, None),
        (1, 1, 1, None),
        (2, None, 1, "--threads 2: this process computes with 1 already"),
        (1, 2, 1, "--threads 1: the run was trained with 2; from here on it rounds"),
        (
            None,
            9999,
            9999,
            "computing with 9999 threads, as the run was started with, on ",
        ),
    ],
)
def test_other_threads_are_told(
    asked: int | None, before: int | None, now: int, told: str | None
) -> None:
    said: list[str] = []
    driver._tell_threads(asked, before, now, said.append)
    assert bool(said) is (told is not None)
    if told is not None:
        (line,) = said
        assert line.startswith(told)


def test_a_run_goes_on_with_its_own_threads(
    twin: Twin,
    train: Train,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(finished, tmp_path)
    config = json.loads((run / "config.json").read_text())
    seen = []
    module = sys.modules[f"gans_{twin.name}.train"]
    make: Any = module.make_backend  # pyrefly: ignore[missing-attribute]

    def make_backend(*arguments: Any) -> Any:
        seen.append(arguments[3])
        return make(*arguments[:3])

    monkeypatch.setattr(module, "make_backend", make_backend)
    resume = ("--resume", run, "--device", "cpu", "--steps", 7)
    train(*resume)
    train(*resume, "--threads", 3, "--deterministic")
    assert seen == [Arithmetic(config["threads"], False), Arithmetic(3, True)]
    config["threads"] = "many"
    (run / "config.json").write_text(json.dumps(config))
    stopped(2, lambda: train(*resume))
    assert "config.json: unreadable: threads 'many'" in capsys.readouterr().err


def test_on_a_cpu_deterministic_changes_nothing(
    train: Train, finished: Path, tmp_path: Path
) -> None:
    train("dcgan", *TINY, "--run-dir", tmp_path / "run", "--deterministic")
    ours, theirs = last_checkpoint(tmp_path / "run"), last_checkpoint(finished)
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.needs("torch")
def test_torch_sets_the_switches_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from gans_torch import backend

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    was = torch.are_deterministic_algorithms_enabled()
    try:
        for wanted in (True, False):
            backend._set_determinism(wanted, torch.device("cuda"))
            assert torch.are_deterministic_algorithms_enabled() is wanted
            assert torch.backends.cudnn.deterministic is wanted
        assert backend.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        backend._set_determinism(True, torch.device("cpu"))
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(was)


@pytest.mark.needs("torch")
def test_torch_multiplies_in_tf32_where_that_is_asked_for() -> None:
    import torch

    from gans_torch import backend

    backends: Any = torch.backends
    switches = (backends.cuda.matmul, backends.cudnn.conv)
    before = [switch.fp32_precision for switch in switches]
    try:
        for precision, is_set in (("tf32", "tf32"), ("float32", "ieee")):
            config = dataclasses.replace(PRESETS["ring"], precision=precision)
            backend._set_matmul_precision(config, torch.device("cuda"))
            assert [switch.fp32_precision for switch in switches] == [is_set] * 2
    finally:
        for switch, was in zip(switches, before, strict=True):
            switch.fp32_precision = was


@pytest.mark.needs("jax")
def test_jax_sets_the_switch_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from gans_jax import backend

    switch = {"xla_gpu_deterministic_ops": True}
    assert backend._compiler_options(True, "gpu") == switch
    assert backend._compiler_options(False, "gpu") == {}
    assert backend._compiler_options(True, "cpu") == {}
    # The steps are compiled with it, and XLA, which refuses others, knows it.
    config = dataclasses.replace(PRESETS["ring"], width=2, batch_size=4)
    data = points.load("ring")
    made = backend.Backend(config, data.info, "cpu", Arithmetic(deterministic=True))
    session = Session(config, data, made)
    for options in (switch, {"xla_no_such_switch": True}):
        session.start()
        made._compiler_options = options
        made.__dict__.pop("_train_steps", None)
        if options is switch:
            session.run(1)
            continue
        with pytest.raises(Exception, match="xla_no_such_switch"):
            session.run(1)
    # So is what images are judged by.
    judge: Any = made.classifier(DataInfo(1, 2, 64, ""), 16)
    images, labels = np.zeros((2, 16, 16, 1), np.uint8), np.zeros(2, np.int32)
    for call in (lambda: judge.predict(images), lambda: judge.train(images, labels, 1)):
        with pytest.raises(Exception, match="xla_no_such_switch"):
            call()
    monkeypatch.setattr(backend, "_started", [])
    monkeypatch.setenv("NPROC", "3")
    assert backend._start_threads(None) == 3
    assert backend._start_threads(5) == 3  # too late
