"""Orthogonal regularisation of whole generators: value and gradient."""

import functools
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import gans_jax.arrays
import gans_jax.models
import gans_jax.orthogonality
import gans_torch.arrays
import gans_torch.models
import gans_torch.orthogonality
from gans_jax._network import Network
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.comparisons.first_steps import make_config
from parity_tests.harness import architecture
from parity_tests.harness.tasks import random_arrays
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.files.arrays import Arrays
from shared.statements import KERNEL, LINEAR, TRANSPOSED_KERNEL, Stated

_DATA = DataInfo(3, 10, 60, "")


_CONFIGS: dict[str, dict[str, Any]] = {
    # Transposed convolutions, with lengths; tables of gains and biases.
    "dcgan": {
        "conditional": True,
        "g_norm": "conditional-batch",
        "g_weight_norm": "weight",
    },
    # A linear map of more outputs than inputs, and a table of what is shared.
    "biggan": {
        "architecture": "biggan",
        "conditional": True,
        "d_norm": "none",
        "z_dim": 9,
        "g_weight_norm": "spectral",
    },
    # What a model states of itself, and no layer.
    "of a user": {"architecture": architecture.NAME, "image_size": 8},
}


def _torch(
    config: TrainConfig, precision: str
) -> tuple[dict[str, Stated], dict[str, Any]]:
    network = gans_torch.models.build_generator(config, _DATA)
    network = network.to(getattr(torch, precision))
    stated = gans_torch.arrays.network_statements(network, "")
    gans_torch.arrays.arrays_to_network(network, "", _arrays(stated))
    value = gans_torch.orthogonality.overlap(network)
    value.backward()
    with torch.no_grad():  # a network of gradients, to be read as one of weights
        for parameter in network.parameters():
            found = parameter.grad
            parameter.copy_(torch.zeros_like(parameter) if found is None else found)
    gradients = gans_torch.arrays.network_to_arrays(network, "")
    return stated, {"": value.detach().numpy()} | gradients


def _jax(config: TrainConfig, precision: str) -> dict[str, Any]:
    with (
        jax.enable_x64(precision == "float64"),
        jax.default_matmul_precision("highest"),
    ):
        network = Network.of(gans_jax.models.build_generator(config, _DATA))
        network = jax.tree.map(
            lambda x: x.astype(precision) if x.dtype == jnp.float32 else x, network
        )
        stated = gans_jax.arrays.network_statements(network, "")
        network = gans_jax.arrays.arrays_to_network(network, "", _arrays(stated))

        def overlap(params: Any) -> Any:
            return gans_jax.orthogonality.overlap(replace(network, params=params))

        value, gradient = jax.jit(jax.value_and_grad(overlap))(network.params)
        gradients = gans_jax.arrays.network_to_arrays(
            replace(network, params=gradient), ""
        )
        return {"": np.asarray(value)} | gradients


def _arrays(stated: dict[str, Stated]) -> Arrays:
    """Weights that are as far from orthogonal as random ones are."""
    return random_arrays({name: array.shape for name, array in stated.items()})


def _formula(stated: dict[str, Stated]) -> dict[str, Any]:
    found: dict[str, Any] = {"": 0.0}
    for name, value in _arrays(stated).items():
        kind = stated[name].kind
        found[name] = np.zeros(value.shape)
        if kind in (KERNEL, TRANSPOSED_KERNEL, LINEAR):
            axis = 1 if kind == TRANSPOSED_KERNEL else 0
            turned = value.astype(np.float64).swapaxes(0, axis)
            matrix = turned.reshape(len(turned), -1)
            products = matrix @ matrix.T
            products -= np.diag(np.diag(products))
            found[""] += np.sum(products**2)
            gradient = 4 * products @ matrix
            found[name] = gradient.reshape(turned.shape).swapaxes(0, axis)
    return {
        name: x for name, x in found.items() if not name or stated[name].kind.trained
    }


def _compare(name: str) -> list[Finding]:
    worst = Worst()
    with architecture.registered():
        config = make_config("batch norm", **_CONFIGS[name])
        stated, exact = _torch(config, "float64")
        pairs = {
            "JAX": (_jax(config, "float64"), exact, "float64"),
            "PyTorch to formula": (exact, _formula(stated), "float64"),
            "PyTorch float32": (_torch(config, "float32")[1], exact, "float32"),
        }
        if name == "biggan":  # it takes JAX seconds to compile another one
            pairs["JAX float32"] = (_jax(config, "float32"), exact, "float32")
    for aspect, (first, second, precision) in pairs.items():
        for array in _formula(stated):
            worst.compare(
                f"{'gradient' if array else 'value'}, {aspect}",
                first[array],
                second[array],
                f"orthogonality, {precision}",
                array or "sum",
            )
    return worst.findings()


for _name in _CONFIGS:
    check(f"orthogonality/{_name}", "penalty", ("orthogonality.overlap",))(
        functools.partial(_compare, _name)
    )
