"""Whole networks: in every form, in both modes, from their initial weights on."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp
import numpy as np
import safetensors.torch
import torch
from flax import nnx
from numpy.typing import NDArray
from torch import nn

import gans_jax.arrays
import gans_jax.backend
import gans_jax.networks
import gans_torch.arrays
import gans_torch.backend
import gans_torch.networks
from gans_jax._network import Network
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness import architecture
from parity_tests.harness.modules import compare_twins, network_task
from parity_tests.harness.tasks import Task, normal, random_arrays
from parity_tests.harness.trajectories import compare_trajectories, make_pair, shrink
from shared.backend import Backend
from shared.config.choices import DiscriminatorNorm, GeneratorNorm, WeightNorm
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.files.arrays import Arrays
from shared.randomness import initial_weights
from shared.run import checkpoint

_FLOAT64 = "network, float64"
_FLOAT32 = "network, float32"
_CLASSES = 3
_G_COVERS = ("models.DcganGenerator", "models.build_generator", "layers.needs_bias")
_D_COVERS = (
    "models.DcganDiscriminator",
    "models.Outputs",
    "models.build_discriminator",
    "layers.needs_bias",
)


def _task(
    network: str, channels: int = 1, training: bool = True, **options: Any
) -> Task:
    """One of DCGAN's networks, whose arrays are as large as they come."""
    task = network_task(network, "dcgan", training, channels, **options)
    return task._replace(arrays=random_arrays)


def _compare(tasks: dict[str, Task], float32: str = "") -> list[Finding]:
    # A bias before a norm of one channel, or a length before batch norm, has next to no
    # gradient: what there is is rounding, and is compared absolutely.
    return compare_twins(tasks, _FLOAT64, float32, floor=0.1)


def _register_constraints() -> None:
    """One check for each norm, and for each constraint on the weights."""
    for network, covers, norms in (
        ("generator", _G_COVERS, get_args(GeneratorNorm)),
        ("discriminator", _D_COVERS, get_args(DiscriminatorNorm)),
    ):
        letter = network[0]
        # D's first block has no norm, and at 8x8 there is no other.
        options = {"image_size": 8 if network == "generator" else 16}
        cases = {
            f"{network}/norm {norm}": _task(
                network,
                conditional=norm == "conditional-batch",
                **options,
                **{f"{letter}_norm": norm},
            )
            for norm in norms
        }
        for kind in get_args(WeightNorm)[1:]:
            cases[f"{network}/weight norm {kind}"] = _task(
                network, **options, **{f"{letter}_weight_norm": kind}
            )
        for name, task in cases.items():
            run = functools.partial(_compare, {network: task})
            check(f"network/{name}", "network", covers)(run)


_register_constraints()


@check("network/sizes", "network", _G_COVERS + _D_COVERS)
def _sizes() -> list[Finding]:
    tasks = {
        f"{network}, {size}x{size}x{channels}": _task(
            network, channels, image_size=size
        )
        for network in ("generator", "discriminator")
        for size, channels in ((16, 3), (32, 1))
    }
    return _compare(tasks)


@check("network/dcgan/sizes", "network", _G_COVERS + _D_COVERS)
def _bases() -> list[Finding]:
    """Of other bases than 4: the first and the last kernel, and what heads see."""
    features = {"minibatch_discrimination": 3, "minibatch_std": 2}
    discriminator = _task("discriminator", 3, image_size=10, d_norm="layer", **features)
    tasks = {
        "generator, 28 pixels": _task("generator", image_size=28),
        "discriminator, 10 pixels": discriminator._replace(second_order=True),
    }
    return _compare(tasks)


@check("network/dcgan/rectangles", "network", _G_COVERS + _D_COVERS)
def _rectangles() -> list[Finding]:
    """Of bases 4x7 and 5x8, on their sides and upright."""
    features = {"minibatch_discrimination": 3, "minibatch_std": 2}
    discriminator = _task(
        *("discriminator", 3),
        image_size=(16, 10),
        d_norm="layer",
        conditional=True,
        aux_classifier=1.0,
        **features,
    )
    tasks = {
        "generator, 8x14": _task("generator", image_size=(8, 14), conditional=True),
        "discriminator, 16x10": discriminator._replace(second_order=True),
    }
    return _compare(tasks)


@check("network/float32", "network", _G_COVERS + _D_COVERS)
def _float32() -> list[Finding]:
    tasks = {
        network: _task(network, channels=3)
        for network in ("generator", "discriminator")
    }
    return _compare(tasks, _FLOAT32)


