"""Mutants of what leaves a run."""

from gans_jax import formats as jax_formats
from gans_jax._convolutions import convolution
from gans_torch import formats as torch_formats
from parity_tests.mutants.mutation import mutant
from shared.run import generator

MUTANTS = (
    mutant(
        "the last weights are exported",
        "and not their average, with which the run draws",
        generator._prefix,
        {'"generator_ema." if config.has_ema else PREFIX': "PREFIX"},
        "fact/export",
    ),
    mutant(
        "PyTorch's export in training mode",
        "batch norm takes the statistics of whatever batch it is given",
        torch_formats._plain,
        {"return network.eval()": "return network.train()"},
        "fact/export",
    ),
    mutant(
        "PyTorch's export of one batch size",
        "the batch of the example is a constant of the program",
        torch_formats._exported,
        {"{name: {0: batch} for name in inputs}": "None"},
        "fact/export",
    ),
    mutant(
        "JAX's export without the constraints",
        "the weights that spectral norm divides, undivided",
        jax_formats._plain,
        {"constraint(layer.weight[...])": "layer.weight[...]"},
        "fact/export",
    ),
    mutant(
        "JAX's export in the CPU's form",
        "the form of a convolution is that of the device that exports",
        convolution._is_here,
        {" and not _in_xlas_form.get()": ""},
        "fact/export",
    ),
)
