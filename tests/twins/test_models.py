"""Networks of each twin: what is refused, and what users may add."""

import dataclasses
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.randomness.initial_weights import initial_arrays
from support import Twin

_DATA = DataInfo(1, 3, 4, "")


@pytest.fixture
def models(twin: Twin) -> ModuleType:
    return importlib.import_module(f"gans_{twin.name}.models")


@pytest.fixture(params=["dcgan", "mlp", "sngan-resnet", "biggan", "r3gan", "stylegan2"])
def config(request: pytest.FixtureRequest) -> TrainConfig:
    return dataclasses.replace(
        PRESETS["cgan"],
        architecture=request.param,
        image_size=8,
        width=4,
        z_dim=5,
        g_norm="none" if request.param in ("r3gan", "stylegan2") else "batch",
        d_norm="none",
    )


@pytest.fixture
def register(
    models: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """`register_architecture` of this twin, forgotten after the test."""
    for table in (ARCHITECTURES, models.ARCHITECTURES):
        # Set anew with what it holds, a name is restored: and here, taken out again.
        monkeypatch.setitem(table, "of-a-test", None)
        del table["of-a-test"]
    return models.register_architecture


def test_a_conditional_generator_needs_labels(
    twin: Twin, models: ModuleType, config: TrainConfig
) -> None:
    generator = models.build_generator(config, _DATA)
    with pytest.raises(ValueError, match="labels None: a conditional generator"):
        generator(twin.zeros(2, 5))


def test_a_conditional_discriminator_needs_labels(
    twin: Twin, models: ModuleType, config: TrainConfig
) -> None:
    discriminator = models.build_discriminator(config, _DATA)
    shape = (2, 1, 8, 8) if twin.name == "torch" else (2, 8, 8, 1)
    with pytest.raises(ValueError, match="labels None: a conditional discriminator"):
        discriminator(twin.zeros(*shape))


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        *(("dcgan", 10), ("dcgan", 28), ("mlp", 12), ("sngan-resnet", 28)),
        *(("sngan-resnet", 48), ("sagan", 10), ("wgan-gp-resnet", 14), ("biggan", 10)),
        *(("biggan", 96), ("r3gan", 20), ("stylegan2", 14), ("stylegan2-cifar", 24)),
    ],
)
def test_images_have_the_size_that_is_asked_for(
    twin: Twin, models: ModuleType, architecture: str, size: int
) -> None:
    lacks: dict[str, Any] = dict(ARCHITECTURES[architecture].lacks)
    config = dataclasses.replace(
        PRESETS["dcgan"],
        architecture=architecture,
        image_size=size,
        width=2,
        z_dim=7,
        **lacks,
    )
    shape = (2, 1, size, size) if twin.name == "torch" else (2, size, size, 1)

    def images() -> Any:
        return models.build_generator(config, _DATA)(twin.zeros(2, 7))

    def logits() -> Any:
        return models.build_discriminator(config, _DATA)(twin.zeros(*shape)).logits

    assert _shape_of(twin, images) == shape
    assert _shape_of(twin, logits) == (2,)


def _shape_of(twin: Twin, make: Callable[[], Any]) -> tuple[int, ...]:
    """Of what a function makes, which computes nothing for it."""
    if twin.name == "torch":
        import torch

        with torch.device("meta"):
            return tuple(make().shape)
    from flax import nnx

    return nnx.eval_shape(make).shape


def test_one_call_makes_both_networks(twin: Twin, config: TrainConfig) -> None:
    networks = importlib.import_module(f"gans_{twin.name}.networks")
    arrays = importlib.import_module(f"gans_{twin.name}.arrays")
    built = networks.build(config, _DATA, seed=7)
    for name in built._fields:
        network = getattr(built, name)
        if twin.name == "jax":
            network = importlib.import_module("gans_jax._network").Network.of(network)
        expected = initial_arrays(arrays.network_statements(network, name), seed=7)
        found = arrays.network_to_arrays(network, name)
        assert found.keys() == expected.keys()
        for key, array in expected.items():
            assert found[key].dtype == array.dtype
            np.testing.assert_array_equal(found[key], array, err_msg=key)


