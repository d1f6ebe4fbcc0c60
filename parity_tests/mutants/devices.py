"""Traps of several devices; each is tried where they run, by `comparisons.devices`."""

import gans_jax.distribution as jax_distribution
import gans_torch.distribution as torch_distribution
from gans_jax import terms as jax_terms
from gans_torch import losses as torch_losses
from gans_torch import steps as torch_steps
from gans_torch import terms as torch_terms
from gans_torch.backend import Backend
from gans_torch.models.stylegan2 import Stylegan2Generator
from parity_tests.mutants.mutation import mutant

# What is forgotten first, in both twins: tried on two devices and on four.
KINDS = (
    mutant(
        "a forgotten sum",
        "each device trains by the gradient of its own slice",
        torch_distribution.average_gradients,
        {"average(torch.cat(": "(torch.cat("},
        "averages",
    ),
    mutant(
        "gradients counted twice",
        "the sum of the gradients of what is the whole loss on each device",
        torch_distribution.average_gradients,
        {"average(torch.cat(": "_Sum.apply(torch.cat("},
        "averages",
    ),
    mutant(
        "an average for a sum",
        "what is gathered is divided by the number of devices",
        torch_distribution.gather,
        {"_Sum.apply(": "average("},
        "pairs",
    ),
    mutant(
        "a variance of its own",
        "batch norm's mean is global, its variance is not",
        torch_distribution.moments,
        {"average(torch.square(x - mean)": "(torch.square(x - mean)"},
        "batch norm",
    ),
    mutant(
        "a forgotten sum in JAX",
        "each device trains by the gradient of its own slice",
        jax_distribution.average_gradients,
        {"restore(average(flat))": "restore(flat)"},
        "points",
    ),
    mutant(
        "gradients counted twice in JAX",
        "the sum of the gradients of what is the whole loss on each device",
        jax_distribution.average_gradients,
        {"average(flat)": "jax.lax.psum(flat, AXIS)"},
        "points",
    ),
    mutant(
        "an average for a sum in JAX",
        "what is gathered is divided by the number of devices",
        jax_distribution.gather,
        {"tiled=True)": "tiled=True) / count()"},
        "points",
    ),
    mutant(
        "a variance of its own in JAX",
        "batch norm's mean is global, its variance is not",
        jax_distribution.moments,
        {"average(jnp.square(x - mean)": "(jnp.square(x - mean)"},
        "points",
    ),
)
MUTANTS = (
    *KINDS,
    mutant(
        "a sum without a derivative",
        "gradients do not cross from one device to the others",
        torch_distribution._Sum.backward,
        {"_Sum.apply(*gradients)": "gradients[0]"},
        "batch norm",
    ),
    mutant(
        "the first device's samples",
        "all take the statistic of the first slice",
        torch_distribution.own,
        {"[torch.distributed.get_rank()]": "[0]"},
        "pairs",
    ),
    mutant(
        "a deviation of its own",
        "DRAGAN's noise is as strong as the slice's images differ",
        torch_distribution.deviation,
        {"count() == 1": "True"},
        "dragan",
    ),
    mutant(
        "orthogonality for each device",
        "a term of weights alone is summed over those that have them",
        torch_steps.generator_step,
        {
            "(config.g_orthogonal * overlap)": (
                "(optim.distribution.count() * config.g_orthogonal * overlap)"
            )
        },
        "spectral norm",
    ),
    mutant(
        "a mean of its own",
        "the relativistic average is that of the slice",
        torch_losses.batch_mean,
        {"distribution.average(x.mean(dim=0))": "x.mean(dim=0)"},
        "pairs",
    ),
    mutant(
        "everybody draws the same",
        "each device trains on the batch's first samples",
        Backend.__init__,
        {"slice(rank * share, (rank + 1) * share)": "slice(0, share)"},
        "averages",
    ),
    mutant(
        "local norms that are global",
        "batch norm takes the statistics of all devices all the same",
        torch_distribution.norm_moments,
        {"1 if _local_norms.get() else count()": "count()"},
        "local norms",
    ),
    mutant(
        "running statistics of one device",
        "with local norms, what evaluation normalises by is of a slice",
        torch_distribution.norm_record,
        {"average(x)": "x"},
        "local norms",
    ),
    mutant(
        "signs of one device",
        "ADA's controller looks at the slice's real images",
        torch_terms.discriminator_terms,
        {"losses.batch_mean(torch.sign(real.logits))": "real.logits.sign().mean()"},
        "ada",
    ),
    mutant(
        "signs of one device in JAX",
        "ADA's controller looks at the slice's real images",
        jax_terms.discriminator_terms,
        {"losses.batch_mean(jnp.sign(real.logits))": "jnp.sign(real.logits).mean()"},
        "ada",
    ),
    mutant(
        "an average style of its own",
        "each device tracks the styles of its slice",
        Stylegan2Generator._track,
        {"distribution.average(": "("},
        "styles",
    ),
)
