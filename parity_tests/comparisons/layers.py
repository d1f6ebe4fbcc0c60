"""Normalisations, activations and features of the batch, in both twins."""

import functools
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gans_jax.layers
import gans_torch.layers
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.modules import RUNS, compare_twins
from parity_tests.harness.tasks import Shapes, Task, compare, normal, random_arrays
from shared.files.arrays import Arrays

_FLOAT64 = "layer, float64"
_FLOAT32 = "layer, float32"
_LABELS = np.array([2, 0, 0, 2])  # of three classes: one never, two twice


def _batch_norm(twin: ModuleType) -> Any:
    return twin.layers.BatchNorm2d(3)


@check("layer/BatchNorm2d", "layer", ("layers.BatchNorm2d",))
def _batch_norm_numbers() -> list[Finding]:
    tasks = {
        "training, three steps": Task(_batch_norm, normal(3, 4, 3, 5, 3)),
        "training, batch of two": Task(_batch_norm, normal(2, 2, 3, 2, 2)),
        "evaluation": Task(_batch_norm, normal(2, 4, 3, 5, 3), training=False),
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check("layer/BatchNorm2d/two numbers", "layer", ("layers.BatchNorm2d",))
def _batch_norm_of_two_numbers() -> list[Finding]:
    # Two numbers become -1 and 1 whatever they are: what gradient is left is rounding.
    tasks = {"1x1 pixel": Task(_batch_norm, normal(1, 2, 3, 1, 1))}
    return compare_twins(tasks, _FLOAT64, _FLOAT32, floor=1.0)


@check("layer/BatchNorm2d/running statistics", "layer", ("layers.BatchNorm2d",))
def _running_statistics() -> list[Finding]:
    inputs = normal(4, 3, 3, 2, 5)
    worst = Worst()
    for twin, run in RUNS.items():
        task = Task(_batch_norm, inputs)
        start = run(task._replace(training=False), np.float64)["state"]
        expected = _tracked(start, inputs.astype(np.float64))
        found = run(task, np.float64)["state"]
        compare(
            worst,
            {f"{twin} against the definition": found},
            {f"{twin} against the definition": expected},
            _FLOAT64,
            "four steps",
        )
    return worst.findings()


def _tracked(state: Arrays, inputs: NDArray[np.float64]) -> Arrays:
    """Running statistics by their definition: momentum 0.1, n - 1 in the variance."""
    mean, var = state["held.running_mean"], state["held.running_var"]
    for x in inputs:
        mean = 0.9 * mean + 0.1 * x.mean(axis=(0, 2, 3))
        var = 0.9 * var + 0.1 * x.var(axis=(0, 2, 3), ddof=1)
    return {
        "held.running_mean": mean,
        "held.running_var": var,
        "held.num_batches_tracked": state["held.num_batches_tracked"] + len(inputs),
    }


@check(
    "layer/ConditionalBatchNorm2d",
    "layer",
    ("layers.ConditionalBatchNorm2d", "layers.Embedding"),
)
def _conditional_batch_norm() -> list[Finding]:
    def build(twin: ModuleType) -> Any:
        return twin.layers.ConditionalBatchNorm2d(5, 3)

    inputs = normal(3, 4, 5, 3, 2)
    tasks = {
        "training": Task(build, inputs, _LABELS),
        "evaluation": Task(build, inputs, _LABELS, training=False),
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check("layer/ConditionalBatchNorm2d/rows", "layer", ("layers.ConditionalBatchNorm2d",))
def _conditional_rows() -> list[Finding]:
    """The rows of the batch's classes have gradients, the others have none."""
    task = Task(
        lambda twin: twin.layers.ConditionalBatchNorm2d(5, 3),
        normal(1, 4, 5, 3, 2),
        _LABELS,
    )
    worst = Worst()
    for twin, run in RUNS.items():
        gradient = run(task, np.float64)["parameter gradient"]
        for table in ("gain", "bias"):
            rows = np.abs(gradient[f"held.{table}_embedding.weight"]).max(axis=1)
            worst.compare(
                f"rows with a gradient, {twin}",
                rows > 0,
                np.isin(np.arange(3), _LABELS),
                "exact",
                table,
            )
    return worst.findings()


@check("layer/InstanceNorm2d", "layer", ("layers.InstanceNorm2d",))
def _instance_norm() -> list[Finding]:
    def build(twin: ModuleType, affine: bool = True) -> Any:
        return twin.layers.InstanceNorm2d(3, affine=affine)

    inputs = normal(1, 2, 3, 5, 3)
    tasks = {
        "training": Task(build, inputs),
        "evaluation": Task(build, inputs, training=False),
        "without gain": Task(functools.partial(build, affine=False), inputs),
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check("layer/GroupNorm", "layer", ("layers.GroupNorm",))
def _group_norm() -> list[Finding]:
    def build(twin: ModuleType, groups: int) -> Any:
        return twin.layers.GroupNorm(groups, 6)

    tasks = {
        f"{groups} groups": Task(
            functools.partial(build, groups=groups), normal(1, 2, 6, 3, 5)
        )
        for groups in (1, 2, 6)
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


def _check_large_mean(norm: str) -> list[Finding]:
    inputs = normal(3, 4, 3, 4, 4, mean=100.0, std=0.1)
    tasks = {
        "mean 100, std 0.1": Task(lambda twin: twin.layers.build_norm(norm, 3), inputs)
    }
    return compare_twins(tasks, "large mean, float64", "large mean, float32")


def _check_no_variance(norm: str) -> list[Finding]:
    channels = np.arange(3, dtype=np.float32)[:, None, None] - 0.5
    inputs = np.broadcast_to(channels, (1, 2, 3, 4, 4)).copy()
    tasks = {"one colour": Task(lambda twin: twin.layers.build_norm(norm, 3), inputs)}
    # What vanishes by its structure is compared absolutely: it is nothing but rounding.
    return compare_twins(tasks, _FLOAT64, _FLOAT32, floor=1.0)


for _norm, _name in (
    ("batch", "BatchNorm2d"),
    ("instance", "InstanceNorm2d"),
    ("layer", "GroupNorm"),
):
    check(f"layer/{_name}/large mean", "layer", (f"layers.{_name}",))(
        functools.partial(_check_large_mean, _norm)
    )
    check(f"layer/{_name}/no variance", "layer", (f"layers.{_name}",))(
        functools.partial(_check_no_variance, _norm)
    )


@check("layer/build_norm", "layer", ("layers.build_norm",))
def _build_norm() -> list[Finding]:
    # 12 channels make 6 groups, 4 make two, 11 make one.
    tasks = {
        f"{norm}, {channels} channels": Task(
            lambda twin, norm=norm, channels=channels: twin.layers.build_norm(
                norm, channels, 3
            ),
            normal(2, 4, channels, 2, 3),
            _LABELS if norm == "conditional-batch" else None,
        )
        for norm, channels in (
            ("batch", 3),
            ("conditional-batch", 3),
            ("instance", 3),
            ("layer", 3),
            ("group", 12),
            ("group", 4),
            ("group", 11),
        )
    }
    assert gans_torch.layers.build_norm("none", 3) is None
    assert gans_jax.layers.build_norm("none", 3) is None
    return compare_twins(tasks, _FLOAT64)


@check("layer/MinibatchDiscrimination", "layer", ("layers.MinibatchDiscrimination",))
def _minibatch_discrimination() -> list[Finding]:
    def build(twin: ModuleType) -> Any:
        return twin.layers.MinibatchDiscrimination(3 * 2 * 3, 4, kernel_size=5)

    inputs = normal(1, 4, 3, 2, 3, std=0.5)
    twice = inputs.copy()
    twice[0, 3] = twice[0, 1]  # a distance of exactly 0 between two samples
    tasks = {
        "different samples": Task(build, inputs),
        "one sample twice": Task(build, twice),
        "one sample only": Task(build, inputs[:, :1]),
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check("layer/MinibatchStd", "layer", ("layers.MinibatchStd",))
def _minibatch_std() -> list[Finding]:
    def build(twin: ModuleType, size: int) -> Any:
        return twin.layers.MinibatchStd(size)

    inputs = normal(1, 6, 3, 2, 3)
    tasks = {
        "whole batch": Task(functools.partial(build, size=6), inputs),
        "strided groups": Task(functools.partial(build, size=3), inputs),
        "smaller batch": Task(functools.partial(build, size=8), inputs),
        "no variance": Task(
            functools.partial(build, size=2), np.tile(inputs[:, :1], (1, 4, 1, 1, 1))
        ),
    }
    # A deviation's gradient has nearly constant length: its second order is compared
    # absolutely.
    return compare_twins(tasks, _FLOAT64, _FLOAT32, floor=1.0)


@check("layer/SelfAttention", "layer", ("layers.SelfAttention", "layers.max_pool"))
def _self_attention() -> list[Finding]:
    def build(twin: ModuleType, channels: int, weight_norm: str) -> Any:
        return twin.layers.SelfAttention(channels, weight_norm)

    tasks = {
        "spectral norm": Task(
            functools.partial(build, channels=16, weight_norm="spectral"),
            normal(2, 2, 16, 4, 6),
        ),
        "few channels": Task(
            functools.partial(build, channels=5, weight_norm="none"),
            normal(1, 2, 5, 4, 2),
        ),
    }
    return compare_twins(tasks, _FLOAT64)


@check("layer/leaky_relu", "layer", ("layers.leaky_relu",))
def _leaky_relu() -> list[Finding]:
    inputs = normal(1, 2, 3, 4, 4)
    inputs[0, :, 1:] = 0.0
    inputs[0, :, 2] = -0.0
    tasks = {"with zeros": Task(lambda twin: twin.layers.leaky_relu, inputs)}
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check("layer/Linear", "layer", ("layers.Linear", "layers.reparametrise"))
def _linear() -> list[Finding]:
    def build(twin: ModuleType, kind: str, bias: bool = True) -> Any:
        linear = twin.layers.Linear(5, 3, bias=bias)
        return twin.layers.reparametrise(linear, kind)

    inputs = normal(2, 4, 5)
    tasks = {
        kind: Task(functools.partial(build, kind=kind), inputs)
        for kind in ("none", "spectral", "weight")
    }
    without = functools.partial(build, kind="none", bias=False)
    return compare_twins(
        tasks | {"without bias": Task(without, inputs)}, _FLOAT64, _FLOAT32
    )


@check(
    "layer/resampling",
    "layer",
    (
        "layers.average_pool",
        "layers.blur",
        "layers.blur_downsample",
        "layers.blur_upsample",
        "layers.max_pool",
        "layers.upsample",
    ),
)
def _resampling() -> list[Finding]:
    tasks = {
        "upsample": Task(lambda twin: twin.layers.upsample, normal(1, 2, 3, 5, 2)),
        "average_pool": Task(
            lambda twin: twin.layers.average_pool, normal(1, 2, 3, 6, 4)
        ),
        "max_pool": Task(lambda twin: twin.layers.max_pool, normal(1, 2, 3, 6, 4)),
        "max_pool of odd sizes": Task(
            lambda twin: twin.layers.max_pool, normal(1, 2, 3, 5, 3).round()
        ),
        "max_pool of equals": Task(
            lambda twin: twin.layers.max_pool, normal(1, 2, 3, 6, 4).round()
        ),
        "blur": Task(
            lambda twin: functools.partial(twin.layers.blur, padding=2),
            normal(1, 2, 3, 5, 4),
        ),
        "blur_upsample": Task(
            lambda twin: twin.layers.blur_upsample, normal(1, 2, 3, 5, 2)
        ),
        # PyTorch has another form for what is longer than 256.
        "blur of long images": Task(
            lambda twin: functools.partial(twin.layers.blur, padding=1),
            normal(1, 1, 1, 3, 260),
        ),
        "blur_upsample of long images": Task(
            lambda twin: twin.layers.blur_upsample, normal(1, 1, 1, 260, 2)
        ),
        "blur_downsample of long images": Task(
            lambda twin: twin.layers.blur_downsample, normal(1, 1, 1, 260, 2)
        ),
        "blur_downsample": Task(
            lambda twin: twin.layers.blur_downsample, normal(1, 2, 3, 6, 4)
        ),
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)


@check(
    "layer/blur/convolution",
    "layer",
    ("layers.blur_downsample", "layers.blur_upsample"),
)
def _blur_is_a_convolution() -> list[Finding]:
    """Both are PyTorch's convolutions of each channel with one filter, stride 2."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    x = torch.from_numpy(normal(2, 3, 6, 4)).double()
    down = (torch.outer(line, line) / 64).expand(3, 1, 4, 4)
    functions = torch.nn.functional
    options = {"stride": 2, "padding": 1, "groups": 3}
    worst = Worst()
    for name, expected in (
        ("blur_downsample", functions.conv2d(x, down, **options)),
        ("blur_upsample", functions.conv_transpose2d(x, 4 * down, **options)),
    ):
        task = Task(lambda twin, name=name: getattr(twin.layers, name), x.numpy()[None])
        for twin, run in RUNS.items():
            found = run(task, np.float64)["value"]["output"]
            worst.compare(f"value, {twin}", found, expected, _FLOAT64, name)
    return worst.findings()


@check(
    "layer/blocks at zero",
    "layer",
    ("layers.leaky_relu", "models.dcgan.UpBlock", "models.dcgan.DownBlock"),
)
def _blocks_at_zero() -> list[Finding]:
    """Without norm and bias, images of zeros put every activation at its kink."""

    def up(twin: ModuleType) -> Any:
        options = {"norm": "none", "weight_norm": "none", "num_classes": 0}
        return twin.models.dcgan.UpBlock(
            3, 5, kernel_size=4, stride=2, padding=1, **options
        )

    def down(twin: ModuleType) -> Any:
        return twin.models.dcgan.DownBlock(
            3, 5, norm="none", bias=True, weight_norm="none"
        )

    def without_biases(shapes: Shapes) -> Arrays:
        return {
            name: np.zeros_like(x) if name.endswith("bias") else x
            for name, x in random_arrays(shapes).items()
        }

    zeros = np.zeros((1, 2, 3, 4, 4), np.float32)
    tasks = {
        name: Task(build, zeros, arrays=without_biases)
        for name, build in (("up", up), ("down", down))
    }
    return compare_twins(tasks, _FLOAT64, _FLOAT32)
