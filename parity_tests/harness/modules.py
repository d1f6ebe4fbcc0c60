"""Both twins' layers and networks behind NumPy: a module in, all its numbers out.

Images are NCHW here, and arrays carry PyTorch's names and layouts. They are
translated by each twin's `arrays`, the project's own translation, proven on the way.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from numpy.typing import NDArray

import gans_jax.arrays
import gans_jax.layers
import gans_jax.models
import gans_torch.arrays
import gans_torch.layers
import gans_torch.models
from gans_jax._network import Network
from parity_tests.certificate.registry import Finding, Worst
from shared.files.arrays import Arrays
from shared.statements import Stated

# What was measured: aspect -> name -> array.
Numbers = dict[str, Arrays]
Shapes = dict[str, tuple[int, ...]]


def normal(*shape: int, mean: float = 0.3, std: float = 1.0) -> NDArray[np.float32]:
    """Normal numbers that depend on the shape alone."""
    drawn = np.random.default_rng(list(shape)).standard_normal(shape, np.float32)
    return np.float32(mean) + np.float32(std) * drawn


def random_arrays(shapes: Shapes) -> Arrays:
    """Parameters and buffers such as training might leave, in float32.

    Nothing has the value that it starts with, so that nothing left out goes unnoticed.
    Each array depends on its name and shape alone.

    Args:
        shapes: shape by PyTorch's name.
    """
    return {name: _random_array(name, shape) for name, shape in shapes.items()}


class Task(NamedTuple):
    """What both twins are asked to compute."""

    build: Callable[[ModuleType], Any]
    """Makes the layer, network or function, given `gans_torch` or `gans_jax`."""
    inputs: NDArray[np.float32]
    """A batch for each step, [steps, batch, ...]: the last one is differentiated, those
    before it only advance the buffers."""
    labels: NDArray[np.int64] | None = None
    """Class ids [batch], for what is conditional."""
    training: bool = True
    """Whether the module is in training mode."""
    second_order: bool = True
    """Whether the gradient of the input gradient's squared norm is asked for."""
    arrays: Callable[[Shapes], Arrays] = random_arrays
    """Makes the parameters and buffers, by name and shape."""


def run_torch(task: Task, dtype: type[np.floating]) -> Numbers:
    """The PyTorch twin's numbers; its parameters are channels_last, as in training."""
    module = _TorchHolder(task.build(gans_torch)).train(task.training)
    module = module.to(getattr(torch, np.dtype(dtype).name))
    module = module.to(memory_format=torch.channels_last)
    stated = gans_torch.arrays._stated(module, "")
    shapes = {array.name: array.shape for array in stated.values()}
    gans_torch.arrays.arrays_to_network(module, "", task.arrays(shapes))
    labels = () if task.labels is None else (torch.from_numpy(task.labels),)
    *earlier, x = (torch.from_numpy(x.astype(dtype)) for x in task.inputs)
    with torch.no_grad():
        for batch in earlier:
            module(batch, *labels)
    x.requires_grad_()
    outputs = _named(module(x, *labels))
    probed = [(y * torch.from_numpy(_probe(y.shape))).sum() for y in outputs.values()]
    parameters = {stated[path].name: y for path, y in module.named_parameters()}
    wanted = {"input": x, **parameters}
    gradient = _torch_gradients(sum(probed), wanted, create_graph=task.second_order)
    second = {}
    if task.second_order:
        # The gradient of a linear function, such as relu, has no graph.
        steepness = gradient["input"].square().sum() + 0 * x.sum()
        second = _torch_gradients(steepness, wanted, create_graph=False)
    numbers = {
        "value": outputs,
        "input gradient": {"input": gradient.pop("input")},
        "parameter gradient": gradient,
        "second order": second,
        "state": {stated[path].name: y for path, y in module.named_buffers()},
    }
    return {
        aspect: {name: x.detach().contiguous().numpy() for name, x in values.items()}
        for aspect, values in numbers.items()
    }


def run_jax(task: Task, dtype: type[np.floating]) -> Numbers:
    """The JAX twin's numbers, from one compiled function."""
    with (
        jax.enable_x64(dtype == np.float64),
        jax.default_matmul_precision("highest"),
    ):
        network = Network.of(_JaxHolder(task.build(gans_jax)))
        stated = gans_jax.arrays._stated(network, "")
        shapes = {array.name: array.shape for array in stated.values()}
        network = gans_jax.arrays.arrays_to_network(network, "", task.arrays(shapes))
        numbers = _differentiate(
            network,
            jnp.asarray(_to_nhwc(task.inputs), dtype),
            () if task.labels is None else (jnp.asarray(task.labels),),
            training=task.training,
            second_order=task.second_order,
        )
        return {
            aspect: {
                name: x
                for name, value in values.items()
                for name, x in _translate(name, value, stated).items()
            }
            for aspect, values in numbers.items()
        }


RUNS = {"torch": run_torch, "jax": run_jax}


def compare(
    worst: Worst,
    first: Numbers,
    second: Numbers,
    tolerance: str,
    case: str,
    *,
    floor: float = 1e-12,
    aspect: str = "",
) -> None:
    """Compare all numbers of two runs.

    Args:
        worst: collects what is found.
        first: of one run.
        second: of the other.
        tolerance: row of `TOLERANCES`.
        case: what a reader finds the task by.
        floor: as in `compare.difference`.
        aspect: name under which all aspects count as one; empty to keep them apart.

    Raises:
        AssertionError: the runs have not the same arrays.
    """
    for measured in first:
        if first[measured].keys() != second[measured].keys():
            wrong = sorted(first[measured].keys() ^ second[measured].keys())
            raise AssertionError(f"{measured}: only one side has {', '.join(wrong)}")
        for name in first[measured]:
            pair = (first[measured][name], second[measured][name])
            if aspect:
                where = f"{case}: {measured} of {name}"
                worst.compare(aspect, *pair, tolerance, where, floor)
            else:
                worst.compare(measured, *pair, tolerance, f"{case}: {name}", floor)


