"""Trained generators as files that other libraries load.

Latents [batch, z_dim] in float32, and the class ids [batch] of a conditional generator,
are inputs; the batch may have any length. The weights are constants, and what
constrains them is gone. Everything is computed in float32.
"""

import copy
import io
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from gans_torch.trained import TrainedGenerator
from shared.files.temporary import check_temporary_folder

OPSET = 20
"""The version of ONNX's operators; ONNX Runtime knows it from 1.17 on."""


def convert(generator: TrainedGenerator, format: str) -> bytes:
    """The file of a format that this twin writes; see `shared.export.formats`.

    Args:
        generator: on the CPU.
        format: its name.

    Raises:
        KeyError: this twin does not write it.
    """
    return _CONVERTERS[format](generator)


def _to_onnx(generator: TrainedGenerator) -> bytes:
    program, inputs = _exported(generator), _inputs(generator)
    converted = torch.onnx.export(
        program,
        tuple(inputs.values()),
        input_names=list(inputs),
        output_names=["images"],
        opset_version=OPSET,
        external_data=False,
        verbose=False,
        dynamo=True,
    )
    assert converted is not None, "nothing was written elsewhere"
    return converted.model_proto.SerializeToString()


def _to_torch(generator: TrainedGenerator) -> bytes:
    file = io.BytesIO()
    torch.export.save(_exported(generator), file)
    return file.getvalue()


_CONVERTERS = {"onnx": _to_onnx, "torch": _to_torch}


def _exported(generator: TrainedGenerator) -> torch.export.ExportedProgram:
    check_temporary_folder()  # `torch.export` imports what needs one
    network = _plain(generator.network)
    inputs = _inputs(generator)
    batch = torch.export.Dim("batch")
    with torch.no_grad():
        return torch.export.export(
            network,
            tuple(inputs.values()),
            dynamic_shapes={name: {0: batch} for name in inputs},
        )


def _plain(network: nn.Module) -> nn.Module:
    """A copy in float32 whose weights are what their constraints make of them."""
    network = copy.deepcopy(network).float().requires_grad_(False)
    network.to(memory_format=torch.contiguous_format)
    for layer in list(network.modules()):
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")
    return network.eval()


def _inputs(generator: TrainedGenerator) -> dict[str, Any]:
    """Any two latents, and class ids where there are classes, by their names."""
    inputs = {"z": torch.zeros(2, generator.config.z_dim, dtype=torch.float32)}
    if generator.num_classes:
        inputs["labels"] = torch.zeros(2, dtype=torch.long)
    return inputs
