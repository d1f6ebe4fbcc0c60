"""Trained generators: what they draw, and that they are modules of the framework."""

import copy
import dataclasses
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.drawing.samples import draw_images
from shared.errors import UsageError
from shared.library.generators import load_standing
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.generator import generator_of as generator_state
from shared.run.restore import load_backend
from shared.run.standing import stand
from support import Train, Twin, forged_state, last_checkpoint

SMALL: dict[str, Any] = {"image_size": 8, "width": 2, "z_dim": 3, "batch_size": 4}
INFO = DataInfo(channels=1, num_classes=10, count=100, sha256="")


def state_of(twin: Twin, config: TrainConfig) -> Checkpoint:
    return forged_state(twin, config, INFO)


def generator_of(twin: Twin, state: Checkpoint) -> Any:
    module = importlib.import_module(f"gans_{twin.name}.trained")
    return module.TrainedGenerator(state, "cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9},
        {"precision": "bfloat16"},
        {"precision": "float64", "g_weight_norm": "spectral"},
        {"precision": "tf32", "conditional": True, "g_norm": "conditional-batch"},
    ],
    ids=str,
)
def test_images_are_those_of_the_command(changes: dict[str, Any], twin: Twin) -> None:
    config = TrainConfig(**(SMALL | changes))
    cpu = dataclasses.replace(config, precision="float32")
    if config.precision == "tf32":  # which no CPU has
        state = state_of(twin, cpu)._replace(config=config)
    else:
        state = state_of(twin, config)
    generator = generator_of(twin, state)
    labels = np.arange(70, dtype=np.int32) % 10 if config.conditional else None
    backend = load_backend(state, "state", twin.library.make_backend, "cpu")
    z = noise.normal(3, "drawn samples", 0, 70, config.z_dim)
    drawn = generator.sample(70, labels=labels, seed=3)
    assert drawn.dtype == np.uint8
    assert np.ptp(drawn) > 2
    np.testing.assert_array_equal(drawn, draw_images(backend, z, labels))
    # Without labels, the classes in turn.
    np.testing.assert_array_equal(generator.sample(70, seed=3), drawn)
    # However it is used in between, and as a copy.
    generator.train()
    for again in (generator, copy.deepcopy(generator), generator):
        np.testing.assert_array_equal(again.sample(70, labels, seed=3), drawn)


