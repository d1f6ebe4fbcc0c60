"""Mutants of orthogonal regularisation."""

from gans_jax import orthogonality as jax_orthogonality
from gans_torch import orthogonality as torch_orthogonality
from gans_torch import steps as torch_steps
from parity_tests.mutants.mutation import mutant

MUTANTS = (
    mutant(
        "lengths held at 1, too",
        "the regularisation before BigGAN's, which takes the diagonal along",
        jax_orthogonality._overlap,
        {"(matrix @ matrix.T) * others": "matrix @ matrix.T - 1 + others"},
        "orthogonality/biggan",
    ),
    mutant(
        "lengths left in the smaller product",
        "of many outputs, their lengths are held near 0",
        torch_orthogonality._overlap,
        {" - torch.square(lengths).sum()": ""},
        "orthogonality/biggan",
    ),
    mutant(
        "inputs for outputs",
        "a transposed convolution has its inputs first",
        torch_orthogonality.overlap,
        {'kind.axes.index("out"), 0': "0, 0"},
        "orthogonality/dcgan",
    ),
    mutant(
        "tables of classes, too",
        "every array of two axes or more",
        jax_orthogonality.overlap,
        {"kind in MAPS": "weight.ndim > 1"},
        "orthogonality/biggan",
    ),
    mutant(
        "half the derivative",
        "as in the authors' PyTorch code, with the paper's weight",
        torch_steps.generator_step,
        {"(config.g_orthogonal * overlap)": "(config.g_orthogonal * overlap / 2)"},
        "first steps/spectral norm",
    ),
    mutant(
        "orthogonality for each slice",
        "the term is added as often as there are slices",
        torch_steps.generator_step,
        {"(config.g_orthogonal * overlap)": "(count * config.g_orthogonal * overlap)"},
        "accumulation/torch/labels",
    ),
)
