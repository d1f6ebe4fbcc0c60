"""What cannot fit is refused in a line with numbers; what works is never refused."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shared.config import limits
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.errors import UsageError
from support import Twin

GIB = 2**30


@pytest.fixture(autouse=True)
def small_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_host_memory", lambda: 16 * GIB)


def _refusal(call: Callable[..., None], *arguments: Any) -> str:
    with pytest.raises(UsageError) as error:
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "device", "told"),
    [
        (
            {"width": 1000000},
            "auto",
            "--width 1000000: with --image-size 32, --z-dim 100, --batch-size 64,"
            " --n-critic 1 networks and optimisers take 3.41 PiB at least, and no"
            " device has more than 4 TiB",
        ),
        ({"width": 3000}, "cpu", "at least, and this machine has 16 GiB"),
        ({"n_critic": 1000000}, "cpu", "--n-critic 1000000: with"),
        ({"n_critic": 1000000000, "z_dim": 1}, "auto", "a single step would take"),
        ({"z_dim": 10**9}, "auto", "--z-dim 1000000000: with"),
        ({"batch_size": 10**6}, "cpu", "D's feature maps of one batch take 26.7 GiB"),
        ({"batch_size": 10**9}, "auto", "the random numbers of one step take"),
        ({"architecture": "mlp", "width": 10**5}, "cpu", "networks and optimisers"),
        ({"minibatch_discrimination": 10**8}, "cpu", "networks and optimisers take"),
        ({"penalty": "dragan", "d_norm": "layer", "batch_size": 10**7}, "x", "numbers"),
        ({"instance_noise": 0.1, "batch_size": 10**7}, "x", "random numbers"),
    ],
)
def test_what_cannot_fit_is_refused(
    changes: dict[str, Any], device: str, told: str
) -> None:
    config = dataclasses.replace(PRESETS["dcgan"], **changes)
    assert told in _refusal(limits.check_limits, config, device)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_works_is_not_refused(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of 512 as wide as the paper's take more.
    memory = 16 * GIB if PRESETS[preset].batch_size == 512 else GIB
    monkeypatch.setattr(limits, "_host_memory", lambda: memory)
    limits.check_limits(PRESETS[preset], "cpu")


def test_an_unknown_architecture_is_not_judged() -> None:
    traits = dataclasses.replace(
        limits.ARCHITECTURES["dcgan"], least_weights=None, least_features=None
    )
    config = dataclasses.replace(PRESETS["dcgan"], width=10**9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(limits.ARCHITECTURES, "dcgan", traits)
        limits.check_limits(config, "auto")


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        *(("dcgan", 8), ("dcgan", 28), ("dcgan", 64), ("mlp", 16)),
        *(("sngan-resnet", 8), ("sngan-resnet", 32), ("sngan-resnet", 64)),
        *(("sngan-resnet", 56), ("sngan-resnet", 112)),
        *(("sagan", 16), ("wgan-gp-resnet", 16), ("r3gan", 16), ("r3gan", 28)),
        *(("biggan", 8), ("biggan", 32), ("biggan", 64), ("biggan", 56)),
        *(("stylegan2", 14), ("stylegan2", 16), ("stylegan2-cifar", 32)),
    ],
)
def test_estimates_are_below_the_truth(
    architecture: str, size: int, twin: Twin
) -> None:
    """And not far below: the weights of the widest layers are what counts."""
    config = TrainConfig(
        architecture=architecture,
        g_norm="batch" if architecture == "biggan" else "none",
        d_norm="none",
        width=16 if architecture == "biggan" else 64,
        image_size=size,
        z_dim=7,
    )
    traits = limits.ARCHITECTURES[architecture]
    assert traits.least_weights is not None
    least = traits.least_weights(config.width, size, 7)
    info = twin.library.data.DataInfo(1, 2, 6, "")
    backend = twin.library.make_backend(config, info, "cpu")
    true = sum(map(math.prod, backend.shapes().values()))
    assert 0.6 * true < least <= true


@pytest.mark.parametrize("threads", [0, -1, 10**6])
def test_threads_are_refused_out_of_range(threads: int) -> None:
    assert f"--threads {threads}: must be" in _refusal(limits.check_threads, threads)


def test_samples_that_cannot_fit_are_refused() -> None:
    config = PRESETS["dcgan"]
    limits.check_drawn(10**6, config)
    told = _refusal(limits.check_drawn, 10**10, config)
    assert told.startswith("--num 10000000000: so many samples take 13 TiB at least")
    # A point takes little, whatever size images would have.
    limits.check_drawn(10**6, PRESETS["ring"])
    told = _refusal(limits.check_drawn, 10**12, PRESETS["ring"], "n")
    assert told.startswith("n 1000000000000: so many samples take 14.6 TiB at least")


def test_who_trains_on_a_batch_that_nobody_holds_may_still_draw(twin: Twin) -> None:
    """Many devices have trained it; one has to hold its networks alone."""
    config = dataclasses.replace(PRESETS["dcgan"], width=4, batch_size=10**8)
    info = twin.library.data.DataInfo(1, 0, 10**8, "")
    backend = twin.library.make_backend(config, info, "cpu")
    data = twin.library.data.ImageData(
        np.zeros((1, 32, 32, 1), np.uint8), None, (), info
    )
    told = _refusal(backend.load_data, data)
    assert told.startswith("--batch-size 100000000: with")
    assert "D's feature maps of one batch take" in told
    backend.devices = 10**6
    backend.load_data(data)


def test_networks_that_a_device_has_no_room_for_are_not_made(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(PRESETS["dcgan"], width=4)
    info = twin.library.data.DataInfo(1, 0, 9, "")
    monkeypatch.setattr(limits, "_host_memory", lambda: 10**5)
    told = _refusal(twin.library.make_backend, config, info, "cpu")
    assert "networks and optimisers take" in told


def test_from_python_too_draws_are_counted_before_anything_is_made(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {"image_size": 8, "width": 2, "batch_size": 4, "steps": 1}
    config = dataclasses.replace(PRESETS["dcgan"], **small)
    data = twin.library.data.from_arrays(np.zeros((9, 8, 8, 1), np.uint8))
    monkeypatch.setattr(limits, "_host_memory", lambda: 1000)
    told = _refusal(twin.library.fit, config, data)
    assert "the random numbers of one step take" in told


@pytest.mark.parametrize("memory", [1, None])
def test_a_device_with_too_little_memory_is_named(memory: int | None) -> None:
    config = dataclasses.replace(PRESETS["dcgan"], width=1000)
    if memory is None:
        limits.check_memory(config, None, "the device cpu")
        return
    told = _refusal(limits.check_memory, config, GIB, "the device cuda")
    assert told.endswith("and the device cuda has 1 GiB")