def test_the_five_lines_of_a_stranger(
    twin: Twin, finished: Path, sample: Train, tmp_path: Path
) -> None:
    drawn = twin.library.load_generator(finished, device="cpu").sample(8, seed=5)
    sample(finished, "--num", 8, "--seed", 5, "--out", tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        grid = np.asarray(picture)[..., np.newaxis]
    np.testing.assert_array_equal(images.grid(drawn, columns=8), grid)


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_a_run_of_either_twin_is_loaded(twin: Twin, finished: Path) -> None:
    other = Twin({"torch": "jax", "jax": "torch"}[twin.name])
    ours, theirs = (
        one.library.load_generator(finished, device="cpu").sample(20).astype(int)
        for one in (twin, other)
    )
    assert np.abs(ours - theirs).max() <= 1


def test_a_checkpoint_is_chosen(twin: Twin, finished: Path, tmp_path: Path) -> None:
    load = twin.library.load_generator
    third = finished / "checkpoints" / "000003.safetensors"
    moved = shutil.copy(third, tmp_path / "moved.safetensors")
    assert load(finished, device="cpu").step == 6
    for run, step in ((finished, 3), (str(third), None), (moved, None)):
        assert load(run, step, "cpu").step == 3
    with pytest.raises(UsageError, match=r"^standing_stats 0: must be 1"):
        load(finished, device="cpu", standing_stats=0)
    for run, step, device, message in (
        (finished, 4, "cpu", r"^step 4: .* has no such checkpoint; has 3, 6"),
        (finished, "best", "cpu", "^step best: .* without evaluate_every"),
        (finished, None, "nonsense", "^device nonsense: no such device"),
        (tmp_path / "none", None, "cpu", "^run .*none: no such folder"),
    ):
        with pytest.raises(UsageError, match=message):
            load(run, step, device)


def test_arrays_of_other_networks_are_refused(twin: Twin, finished: Path) -> None:
    state = checkpoint.load(last_checkpoint(finished))
    wider = dataclasses.replace(state.config, width=8)
    with pytest.raises(UsageError, match=r"generator\..* its configuration needs"):
        generator_of(twin, state._replace(config=wider))


def test_what_is_no_run_and_no_file_is_refused(twin: Twin) -> None:
    library = twin.library
    for call, message in (
        (lambda: library.load_generator(None), "run None: must be a path or what fit"),
        (lambda: library.load_generator(3), "run 3: must be a path or what fit"),
        (lambda: library.load_generator("run", "end"), "step 'end': must be None, a"),
        (lambda: library.load_plugin(3), "path 3: must be a path"),
        (lambda: library.export("run", format="png"), "format 'png': must be one of"),
    ):
        with pytest.raises(UsageError, match=f"^{message}"):
            call()


def test_what_cannot_be_drawn_is_refused(twin: Twin) -> None:
    plain = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    classes = generator_of(twin, state_of(twin, TrainConfig(**SMALL, conditional=True)))
    for generator, arguments, message in (
        (plain, {"n": 0}, "^n 0: must be 1 or more"),
        (plain, {"n": 2.5}, "^n 2.5: must be a whole number"),
        (plain, {"n": 2, "seed": -1}, "^seed -1: must be 0 or more"),
        (plain, {"n": 2, "truncation": 0.0}, "^truncation 0.0: must be 0.05 or more"),
        (plain, {"n": True}, "^n True: must be a whole number"),
        (plain, {"n": 2, "seed": False}, "^seed False: must be a whole number"),
        (plain, {"n": 2, "truncation": "0.5"}, "^truncation '0.5': must be None or a"),
        (plain, {"n": 2, "truncation": [0.5]}, "^truncation of type list: must be"),
        (plain, {"n": 2, "truncation": twin.zeros()}, "^truncation of type .*: must"),
        (plain, {"n": 2, "labels": 1}, "^labels 1: the run is not conditional"),
        (classes, {"n": 2, "labels": 10}, "^labels 10: must be from 0 to 9"),
        (classes, {"n": 2, "labels": [1, 2, 3]}, "must be a class id, or 2 of them"),
        (classes, {"n": 2, "labels": 0.5}, "^labels 0.5: must be None, a whole numb"),
        (classes, {"n": 2, "labels": [0.5]}, r"^labels \[0.5\]: must be a class id"),
        (classes, {"n": 2, "labels": [[1], [1, 2]]}, "^labels: cannot be made an arr"),
        (
            classes,
            {"n": 2, "labels": np.ma.masked_equal([1, 2], 2)},
            "^labels: must have no masked values",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            generator.sample(**arguments)
    for generator, labels, n, line in (
        (plain, np.zeros((3, 1), int), 3, "labels array([[0], [0], [0]]): the run is"),
        (classes, np.zeros((3, 1), int), 3, "labels array([[0], [0], [0]]): must be a"),
        (classes, [3] * 2000, 5, f"labels [{'3, ' * 13}...: must be a class id, or 5"),
        (classes, [3] * 1999 + [12], 2000, "labels 12: must be from 0 to 9"),
    ):
        with pytest.raises(UsageError) as stop:
            generator.sample(n, labels=labels)
        assert str(stop.value).startswith(line)
        assert "\n" not in str(stop.value)
        assert len(str(stop.value)) < 100
    np.testing.assert_array_equal(plain.sample(np.int64(2)), plain.sample(2))
    one = classes.sample(3, labels=twin.array(4))
    np.testing.assert_array_equal(one, classes.sample(3, labels=[4, 4, 4]))


_ARCHITECTURES = [
    {},
    {"g_norm": "conditional-batch"},
    {"architecture": "stylegan2-cifar", "g_norm": "none", "d_norm": "none"},
]


@pytest.mark.parametrize("changes", _ARCHITECTURES, ids=str)
def test_a_class_that_is_not_there_is_refused_by_the_module(
    changes: dict[str, Any], twin: Twin
) -> None:
    config = TrainConfig(**SMALL, conditional=True, **changes)
    generator = generator_of(twin, state_of(twin, config))
    array = twin.array
    z = array(np.ones((3, 3), np.float32))
    for wrong in (10, -1):
        with pytest.raises(UsageError, match=f"^labels {wrong}: must be from 0 to 9$"):
            generator(z, array([0, wrong, 9]))
    expected = generator(z, array([0, 3, 9]))
    for kind in (np.uint8, np.int16, np.int32):
        found = generator(z, array(np.array([0, 3, 9], kind)))
        assert found.tolist() == expected.tolist()


def test_what_no_network_understands_is_refused_by_the_module(twin: Twin) -> None:
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    classes = generator_of(twin, state_of(twin, TrainConfig(**SMALL, conditional=True)))
    z, ids = twin.array(np.ones((2, 3), np.float32)), twin.array([1, 2])
    jax = twin.name == "jax"
    for module, arguments, message in (
        (generator, (z[:, :2],), r"^z of shape \[2, 2\]: must be \[n, 3\], n 1 or mo"),
        (generator, (z[0],), r"^z of shape \[3\]: must be \[n, 3\], n 1 or more$"),
        (generator, (z[:0],), r"^z of shape \[0, 3\]: must be \[n, 3\], n 1 or more$"),
        (
            generator,
            (z.astype("c8") if jax else z.cfloat(),),
            "^z of type complex64: m",
        ),
        (generator, (z > 0,), "^z of type bool: must be of real numbers$"),
        (generator, (z.tolist(),), "^z of type list: must be of type (Tensor|Array)$"),
        (classes, (z, [1, 2]), "^labels of type list: must be of type (Tensor|Array)$"),
        (generator, (z, ids), "^labels .*: the run is not conditional, has none$"),
        (classes, (z,), "^labels None: a conditional generator needs class ids$"),
        (classes, (z, ids[:1]), r"^labels of type int\d\d and shape \[1\]: must be wh"),
        (
            classes,
            (z, ids / 2),
            r"^labels of type float32 .* one for each of z: \[2\]$",
        ),
    ):
        # A user's annotations are held to by nobody.
        kind = type(module)
        call = inspect.unwrap(kind.forward if twin.name == "torch" else kind.__call__)
        with pytest.raises(UsageError, match=message):
            call(module, *arguments)
    with pytest.raises(UsageError, match=r"^n 1000000000000: so many samples take"):
        generator.sample(10**12)


def test_images_are_float32_of_whichever_latents(twin: Twin) -> None:
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    z = np.ones((2, 3), np.float32)
    expected = np.asarray(generator(twin.array(z)).tolist(), np.float32)
    for kind in (np.float16, np.float64):
        found = generator(twin.array(z.astype(kind)))
        assert str(found.dtype).endswith("float32")
        np.testing.assert_array_equal(np.asarray(found.tolist(), np.float32), expected)


@pytest.mark.needs("jax")
def test_in_jax_labels_may_be_traced() -> None:
    import jax
    import jax.numpy as jnp

    twin = Twin("jax")
    config = TrainConfig(**SMALL, conditional=True)
    generator = generator_of(twin, state_of(twin, config))
    z, labels = jnp.ones((2, 3)), jnp.asarray([1, 7])
    expected = generator(z, labels)
    one_by_one = jax.vmap(lambda z, label: generator(z[None], label[None])[0])
    for traced in (jax.jit(generator.__call__), one_by_one):
        np.testing.assert_allclose(traced(z, labels), expected, atol=1e-5)
    assert jax.grad(lambda z: generator(z, labels).sum())(z).shape == z.shape


@pytest.mark.needs("torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_in_pytorch_labels_may_be_traced() -> None:
    import torch

    twin = Twin("torch")
    config = TrainConfig(**SMALL, conditional=True)
    generator = generator_of(twin, state_of(twin, config))
    z, labels = torch.ones(2, 3), torch.tensor([1, 7])
    expected = generator(z, labels)
    one_by_one = torch.func.vmap(lambda z, label: generator(z[None], label[None])[0])
    for traced in (
        one_by_one,
        torch.compile(generator, fullgraph=True, backend="eager"),
        torch.export.export(generator, (z, labels)).module(),
    ):
        torch.testing.assert_close(traced(z, labels), expected)
    meta = generator.to("meta")
    assert meta(z.to("meta"), labels.to("meta")).shape == expected.shape


def test_batch_norm_can_go_by_fresh_batches(
    twin: Twin, finished: Path, sample: Train, tmp_path: Path
) -> None:
    load, export = twin.library.load_generator, twin.library.export
    standing = load(finished, device="cpu", standing_stats=3)
    drawn = standing.sample(8, seed=5, truncation=0.5)
    usual = load(finished, device="cpu")
    assert (drawn != usual.sample(8, seed=5, truncation=0.5)).any()
    assert (drawn != standing.sample(8, seed=5)).any()
    sample(
        *(finished, "--num", 8, "--seed", 5, "--truncation", 0.5),
        *("--standing-stats", 3, "--out", tmp_path / "grid.png"),
    )
    with Image.open(tmp_path / "grid.png") as picture:
        grid = np.asarray(picture)[..., np.newaxis]
    np.testing.assert_array_equal(images.grid(drawn, columns=8), grid)
    # What is exported has them as its own.
    folder = export(finished, tmp_path / "hub", standing_stats=3)
    again = load(folder, device="cpu").sample(8, seed=5, truncation=0.5)
    np.testing.assert_array_equal(again, drawn)


def test_standing_statistics_are_means_over_batches_of_all_classes(twin: Twin) -> None:
    config = TrainConfig(**SMALL, conditional=True, g_norm="conditional-batch")
    state = generator_state(state_of(twin, config))
    generator, batches = generator_of(twin, state_of(twin, config)), []

    def statistics(z: Any, labels: Any) -> Any:
        batches.append((z, labels.tolist(), generator.batch_statistics(z, labels)))
        return batches[-1][-1]

    found = stand(state, statistics, 3).arrays
    latents, labels, seen = zip(*batches, strict=True)
    assert len(np.unique(latents)) == 3 * 4 * 3
    assert labels == ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1])
    changed = {k for k, x in found.items() if (x != state.arrays[k]).any()}
    assert changed == set(seen[0])
    assert {name.rpartition(".")[2] for name in changed} == {
        "running_mean",
        "running_var",
    }
    for name in changed:
        mean = np.mean([one[name] for one in seen], axis=0)
        np.testing.assert_allclose(found[name], mean, rtol=1e-5, atol=1e-7)


def test_statistics_are_of_the_average_where_that_draws(twin: Twin) -> None:
    state = state_of(twin, TrainConfig(**SMALL, ema_decay=0.9))
    backend = load_backend(state, "state", twin.library.make_backend, "cpu")
    z = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    found = backend.batch_statistics(z, None)
    expected = generator_of(twin, state).batch_statistics(z, None)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("training", [False, True])
def test_several_batches_are_drawn_in_the_mode_that_is_asked_for(
    training: bool, twin: Twin
) -> None:
    state = state_of(twin, TrainConfig(**SMALL))
    backend = load_backend(state, "state", twin.library.make_backend, "cpu")
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((4, 3)).astype(np.float32), None) for _ in "ab"]
    before = backend.arrays()
    drawn = backend.sample_batches(batches, training)
    for name, array in backend.arrays().items():
        np.testing.assert_array_equal(array, before[name], name)
    for pixels, (z, labels) in zip(drawn, batches, strict=True):
        np.testing.assert_array_equal(pixels, backend.sample(z, labels, training))
        assert (pixels != backend.sample(z, labels, not training)).any()