def test_an_array_without_a_statement_is_named(twin: Twin) -> None:
    arrays = importlib.import_module(f"gans_{twin.name}.arrays")
    with pytest.raises(ValueError, match=r"array generator\.inner\.scale: no layer"):
        arrays.network_statements(_without_statement(twin), "generator")


def _without_statement(twin: Twin) -> Any:
    """A network that holds another, whose array ``scale`` nobody speaks of."""
    if twin.name == "torch":
        import torch

        inner = torch.nn.ParameterDict({"scale": torch.nn.Parameter(torch.zeros(3))})
        return torch.nn.ModuleDict({"inner": inner})
    from flax import nnx

    from gans_jax._network import Network

    inner = nnx.Dict({"scale": nnx.Param(twin.zeros(3))})
    return Network.of(nnx.Dict({"inner": inner}))


def test_an_array_that_two_layers_hold_has_one_name(twin: Twin) -> None:
    arrays, layers = (
        importlib.import_module(f"gans_{twin.name}.{name}")
        for name in ("arrays", "layers")
    )
    one = layers.Linear(2, 3)
    if twin.name == "torch":
        import torch

        network = torch.nn.ModuleDict({"one": one, "two": one})
    else:
        from flax import nnx

        from gans_jax._network import Network

        network = Network.of(nnx.Dict({"one": one, "two": one}))
    names = {"generator.one.weight", "generator.one.bias"}
    assert arrays.network_statements(network, "generator").keys() == names
    stored = {name: 1 + x for name, x in arrays.network_to_arrays(network, "g").items()}
    network = arrays.arrays_to_network(network, "g", stored) or network
    found = arrays.network_to_arrays(network, "g")
    assert found.keys() == stored.keys()
    for name, array in stored.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_user_adds_an_architecture(
    twin: Twin, register: Callable[..., None], models: ModuleType
) -> None:
    layers = importlib.import_module(f"gans_{twin.name}.layers")

    def make(config: TrainConfig, data: DataInfo) -> Any:
        return layers.MinibatchStd(config.width + data.channels)

    traits = {"has_feature_maps": False, "separable": True, "makes_rectangles": True}
    register("of-a-test", make, make, makes_points=True, **traits)
    config = dataclasses.replace(
        PRESETS["ring"], architecture="of-a-test", g_norm="none", width=5
    )
    dataclasses.replace(config, d_norm="none", accumulate=2)
    dataclasses.replace(config, dataset="digits", image_size=(8, 12))
    assert models.build_generator(config, _DATA).group_size == 6
    assert models.build_discriminator(config, _DATA).group_size == 6
    with pytest.raises(UsageError, match="normalise in of-a-test"):
        dataclasses.replace(config, d_norm="instance")
    # Another one, as when a cell of a notebook is run again.
    register("of-a-test", print, print)
    with pytest.raises(UsageError, match="ring needs mlp"):
        dataclasses.replace(config, accumulate=2)
    with pytest.raises(UsageError, match="'dcgan': is taken"):
        register("dcgan", make, make)


def test_a_users_architecture_makes_images_unless_it_says_more(
    register: Callable[..., None],
) -> None:
    register("of-a-test", print, print)
    config = dataclasses.replace(
        PRESETS["dcgan"], architecture="of-a-test", g_norm="none", d_norm="instance"
    )
    with pytest.raises(UsageError, match="meet in architecture of-a-test"):
        dataclasses.replace(config, accumulate=2)
    with pytest.raises(UsageError, match=r"^image_size 8x12: of-a-test makes"):
        dataclasses.replace(config, image_size=(8, 12))
    with pytest.raises(UsageError, match="ring needs mlp;"):
        dataclasses.replace(PRESETS["ring"], architecture="of-a-test")


def test_an_architecture_nobody_added_is_refused() -> None:
    with pytest.raises(UsageError, match="architecture dcgam: must be one of dcgan"):
        dataclasses.replace(PRESETS["dcgan"], architecture="dcgam")