@check("network/conditional", "network", _G_COVERS + _D_COVERS)
def _conditional() -> list[Finding]:
    """One-hot labels in G, a projection in D; a classifier, constrained weights."""
    both: dict[str, Any] = {"conditional": True, "aux_classifier": 1.0}
    tasks = {
        "one-hot": _task("generator", conditional=True),
        "projection": _task("discriminator", conditional=True),
        "projection and classifier": _task("discriminator", 3, **both),
        **{
            f"projection and classifier, {kind} norm": _task(
                "discriminator", d_weight_norm=kind, **both
            )
            for kind in ("spectral", "weight")
        },
    }
    return _compare(tasks)


@check("network/minibatch layers", "network", _D_COVERS)
def _minibatch_layers() -> list[Finding]:
    both = {"minibatch_discrimination": 3, "minibatch_std": 2}
    tasks = {
        "discrimination": _task("discriminator", minibatch_discrimination=3),
        "deviation": _task("discriminator", minibatch_std=4),
        "both": _task("discriminator", 3, d_norm="none", **both),
    }
    return _compare(tasks)


@check(
    "network/perceptrons",
    "network",
    (
        "models.Head",
        "models.MlpDiscriminator",
        "models.MlpGenerator",
        "models.labels.class_ids",
        "models.labels.with_one_hot",
        "models.mlp.HiddenLayer",
    ),
)
def _perceptrons() -> list[Finding]:
    """For points, and for images, whose pixels have an order to be kept."""
    points = {"architecture": "mlp", "dataset": "ring", "image_size": 1}
    images = {"architecture": "mlp", "conditional": True}
    features = {"minibatch_discrimination": 3, "minibatch_std": 2}
    rectangles = {"architecture": "mlp", "image_size": (8, 10)}
    tasks = {
        "generator of rectangles": _task("generator", 3, g_norm="none", **rectangles),
        "discriminator of rectangles": _task(
            "discriminator", 3, d_norm="layer", **rectangles
        ),
        "generator of points": _task("generator", 2, g_norm="none", **points),
        "generator of images": _task(
            "generator",
            3,
            g_norm="conditional-batch",
            g_weight_norm="spectral",
            **images,
        ),
        "discriminator of points": _task(
            "discriminator", 2, d_norm="layer", **points, **features
        ),
        "discriminator of images": _task(
            "discriminator",
            3,
            d_norm="group",
            d_weight_norm="weight",
            aux_classifier=1.0,
            **images,
        ),
    }
    return _compare(tasks)


@check("network/evaluation", "network", _G_COVERS + _D_COVERS)
def _evaluation() -> list[Finding]:
    spectral = {"g_weight_norm": "spectral", "d_weight_norm": "spectral"}
    tasks = {
        "generator": _task("generator", training=False),
        "generator, conditional": _task(
            "generator",
            training=False,
            conditional=True,
            g_norm="conditional-batch",
            **spectral,
        ),
        "discriminator": _task("discriminator", training=False, **spectral),
    }
    return _compare(tasks)


def _configs() -> Iterator[tuple[str, TrainConfig, int]]:
    """Everything that decides which arrays there are; with the images' channels."""
    for size in (8, 16, 32, 64):
        for channels in (1, 3):
            config = shrink(PRESETS["dcgan"], image_size=size)
            yield f"{size}x{size}x{channels}", config, channels
    base = shrink(PRESETS["dcgan"], image_size=8)
    changes: list[dict[str, Any]] = [
        *({"g_norm": norm, "conditional": True} for norm in get_args(GeneratorNorm)),
        *({"d_norm": norm} for norm in get_args(DiscriminatorNorm)),
        *({"g_weight_norm": x, "d_weight_norm": x} for x in get_args(WeightNorm)),
        *(
            {"conditional": True, "aux_classifier": 1.0, "d_weight_norm": x}
            for x in get_args(WeightNorm)
        ),
        {"minibatch_discrimination": 3, "minibatch_std": 4},
    ]
    for change in changes:
        name = ", ".join(f"{field} {value}" for field, value in change.items())
        yield name, dataclasses.replace(base, **change), 1


def _backends(config: TrainConfig, channels: int) -> dict[str, Backend]:
    data = DataInfo(channels, _CLASSES, 60, "")
    return {
        "torch": gans_torch.backend.Backend(config, data, "cpu"),
        "jax": gans_jax.backend.Backend(config, data, "cpu"),
    }


@check("network/initial weights", "network", ("backend.Backend",))
def _initial_weights() -> list[Finding]:
    """The twins ask for the same arrays, and hold what they are given."""
    worst = Worst()
    for case, config, channels in _configs():
        twins = _backends(config, channels)
        shapes = {twin: backend.shapes() for twin, backend in twins.items()}
        different = set(shapes["torch"].items()) ^ set(shapes["jax"].items())
        note = f"{case}: {sorted(different)}" if different else case
        worst.compare("names and shapes that differ", len(different), 0, "exact", note)
        arrays = initial_weights.initial_arrays(twins["torch"].statements(), seed=3)
        for twin, backend in twins.items():
            backend.load(arrays)
            held = backend.arrays()
            for name, array in arrays.items():
                aspect = f"initial arrays, {twin}"
                worst.compare(aspect, held[name], array, "exact", f"{case}: {name}")
    return worst.findings()


