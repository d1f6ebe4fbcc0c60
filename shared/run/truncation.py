"""The truncation trick where latents become styles: styles drawn to their average."""

import numpy as np

from shared.files.arrays import Arrays

_STYLE, _AVERAGE = ".style.weight", "average_style"


def truncated(arrays: Arrays, truncation: float) -> Arrays:
    """A generator whose layers read w' = a + t (w - a) where they read a style w.

    So it needs no other code than before: what a layer makes of w', A w' + b, is
    (t A) w + (b + (1 - t) A a).

    Args:
        arrays: of a generator, or of a whole run, by their names on file.
        truncation: t; 1 changes nothing, and near 0 all images are alike.

    Returns:
        The same names.

    References:
        Karras et al. 2019, arXiv:1812.04948, appendix B.
    """
    changed = dict(arrays)
    for name in (x for x in arrays if x.endswith(_STYLE)):
        weight, bias = arrays[name], arrays[_bias(name)]
        average = arrays.get(f"{name.partition('.')[0]}.{_AVERAGE}")
        if average is None:  # what an optimiser keeps of the weight
            continue
        # As layers of equalised rates scale it.
        read = weight.astype(np.float64) @ average / np.sqrt(weight.shape[1])
        changed[name] = (truncation * weight).astype(weight.dtype)
        changed[_bias(name)] = (bias + (1 - truncation) * read).astype(bias.dtype)
    return changed


def _bias(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"