def test_statistics_are_taken_on_the_device_that_draws(twin: Twin) -> None:
    class Still:
        def batch_statistics(self, z: Any, labels: Any) -> dict[str, Any]:
            return {}

    devices = []

    def load(state: Any, device: str) -> Still:
        devices.append(device)
        return Still()

    state = state_of(twin, TrainConfig(**SMALL))
    _, standing = load_standing(load, state, "cuda:1", 2)
    assert standing.standing_stats == 2  # pyrefly: ignore[missing-attribute]
    assert devices == ["cuda:1", "cuda:1"]


def test_without_batch_norm_there_are_no_statistics(twin: Twin) -> None:
    state = state_of(twin, TrainConfig(**SMALL, g_norm="layer"))
    with pytest.raises(UsageError, match="standing-stats 2: the generator has no batc"):
        load_backend(state, "state", twin.library.make_backend, "cpu", standing_stats=2)


def test_points_are_points(twin: Twin) -> None:
    config = dataclasses.replace(PRESETS["ring"], width=8)
    state = state_of(twin, config)._replace(data=DataInfo(2, 8, 100, ""))
    backend = twin.library.make_backend(config, state.data, "cpu")
    backend.load({name: np.ones(shape) for name, shape in backend.shapes().items()})
    arrays = backend.arrays()
    drawn = generator_of(twin, state._replace(arrays=arrays)).sample(5)
    assert (drawn.shape, drawn.dtype) == ((5, 2), np.float32)


