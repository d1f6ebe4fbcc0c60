import contextlib
import dataclasses
from typing import Any

import numpy as np
import pytest

from benchmarks.cases import CASES
from benchmarks.flops import discriminator_flops, generator_flops, step_flops
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.sizes import height_and_width
from shared.training.session import Session


def test_networks_equal_a_hand_count() -> None:
    # 64x64x3, width 64: kernel * in * out * pixels, two operations each.
    inner = 2 * 16 * 64 * 128 * 16 * 16
    edge = 2 * 16 * 3 * 64 * 32 * 32
    config = CASES["dcgan-64"].config
    d, g = discriminator_flops(config, 3), generator_flops(config, 3)
    assert d.blocks == (edge, inner, inner, inner)
    assert d.heads == (2 * 16 * 512,)
    assert g.blocks == (2 * 16 * 100 * 512, inner, inner, inner, edge)


def test_the_dcgan_step_is_eleven_passes() -> None:
    case = CASES["dcgan-64"]
    one_pass = generator_flops(case.config, 3).forward
    assert one_pass == pytest.approx(0.209e9, rel=0.01)
    step = step_flops(case.config, 3)
    # 11 passes, less the gradients of the images, which D's update does not need.
    assert step == pytest.approx(11 * one_pass, rel=0.015)


def test_a_critic_update_is_thirteen_passes() -> None:
    config = CASES["wgan-gp-64"].config
    one_pass = generator_flops(config, 1).forward
    steps = [
        step_flops(dataclasses.replace(config, n_critic=n), 1) / one_pass
        for n in (1, 2)
    ]
    assert steps[1] - steps[0] == pytest.approx(13, rel=0.015)
    assert steps[0] == pytest.approx(17, rel=0.015)


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("dcgan", {}),
        ("dcgan", {"image_size": 8}),
        ("dcgan", {"image_size": (8, 12), "minibatch_discrimination": 3}),
        ("dcgan", {"image_size": 28, "minibatch_discrimination": 3}),
        ("wgan-gp", {}),
        ("wgan-gp", {"penalty": "r1-r2", "n_critic": 1}),
        ("wgan-gp", {"penalty": "r1", "d_weight_norm": "spectral", "n_critic": 1}),
        ("quick", {}),
        ("relativistic", {"d_weight_norm": "none"}),
        ("cgan", {"feature_matching": 1.0, "aux_classifier": 1.0}),
        ("dcgan", {"minibatch_discrimination": 3, "minibatch_std": 4}),
    ],
)
def test_the_count_is_what_pytorch_executes(
    preset: str, changes: dict[str, Any]
) -> None:
    small: dict[str, Any] = {"image_size": 16, "width": 4, "batch_size": 4, **changes}
    config = dataclasses.replace(PRESETS[preset], **small)
    executed = _executed_flops(config) / config.batch_size
    # Double backward executes one product of the logits' layer that nothing needs.
    assert executed == pytest.approx(step_flops(config, 3, 10), rel=1e-3)


def test_other_networks_are_refused() -> None:
    config = dataclasses.replace(PRESETS["dcgan"], architecture="mlp")
    with pytest.raises(ValueError, match="architecture 'mlp'"):
        step_flops(config, 1)


class _NoModules(contextlib.AbstractContextManager[None]):
    parents = frozenset({"Global"})

    def __exit__(self, *error: object) -> None:
        pass


def _executed_flops(config: TrainConfig) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    from gans_torch.backend import Backend

    shape = (8, *height_and_width(config.image_size), 3)
    info = DataInfo(3, 10, 8, "")
    labels = np.arange(8, dtype=np.int32)
    data = ImageData(np.zeros(shape, np.uint8), labels, (), info)
    session = Session(config, data, Backend(config, info, "cpu"))
    session.start()
    prepared = session.prepare(range(1))
    counter = FlopCounterMode(display=False)
    # It counts by module with hooks, which a penalty's autograd.grad cannot run.
    counter.mod_tracker = _NoModules()  # pyrefly: ignore
    with counter:
        session.train(prepared)
    return counter.get_total_flops()
