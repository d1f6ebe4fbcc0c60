"""JAX's side of a comparison: a task or a function in, NumPy arrays out."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

import gans_jax
import gans_jax.arrays
import gans_jax.layers
import gans_jax.models
from gans_jax._convolutions import convolution
from gans_jax._network import Network
from gans_jax._stated import stated_by_path
from parity_tests.harness.gradients import Differentiated, cast, is_floating
from parity_tests.harness.tasks import (
    Numbers,
    Task,
    named_outputs,
    probe,
    to_nchw,
    to_nhwc,
)
from shared.files.arrays import Arrays
from shared.statements import Stated


def jax_gradients(
    function: Callable[..., Any],
    *arrays: NDArray[Any],
    dtype: str = "float64",
    **options: Any,
) -> Differentiated:
    """Differentiate a JAX function; arguments as in `torch_gradients`."""
    floating = [i for i, x in enumerate(arrays) if is_floating(x)]
    with jax.enable_x64(dtype == "float64"):
        inputs = [jnp.asarray(cast(x, dtype)) for x in arrays]
        constants = {
            name: jnp.asarray(cast(x, dtype)) if isinstance(x, np.ndarray) else x
            for name, x in options.items()
        }
        value, gradients = jax.value_and_grad(function, tuple(floating))(
            *inputs, **constants
        )
    return Differentiated(
        np.asarray(value), tuple(np.asarray(gradient) for gradient in gradients)
    )


def run_jax(task: Task, dtype: type[np.floating]) -> Numbers:
    """The JAX twin's numbers, from one compiled function."""
    with (
        jax.enable_x64(dtype == np.float64),
        jax.default_matmul_precision("highest"),
    ):
        network = Network.of(_JaxHolder(task.build(gans_jax)))
        stated = stated_by_path(network, "")
        shapes = {array.name: array.shape for array in stated.values()}
        network = gans_jax.arrays.arrays_to_network(network, "", task.arrays(shapes))
        numbers = _differentiate(
            network,
            jnp.asarray(to_nhwc(task.inputs), dtype),
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


class _JaxHolder(nnx.Module):
    def __init__(self, held: Any) -> None:
        self.held = held

    def __call__(self, *inputs: jax.Array) -> Any:
        return self.held(*inputs)


@contextlib.contextmanager
def as_if_wide() -> Iterator[None]:
    """Have the products that are used on a CPU where there are many channels."""
    with (
        mock.patch.object(convolution, "winograd_pays", return_value=True),
        mock.patch.multiple(convolution, _FEW=0, _MANY=0),
    ):
        yield


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
        outputs = {name: to_nchw(y) for name, y in named_outputs(outputs).items()}
        probed = [(y * probe(y.shape)).sum() for y in outputs.values()]
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
        second = {"input": to_nchw(x), "parameters": params}
    return {
        "value": outputs,
        "input gradient": {"input": to_nchw(by_input)},
        "parameter gradient": {"parameters": by_params},
        "second order": second,
        "state": {"buffers": buffers},
    }


def _translate(name: str, value: Any, stated: dict[str, Stated]) -> Arrays:
    """An array, or those of a network's tree, by PyTorch's names and in its layouts."""
    if isinstance(value, nnx.State):
        return gans_jax.arrays._collect(value, stated)
    return {name: np.asarray(value)}
