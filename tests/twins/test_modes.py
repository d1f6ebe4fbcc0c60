"""Modes and random numbers of PyTorch, which a user has chosen around a call."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.data.arrays import from_arrays
from shared.errors import UsageError
from support import Twin

if TYPE_CHECKING:
    from shared.training.driver import TrainedRun

pytestmark = pytest.mark.needs("torch")

_TINY: dict[str, Any] = {"steps": 2, "width": 2, "z_dim": 3, "batch_size": 4}
CONFIG = dataclasses.replace(PRESETS["cgan"], image_size=8, evaluate_every=2, **_TINY)
_RNG = np.random.default_rng(0)
DATA = from_arrays(_RNG.integers(0, 256, (64, 8, 8, 1), np.uint8), np.arange(64) % 4)


@pytest.fixture(scope="module")
def run() -> "TrainedRun":
    return Twin("torch").library.fit(CONFIG, DATA, device="cpu")


@pytest.mark.parametrize("name", ["no_grad", "inference_mode", "autocast"])
def test_what_a_user_has_chosen_changes_nothing(name: str, run: "TrainedRun") -> None:
    import torch

    gans = Twin("torch").library
    modes: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    }
    z, ids = torch.ones(2, 3), torch.tensor([1, 2])
    loaded = gans.load_generator(run, device="cpu")
    expected = loaded(z, ids), loaded.sample(8)
    scores = gans.evaluate(run, DATA, num=16, draws=1, device="cpu").values
    with modes[name]():
        again = gans.fit(CONFIG, DATA, device="cpu")
        generator = gans.load_generator(run, device="cpu")
        networks = gans.build(CONFIG, DATA.info, 0)
        found = generator(z, ids), generator.sample(8)
        rescored = gans.evaluate(run, DATA, num=16, draws=1, device="cpu").values
    for array, other in zip(run.arrays.values(), again.arrays.values(), strict=True):
        np.testing.assert_array_equal(array, other)
    assert run.scores == again.scores
    assert rescored == scores
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=0)
    np.testing.assert_array_equal(found[1], expected[1])
    for module in (generator, networks.generator):  # can be trained outside
        module(z, ids).sum().backward()


def test_what_augments_outside_of_training_trains_later() -> None:
    import torch

    from gans_torch import ada
    from shared.randomness.ada import FIELDS

    images = torch.rand(2, 3, 20, 20, requires_grad=True)  # of a size of its own
    maps = ada.maps_of(torch.ones(2, FIELDS), 0.0)
    with torch.inference_mode():
        ada.augment(images, maps)
    ada.augment(images, maps).sum().backward()
    assert images.grad is not None


def _precisions() -> list[str]:
    """What PyTorch says of a GPU's precision, by its newer switches and the older."""
    import torch

    gpu: Any = torch.backends
    places = (gpu, gpu.cudnn, gpu.cuda.matmul, gpu.cudnn.conv, gpu.cudnn.rnn)
    said = [place.fp32_precision for place in places]
    for ask in (
        torch.get_float32_matmul_precision,
        lambda: gpu.cuda.matmul.allow_tf32,
        lambda: gpu.cudnn.allow_tf32,
    ):
        try:
            said.append(str(ask()))
        except RuntimeError:  # both kinds were used
            said.append("unknown")
    return said


@pytest.fixture
def own_precision() -> Iterator[None]:
    """Where a test may choose any; PyTorch's own comes back."""
    import torch

    gpu: Any = torch.backends
    before = _precisions()
    yield
    torch.set_float32_matmul_precision("highest")
    gpu.cudnn.allow_tf32 = True
    for place in (gpu, gpu.cudnn, gpu.cuda.matmul, gpu.mkldnn.matmul):
        place.fp32_precision = "none"
    assert _precisions() == before


def _choose(*words: str) -> None:
    """``cudnn.conv=ieee`` by the newer switches, ``high`` by the older."""
    import torch

    for word in words:
        path, is_newer, precision = word.partition("=")
        if is_newer:
            names = path.split(".") if path else []
            place: Any = functools.reduce(getattr, names, torch.backends)
            place.fp32_precision = precision
        else:
            torch.set_float32_matmul_precision(word)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["medium"],
        ["high"],
        ["=tf32"],
        ["=ieee"],
        ["cuda.matmul=tf32"],
        ["cudnn=tf32"],
        ["cudnn.conv=ieee"],
        ["cudnn.conv=tf32", "cuda.matmul=tf32"],
    ],
    ids=str,
)
def test_a_sample_is_of_float32_and_leaves_the_users_precision(
    words: list[str], run: "TrainedRun", own_precision: None
) -> None:
    generator = Twin("torch").library.load_generator(run, device="cpu")
    _choose(*words)
    chosen, meanwhile = _precisions(), []
    generator.network.register_forward_hook(lambda *_: meanwhile.append(_precisions()))
    generator.sample(2)
    assert meanwhile[0][2:4] == ["ieee", "ieee"]
    assert _precisions() == chosen