def test_sampling_leaves_it_in_the_mode_that_it_was_in(twin: Twin) -> None:
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    z = twin.array(noise.normal(0, "drawn samples", 0, 4, 3))

    def outputs() -> float:
        return abs(generator(z)).sum().item()

    in_evaluation = outputs()
    generator.train()
    in_training = outputs()
    assert in_training != in_evaluation
    generator.sample(4)
    assert outputs() == in_training


@pytest.mark.needs("torch")
def test_in_pytorch_it_is_a_module_in_evaluation_mode() -> None:
    import torch

    twin = Twin("torch")
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    assert isinstance(generator, torch.nn.Module)
    assert not any(module.training for module in generator.modules())
    seeded = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, generator=seeded, requires_grad=True)
    drawn = generator(z)
    assert drawn.shape == (2, 1, 8, 8)
    drawn.sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0
    assert torch.nn.Sequential(generator, torch.nn.Flatten())(z).shape == (2, 64)


@pytest.mark.needs("jax")
def test_in_jax_it_is_a_module_in_evaluation_mode() -> None:
    import jax
    import jax.numpy as jnp
    from flax import nnx

    twin = Twin("jax")
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    assert isinstance(generator, nnx.Module)
    z = jax.random.normal(jax.random.key(0), (2, 3))
    assert generator(z).shape == (2, 8, 8, 1)
    # Batch statistics would make an image depend on its neighbours.
    alone = generator(z[:1])
    assert jnp.abs(alone - generator(z)[:1]).max() < 1e-4
    slope = jax.grad(lambda z: generator(z).sum())(z)
    assert jnp.abs(slope).sum() > 0