def compare_twins(
    tasks: dict[str, Task], float64: str, float32: str = "", floor: float = 1e-12
) -> list[Finding]:
    """The twins against each other in float64; each in float32 against its float64.

    Args:
        tasks: what both compute, by a name for the reader.
        float64: tolerance between the twins.
        float32: tolerance of a twin's own rounding; empty to leave that out.
        floor: as in `compare.difference`.

    Returns:
        For each aspect the worst task and array. In evaluation mode there is one aspect
        more: that the buffers are still those that were loaded.
    """
    worst = Worst()
    for case, task in tasks.items():
        exact = {twin: run(task, np.float64) for twin, run in RUNS.items()}
        compare(worst, exact["torch"], exact["jax"], float64, case, floor=floor)
        for twin, run in RUNS.items():
            state = exact[twin]["state"]
            if state and not task.training:
                loaded = task.arrays({name: x.shape for name, x in state.items()})
                compare(
                    worst,
                    {"state": state},
                    {"state": loaded},
                    "exact",
                    case,
                    aspect=f"state kept in evaluation mode, {twin}",
                )
            if float32:
                compare(
                    worst,
                    run(task, np.float32),
                    exact[twin],
                    float32,
                    case,
                    floor=floor,
                    aspect=f"float32 against float64, {twin}",
                )
    return worst.findings()


class _TorchHolder(torch.nn.Module):
    """Gives what it holds a name, so that a bare layer is named as in a network."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.held(*inputs)


class _JaxHolder(nnx.Module):
    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, *inputs: jax.Array) -> Any:
        return self.held(*inputs)


def _torch_gradients(
    of: Any, wanted: dict[str, torch.Tensor], create_graph: bool
) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(
        of, list(wanted.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(wanted, found, strict=True))


@functools.partial(jax.jit, static_argnames=("training", "second_order"))
def _differentiate(
    network: Network,
    inputs: jax.Array,
    labels: tuple[jax.Array, ...],
    *,
    training: bool,
    second_order: bool,
) -> dict[str, dict[str, Any]]:
    """What `run_torch` does; gradients and buffers still as a network's trees."""

    def call(network: Network, x: jax.Array) -> tuple[Any, Network]:
        if training:
            return network(x, *labels)
        return network.evaluate(x, *labels), network

    def total(params: nnx.State, x: jax.Array) -> tuple[jax.Array, Any]:
        outputs, advanced = call(replace(network, params=params), x)
        outputs = {name: _to_nchw(y) for name, y in _named(outputs).items()}
        probed = [(y * _probe(y.shape)).sum() for y in outputs.values()]
        return jnp.stack(probed).sum(), (outputs, advanced.buffers)

    def steepness(params: nnx.State, x: jax.Array) -> jax.Array:
        return jnp.square(jax.grad(total, argnums=1, has_aux=True)(params, x)[0]).sum()

    for x in inputs[:-1]:
        network = call(network, x)[1]
    point = (network.params, inputs[-1])
    gradients = jax.grad(total, argnums=(0, 1), has_aux=True)
    (by_params, by_input), (outputs, buffers) = gradients(*point)
    second = {}
    if second_order:
        params, x = jax.grad(steepness, argnums=(0, 1))(*point)
        second = {"input": _to_nchw(x), "parameters": params}
    return {
        "value": outputs,
        "input gradient": {"input": _to_nchw(by_input)},
        "parameter gradient": {"parameters": by_params},
        "second order": second,
        "state": {"buffers": buffers},
    }


def _translate(name: str, value: Any, stated: dict[str, Stated]) -> Arrays:
    """An array, or those of a network's tree, by PyTorch's names and in its layouts."""
    if isinstance(value, nnx.State):
        return gans_jax.arrays._collect(value, stated)
    return {name: np.asarray(value)}


def _named(output: Any) -> dict[str, Any]:
    """The arrays of an output by name; `Outputs` has several."""
    fields = output._asdict() if hasattr(output, "_asdict") else {"output": output}
    return {name: value for name, value in fields.items() if value is not None}


def _probe(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Fixed numbers that weigh the outputs, so that no two count the same."""
    return np.random.default_rng(17).standard_normal(shape, np.float32)


def _random_array(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    random = np.random.default_rng([zlib.crc32(name.encode()), *shape])
    field = name.rpartition(".")[2]
    if field == "num_batches_tracked":
        return np.asarray(3, np.int64)
    if field in ("running_var", "original0"):  # variances, lengths
        return random.uniform(0.5, 2.0, shape).astype(np.float32)
    drawn = random.standard_normal(shape, np.float32)
    if field in ("_u", "_v"):
        return drawn / np.linalg.norm(drawn)
    if len(shape) == 4:  # keeps the scale of what passes through
        return drawn / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.float32(0.3) * drawn


def _to_nhwc(x: Any) -> Any:
    return x if x.ndim < 4 else x.swapaxes(-3, -2).swapaxes(-2, -1)


def _to_nchw(x: Any) -> Any:
    return x if x.ndim < 4 else x.swapaxes(-1, -2).swapaxes(-2, -3)