def test_a_precision_that_followed_another_still_does_after_a_sample(
    run: "TrainedRun", own_precision: None
) -> None:
    _choose("=tf32")
    Twin("torch").library.load_generator(run, device="cpu").sample(2)
    _choose("=ieee")
    assert _precisions()[2] == "ieee"


def test_a_classifier_is_of_float32_in_a_run_of_tf32(own_precision: None) -> None:
    import torch

    from gans_torch.backend import _set_matmul_precision
    from gans_torch.classifier import Classifier

    config = dataclasses.replace(CONFIG, precision="tf32")
    _set_matmul_precision(config, torch.device("cuda"))
    classifier, found = Classifier(1, 4, 8, torch.device("cpu")), []

    def note(*_: object) -> None:
        found.append(_precisions()[2:4])

    classifier._network.register_forward_hook(note)
    next(classifier._network.parameters()).register_hook(note)
    images = np.zeros((4, 8, 8, 1), np.uint8)
    classifier.train(images, np.arange(4, dtype=np.int32), 1e-3)
    classifier.predict(images)
    assert found == [["ieee", "ieee"]] * 3
    assert _precisions()[2:4] == ["tf32", "tf32"]


def test_what_a_run_sets_is_undone_after_it(
    run: "TrainedRun", own_precision: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from gans_torch import backend

    # As on a GPU, where alone a run sets them.
    for name in ("_set_matmul_precision", "_set_determinism"):
        of_gpu = functools.partial(getattr(backend, name), device=torch.device("cuda"))
        monkeypatch.setattr(backend, name, lambda wanted, _, set=of_gpu: set(wanted))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    gans, seen = Twin("torch").library, []

    def note(*_: object) -> None:
        own = torch.get_deterministic_debug_mode(), torch.backends.cudnn.deterministic
        seen.append((*_precisions()[2:4], *own))

    def evaluate(*_: object) -> None:
        note()
        gans.evaluate(run, DATA, num=16, draws=1, device="cpu")
        note()

    config = dataclasses.replace(CONFIG, precision="tf32", steps=1, log_every=1)
    torch.set_deterministic_debug_mode("warn")
    try:
        note()
        gans.fit(config, DATA, device="cpu", deterministic=True, on_record=evaluate)
        note()
    finally:
        torch.set_deterministic_debug_mode("default")
    before, outer, again, after = seen
    assert outer == again == ("tf32", "tf32", 2, True)
    assert after == before
    assert after[2:] == (1, False)


def test_random_numbers_are_left_to_the_user(run: "TrainedRun", tmp_path: Path) -> None:
    import torch

    gans = Twin("torch").library
    before = torch.get_rng_state()
    for call in (
        lambda: gans.fit(CONFIG, DATA, device="cpu"),
        lambda: gans.load_generator(run, device="cpu"),
        lambda: gans.build(CONFIG, DATA.info, 0),
        lambda: gans.evaluate(run, DATA, num=16, draws=1, device="cpu"),
        lambda: gans.export(run, tmp_path / "hub"),
    ):
        call()
        assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_may_be_made_of_another_type(run: "TrainedRun") -> None:
    import torch

    z, ids = torch.ones(2, 3), torch.tensor([1, 2])
    generator = Twin("torch").library.load_generator(run, device="cpu")
    expected, drawn = generator(z, ids), generator.sample(8, seed=1).astype(int)
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.float32):
        generator.to(dtype)
        found = generator(z, ids)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.05)
        assert abs(generator.sample(8, seed=1) - drawn).max() <= 4
        assert generator.batch_statistics(np.ones((2, 3), np.float32), ids.numpy())


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_files_are_of_float32_whatever_the_default(format: str, tmp_path: Path) -> None:
    import torch

    gans = Twin("torch").library
    config = dataclasses.replace(
        PRESETS["biggan"], image_size=32, **_TINY | {"z_dim": 4}
    )
    data = from_arrays(np.resize(DATA.images, (16, 32, 32, 1)), np.arange(16) % 4)
    run = gans.fit(config, data, device="cpu")
    file = tmp_path / {"onnx": "file.onnx", "torch": "file.pt2"}[format]
    torch.set_default_dtype(torch.float64)
    try:
        gans.export(run, file, format)
    finally:
        torch.set_default_dtype(torch.float32)
    if format == "torch":
        z = torch.zeros(3, config.z_dim)
        module = torch.export.load(file).module()
        assert module(z, torch.tensor([0, 1, 2])).dtype == torch.float32


def test_a_cpu_whose_convolutions_in_bfloat16_are_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gans_torch import _modes

    _modes.check_bfloat16()  # so this one's are right, as it is kept from AMX
    right = _modes.conv2d
    # What oneDNN makes with AMX: one row of the kernel counts.
    monkeypatch.setattr(_modes, "conv2d", lambda *a, **named: right(*a, **named) / 8)
    Twin("torch").library.fit(CONFIG, DATA, device="cpu")
    config = dataclasses.replace(CONFIG, precision="bfloat16")
    rule = "precision bfloat16: this processor's convolutions are wrong in PyTorch"
    with pytest.raises(UsageError, match=rule):
        Twin("torch").library.fit(config, DATA, device="cpu")