@check("network/batch statistics", "network", ("standing.batch_statistics",))
def _batch_statistics() -> list[Finding]:
    """Which are what running statistics move a tenth of the way to."""
    config = shrink(PRESETS["cgan"], image_size=8)
    z = normal(5, config.z_dim)
    labels = np.array([2, 0, 1, 1, 0], np.int32)
    trained: Arrays = {}
    worst = Worst()
    for twin, backend in _backends(config, 1).items():
        backend.load(initial_weights.initial_arrays(backend.statements(), seed=3))
        before = backend.arrays()
        found = backend.batch_statistics(z, labels)
        after = backend.arrays()
        changed = [name for name in before if (before[name] != after[name]).any()]
        worst.compare("arrays that change", len(changed), 0, "exact", twin)
        if isinstance(backend, gans_torch.backend.Backend):
            inputs = torch.from_numpy(z).double(), torch.from_numpy(labels).long()
            backend.state.generator.train()(*inputs)
            trained = backend.arrays()
        for name, statistics in found.items():
            expected = (trained[name] - 0.9 * before[name]) / 0.1
            worst.compare("statistics", statistics, expected, _FLOAT64, name)
    return worst.findings()


@check("network/statements", "network", ("arrays.network_statements",))
def _statements() -> list[Finding]:
    """The twins state the same of every array, and train those that are stated to be.

    Of every preset, and of all that decides which arrays there are.
    """
    worst = Worst()
    presets = ((name, shrink(preset), 3) for name, preset in PRESETS.items())
    for case, config, channels in (*presets, *_configs()):
        backends = _backends(config, channels)
        first, second = (backend.statements() for backend in backends.values())
        different = [
            name for name in first | second if first.get(name) != second.get(name)
        ]
        note = f"{case}: {', '.join(different)}" if different else case
        worst.compare("statements that differ", len(different), 0, "exact", note)
        arrays = initial_weights.initial_arrays(first, seed=3)
        said = {name for name, array in first.items() if array.kind.trained}
        for twin, backend in backends.items():
            backend.load(arrays)
            trained = _optimised(backend.arrays())
            note = f"{case}: {', '.join(sorted(said ^ trained))}"
            aspect = f"trained, against what is stated, {twin}"
            worst.compare(aspect, len(said ^ trained), 0, "exact", note)
    return worst.findings()


def _optimised(arrays: Arrays) -> set[str]:
    """Names of the arrays that the optimisers keep something for."""
    slots = (name.split(".", 2) for name in arrays if "_optimizer." in name)
    whose = {"g_optimizer": "generator", "d_optimizer": "discriminator"}
    return {f"{whose[slot[0]]}.{slot[2]}" for slot in slots if len(slot) == 3}


@check("network/build", "network", ("networks.Networks", "networks.build"))
def _build() -> list[Finding]:
    """One call makes both twins' networks: the same arrays, and in training mode."""
    config = shrink(PRESETS["cgan"], image_size=8, d_weight_norm="spectral")
    data = DataInfo(1, _CLASSES, 4, "")
    z, labels = normal(4, config.z_dim), np.array([2, 0, 0, 1])
    in_torch = gans_torch.networks.build(config, data, seed=3)
    in_jax = gans_jax.networks.build(config, data, seed=3)
    worst = Worst()
    for name in ("generator", "discriminator"):
        network = getattr(in_torch, name)
        arrays = gans_torch.arrays.network_to_arrays(network, name)
        stated = gans_torch.arrays.network_statements(network, name)
        network = Network.of(nnx.clone(getattr(in_jax, name)))
        others = gans_jax.arrays.network_to_arrays(network, name)
        assert arrays.keys() == others.keys()
        for key, expected in initial_weights.initial_arrays(stated, seed=3).items():
            worst.compare("arrays, torch", arrays[key], expected, "exact", key)
            worst.compare("arrays, jax", others[key], expected, "exact", key)
    images = in_torch.generator(torch.from_numpy(z), torch.from_numpy(labels))
    ours = in_torch.discriminator(images, torch.from_numpy(labels)).logits
    theirs = in_jax.generator(jnp.asarray(z), jnp.asarray(labels))
    pair = (images.detach().permute(0, 2, 3, 1).numpy(), np.asarray(theirs))
    worst.compare("images", *pair, _FLOAT32, "training mode")
    theirs = in_jax.discriminator(theirs, jnp.asarray(labels)).logits
    pair = (ours.detach().numpy(), np.asarray(theirs))
    worst.compare("logits", *pair, _FLOAT32, "training mode")
    return worst.findings()


