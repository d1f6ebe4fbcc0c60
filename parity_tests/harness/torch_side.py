"""PyTorch's side of a comparison: a task or a function in, NumPy arrays out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gans_torch
import gans_torch.arrays
import gans_torch.layers
import gans_torch.models
from gans_torch._stated import stated_by_path
from parity_tests.harness.gradients import Differentiated, cast
from parity_tests.harness.tasks import (
    Numbers,
    Task,
    named_outputs,
    probe,
)


def torch_gradients(
    function: Callable[..., Any],
    *arrays: NDArray[Any],
    dtype: str = "float64",
    **options: Any,
) -> Differentiated:
    """Differentiate a PyTorch function.

    Args:
        function: of tensors, to a number.
        arrays: its arguments; those of integers are constants.
        dtype: what the others are cast to, ``float64`` or ``float32``.
        options: further arguments, which are constants.
    """
    tensors = [torch.tensor(cast(x, dtype)) for x in arrays]
    leaves = [x.requires_grad_() for x in tensors if x.is_floating_point()]
    constants = {
        name: torch.tensor(cast(x, dtype)) if isinstance(x, np.ndarray) else x
        for name, x in options.items()
    }
    value = function(*tensors, **constants)
    gradients = torch.autograd.grad(
        value, leaves, allow_unused=True, materialize_grads=True
    )
    return Differentiated(value.detach().numpy(), tuple(g.numpy() for g in gradients))


def run_torch(task: Task, dtype: type[np.floating]) -> Numbers:
    """The PyTorch twin's numbers; its parameters are channels_last, as in training."""
    module = _TorchHolder(task.build(gans_torch)).train(task.training)
    module = module.to(getattr(torch, np.dtype(dtype).name))
    module = module.to(memory_format=torch.channels_last)
    stated = stated_by_path(module, "")
    shapes = {array.name: array.shape for array in stated.values()}
    gans_torch.arrays.arrays_to_network(module, "", task.arrays(shapes))
    labels = () if task.labels is None else (torch.from_numpy(task.labels),)
    *earlier, x = (torch.from_numpy(x.astype(dtype)) for x in task.inputs)
    with torch.no_grad():
        for batch in earlier:
            module(batch, *labels)
    x.requires_grad_()
    outputs = named_outputs(module(x, *labels))
    probed = [(y * torch.from_numpy(probe(y.shape))).sum() for y in outputs.values()]
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


class _TorchHolder(torch.nn.Module):
    """Gives what it holds a name, so that a bare layer is named as in a network."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.held(*inputs)


def _torch_gradients(
    of: Any, wanted: dict[str, torch.Tensor], create_graph: bool
) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(
        of, list(wanted.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(wanted, found, strict=True))