@pytest.mark.needs("jax")
def test_in_jax_it_is_differentiated_in_reverse_alone() -> None:
    # As docs/library.md says: the derivatives of its convolutions are declared so.
    import jax

    twin = Twin("jax")
    generator = generator_of(twin, state_of(twin, TrainConfig(**SMALL)))
    z = jax.random.normal(jax.random.key(0), (1, 3))
    second = jax.jacrev(jax.jacrev(lambda z: (generator(z) ** 2).sum()))(z)
    assert second.shape == (1, 3, 1, 3)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(generator, (z,), (z,))


_ON_THE_SECOND = """
import pickle
import sys
import jax
import jax.numpy as jnp
from flax import nnx
from gans_jax import load_generator

first, second = jax.devices()
g = load_generator(sys.argv[1], device="cpu:1")
z = jnp.ones((2, g.config.z_dim))
for generator in (g, pickle.loads(pickle.dumps(g))):
    assert generator(z).devices() == {second}
jax.grad(lambda z: g(z).sum())(z)
assert jax.vmap(lambda z: g(z[None]))(z).devices() == {second}
jax.jit(g)(jax.device_put(z, first))
nnx.update(g, jax.device_put(nnx.state(g), first))
assert g(z).devices() == {first}, "moved"
g = load_generator(sys.argv[1])
with jax.default_device(second):
    assert g(z).devices() == {second}, "none was named"
"""


@pytest.mark.parametrize("twin", ["jax"], indirect=True, scope="session")
def test_a_call_of_jax_computes_where_it_was_told(finished: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", _ON_THE_SECOND, finished],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
        check=True,
    )