@check(
    "network/of a user",
    "network",
    ("models.Architecture", "models.register_architecture"),
)
def _of_a_user() -> list[Finding]:
    """An architecture that is registered trains alike in both twins, from one seed."""
    with architecture.registered():
        config = shrink(
            PRESETS["dcgan"],
            architecture=architecture.NAME,
            image_size=8,
            d_norm="none",
            z_dim=5,
        )
        return compare_trajectories(config, 5, "trajectory, float64", channels=3)


@check("network/known sizes", "network", _G_COVERS + _D_COVERS)
def _known_sizes() -> list[Finding]:
    """Trainable parameters of DCGAN at 64x64, z 100, width 64."""
    known = {
        ("generator", 3): 3_576_704,
        ("discriminator", 3): 2_765_568,
        ("generator", 1): 3_574_656,
        ("discriminator", 1): 2_763_520,
    }
    worst = Worst()
    for channels in (1, 3):
        for twin, backend in _backends(PRESETS["dcgan-cifar10"], channels).items():
            found = dict.fromkeys(("generator", "discriminator"), 0)
            for name, array in backend.statements().items():
                if array.kind.trained:
                    found[name.partition(".")[0]] += int(np.prod(array.shape))
            for network, count in found.items():
                case = f"{network}, {channels} channels"
                expected = known[network, channels]
                worst.compare(f"count, {twin}", count, expected, "exact", case)
    return worst.findings()


@check("network/sampling keeps the state", "network", ("backend.Backend",))
def _sampling() -> list[Finding]:
    """Samples come from G's average where there is one, and move no state."""
    worst = Worst()
    config = shrink(
        PRESETS["cgan"],
        image_size=8,
        g_weight_norm="spectral",
        d_weight_norm="spectral",
        ema_decay=0.9,
    )
    twins = _backends(config, channels=3)
    z, labels = normal(4, config.z_dim), np.array([0, 2, 2, 1], np.int32)
    samples: dict[bool, list[NDArray[np.float32]]] = {False: [], True: []}
    for twin, backend in twins.items():
        shapes = backend.shapes()
        # Another network than G, so that samples from G would be noticed.
        average = {
            name.replace("generator.", "generator_ema."): shape
            for name, shape in shapes.items()
            if name.startswith("generator.")
        }
        backend.load(random_arrays(shapes | average))
        before = backend.arrays()
        for training, drawn in samples.items():
            drawn.append(backend.sample(z, labels, training))
            again = backend.sample(z, labels, training)
            case = "training mode" if training else "evaluation mode"
            worst.compare(f"drawn twice, {twin}", drawn[-1], again, "exact", case)
        after = backend.arrays()
        assert before.keys() == after.keys()
        for name, array in before.items():
            worst.compare(f"state, {twin}", array, after[name], "exact", name)
    for training, (ours, theirs) in samples.items():
        case = "training mode" if training else "evaluation mode"
        worst.compare("samples", ours, theirs, _FLOAT32, case)
    return worst.findings()


class _PlainBlock(nn.Module):
    def __init__(self, wide: int, narrow: int, stride: int, padding: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(wide, narrow, 4, stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(narrow)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.up(x)))


class _PlainGenerator(nn.Module):
    """A DCGAN of 16x16 as anybody would write it, without this project's code."""

    def __init__(self, z_dim: int, width: int) -> None:
        super().__init__()
        first = _PlainBlock(z_dim, 2 * width, 1, 0)
        self.blocks = nn.ModuleList([first, _PlainBlock(2 * width, width, 2, 1)])
        self.up = nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = z[:, :, None, None]
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.up(x))


@check("network/plain PyTorch", "network", ("backend.Backend", "models.DcganGenerator"))
def _plain_pytorch() -> list[Finding]:
    """A checkpoint's generator needs nothing of this project: its images are ours."""
    config = shrink(PRESETS["dcgan"], precision="float32")
    z = normal(4, config.z_dim)
    worst = Worst()
    for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
        backend, info = session.backend, session.data.info
        backend.load(random_arrays(backend.shapes()))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "000000.safetensors"
            state = checkpoint.Checkpoint(0, config, info, backend.arrays())
            checkpoint.save(path, state)
            stored = safetensors.torch.load_file(path)
        plain = _PlainGenerator(config.z_dim, config.width)
        plain.load_state_dict(
            {
                name.removeprefix("generator."): tensor
                for name, tensor in stored.items()
                if name.startswith("generator.")
            }
        )
        with torch.no_grad():
            expected = plain.eval()(torch.from_numpy(z)).permute(0, 2, 3, 1).numpy()
        found = backend.sample(z, None)
        worst.compare(f"images, {twin}", found, expected, _FLOAT32, "4 samples")
    return worst.findings()
