"""Mutants of updates that are made of slices."""

from gans_jax import _slices as jax_slices
from gans_torch import _slices as torch_slices
from gans_torch import steps as torch_steps
from parity_tests.mutants.mutation import mutant
from shared.config import meetings

MUTANTS = (
    mutant(
        "a sum over slices for their mean",
        "the gradient grows with the number of slices",
        torch_slices.set_gradients,
        {"loss / count": "loss"},
        "accumulation/torch/clipped critic",
    ),
    mutant(
        "gradients of the last slice",
        "each slice forgets those before it",
        torch_slices.set_gradients,
        {
            "share.backward(inputs=parameters)": (
                "[setattr(p, 'grad', None) for p in parameters];"
                " share.backward(inputs=parameters)"
            )
        },
        "accumulation/torch/clipped critic",
    ),
    mutant(
        "a power iteration for each slice",
        "spectral norm advances as often as there are slices",
        torch_slices.in_turn,
        {"with unchanged(*networks):": "if True:"},
        "accumulation/torch/pairs",
    ),
    mutant(
        "a power iteration for each look",
        "the images for D's update advance G's spectral norm, and G's own again",
        torch_steps._preview,
        {"with _slices.unchanged(state.generator):": "if True:"},
        "accumulation/torch/pairs",
    ),
    mutant(
        "slices of the wrong axis",
        "noise is cut between real and generated images",
        torch_slices.split,
        {"BATCH_AXES.get(name, 2) - 2": "0"},
        "accumulation/torch/pairs",
    ),
    mutant(
        "the first slice's metrics",
        "what is logged is of a part of the batch",
        torch_slices.set_gradients,
        {"history[0] if count == 1 else mean(history)": "history[0]"},
        "accumulation/torch/labels",
    ),
    mutant(
        "samples that meet unsaid",
        "batch norm of a slice passes for that of the batch",
        meetings.meetings,
        {"if x.happens(config)": "if x.happens(config) and x.field != 'd_norm'"},
        "accumulation/where samples meet",
    ),
    mutant(
        "a sum over slices in JAX",
        "the gradient grows with the number of slices",
        jax_slices.gradient,
        {"value / count": "value"},
        "accumulation/jax/points",
    ),
    mutant(
        "gradients of the last slice in JAX",
        "each slice forgets those before it",
        jax_slices.gradient,
        {"jax.tree.map(jnp.add, total, found)": "found"},
        "accumulation/jax/points",
    ),
)
