"""All mutants. One that survives is a hole in the certificate.

But for those of several devices, which `comparisons.devices` tries by itself.

Not here, as the twins have nothing to put them into: GELU's approximation, antialiased
resizing, `torch.compile`. Statistics that an inner gradient captures are an error in
JAX, not a wrong number.
"""

from parity_tests.mutants import (
    accumulation,
    ada,
    augmentation,
    export,
    formulas,
    layers,
    networks,
    orthogonality,
    schedules,
    training,
)
from parity_tests.mutants.mutation import Mutant

MODULES = (
    accumulation,
    ada,
    augmentation,
    export,
    formulas,
    layers,
    networks,
    orthogonality,
    schedules,
    training,
)

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant for module in MODULES for mutant in module.MUTANTS
}
