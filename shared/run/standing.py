"""Statistics that batch norm goes by in evaluation mode, taken anew."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.config.flags import refuse
from shared.files.arrays import Arrays
from shared.randomness.latents import draw_latents
from shared.run.generator import GeneratorState

BatchStatistics = Callable[[NDArray[np.float32], NDArray[np.int32] | None], Arrays]


def stand(
    state: GeneratorState, statistics: BatchStatistics, batches: int
) -> GeneratorState:
    """The generator with the mean statistics of fresh batches as its running ones.

    Those of training are of weights that have changed since and, beside an average of
    G, of other weights altogether.

    Args:
        state: the generator.
        statistics: of latents and labels, what each batch norm sees of them: means and
            variances, by the names of its running ones.
        batches: how many, each as large as those of the run; labels are all classes in
            turn.

    Raises:
        UsageError: the generator has no batch norm.

    References:
        Brock et al. 2019, arXiv:1809.11096 ("standing statistics").
    """
    config = state.config
    if not config.g_has_batch_norm:
        raise refuse("standing_stats", batches, "the generator has no batch norm")
    size, classes = config.batch_size, state.data.num_classes
    sums: dict[str, NDArray[np.float64]] = {}
    for batch in range(batches):
        z = draw_latents(config.seed, "standing statistics", batch, size, config.z_dim)
        labels = None
        if config.conditional:
            labels = np.arange(batch * size, (batch + 1) * size, dtype=np.int32)
            labels = labels % np.int32(classes)
        for name, values in statistics(z, labels).items():
            sums[name] = sums.get(name, 0.0) + values.astype(np.float64)
    means = {
        name: (total / batches).astype(state.arrays[name].dtype)
        for name, total in sums.items()
    }
    return state._replace(arrays=state.arrays | means, standing_stats=batches)
