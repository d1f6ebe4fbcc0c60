"""Latents that are drawn from, and paths through their space."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.config.arguments import AnyArray, as_array
from shared.config.limits import check_drawn, truncation_rule
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.config.values import in_line
from shared.errors import UsageError
from shared.randomness import noise
from shared.randomness.noise import Purpose

# One for all, or one for each.
ClassIds = int | AnyArray


def draw_latents(
    seed: int,
    purpose: Purpose,
    number: int,
    num: int,
    z_dim: int,
    truncation: float | None = None,
) -> NDArray[np.float32]:
    """Latents from N(0, 1), shape [num, z_dim]; or from what is near 0 of it.

    Of each sample what is too far off is drawn anew until it is not: a smaller
    truncation changes no number that it need not.

    Args:
        seed: from 0 up.
        purpose: of the random numbers.
        number: of the draw.
        num: how many; the first do not depend on it.
        z_dim: length of each.
        truncation: how far from 0 a number may be, `LEAST_TRUNCATION` or more; None:
            as far as it is.

    References:
        Brock et al. 2019, arXiv:1809.11096, section 3.1 (the truncation trick).
    """
    z = noise.normal(seed, purpose, number, num, z_dim)
    again = 0
    while truncation is not None and (far := np.abs(z) > truncation).any():
        again += 1
        z = np.where(far, noise.normal(seed, purpose, number, num, z_dim, again), z)
    return z


def great_circle(
    start: NDArray[np.float32], end: NDArray[np.float32], count: int
) -> NDArray[np.float32]:
    """``count`` latents from start to end, shape [count, z_dim].

    Along a great circle: on a straight line the middle would be shorter than nearly any
    latent of many dimensions that the generator was trained on.

    References:
        White 2016, arXiv:1609.04468, section 2.1.
    """
    unit = [x / np.linalg.norm(x) for x in (start, end)]
    angle = np.arccos(np.clip(np.dot(*unit), -1.0, 1.0))
    t = np.linspace(0.0, 1.0, count)[:, None]
    if np.sin(angle) < 1e-6:
        return ((1 - t) * start + t * end).astype(np.float32)
    path = np.sin((1 - t) * angle) * start + np.sin(t * angle) * end
    return (path / np.sin(angle)).astype(np.float32)


def latent_truncation(config: TrainConfig, truncation: float | None) -> float | None:
    """What a truncation is to `draw_latents`: nothing where it is styles that have it.

    Args:
        config: the run's configuration.
        truncation: what was asked for.
    """
    return None if ARCHITECTURES[config.architecture].has_styles else truncation


def draw_inputs(
    config: TrainConfig,
    labels: NDArray[np.int32] | None,
    num: int,
    seed: int,
    number: int,
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Latents and, for a conditional run, labels as frequent as in the data.

    Args:
        config: the run's configuration.
        labels: of the data.
        num: how many.
        seed: of the evaluation.
        number: of the draw.
    """
    z = noise.normal(seed, "evaluated samples", number, num, config.z_dim)
    if not config.conditional:
        return z, None
    assert labels is not None, "conditional runs have labels"
    chosen = noise.uniform(seed, "evaluated labels", number, num)[:, 0]
    return z, labels[(chosen * len(labels)).astype(np.int64)]


def sample_inputs(
    config: TrainConfig,
    num_classes: int,
    n: int,
    labels: ClassIds | None,
    seed: int,
    truncation: float | None,
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Latents of the command ``sample --seed``, and class ids for a conditional run.

    Args:
        config: the run's configuration.
        num_classes: of its data.
        n: how many.
        labels: a class for all, or one for each; None: the classes in turn.
        seed: from 0 up.
        truncation: as for `draw_latents`, unless it is styles that are drawn to their
            average instead.

    Raises:
        UsageError: a number or a label is out of range, there are no classes, or no
            memory could hold so many.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if not least <= value < 2**63:
            raise UsageError(f"{name} {value}: must be {least} or more, below 2**63")
    check_drawn(n, config, "n")
    if (rule := truncation_rule(config, truncation)) is not None:
        raise UsageError(f"truncation {truncation}: {rule}")
    cut = latent_truncation(config, truncation)
    z = draw_latents(seed, "drawn samples", 0, n, config.z_dim, cut)
    if not config.conditional:
        check_unlabelled(labels)
        return z, None
    if labels is None:
        return z, np.arange(n, dtype=np.int32) % np.int32(num_classes)
    ids = as_array("labels", labels)
    is_whole = np.issubdtype(ids.dtype, np.integer)
    if not is_whole or ids.shape not in ((), (n,)):
        rule = f"must be a class id, or {n} of them"
        raise UsageError(f"labels {in_line(labels)}: {rule}")
    check_class_ids(ids, num_classes)
    return z, np.broadcast_to(ids, n).astype(np.int32)


def check_latent_batch(z: Any, labels: Any, z_dim: int, *kinds: type) -> None:
    """Refuse what is no batch of latents, of which frameworks speak in riddles.

    Args:
        z: what a generator was given.
        labels: likewise; of these the type alone is looked at.
        z_dim: length of each latent.
        kinds: the framework's own arrays.

    Raises:
        UsageError: they are of another type or shape.
    """
    for name, value in {"z": z, "labels": labels}.items():
        if not isinstance(value, kinds) and (name == "z" or value is not None):
            kind = kinds[0].__name__.rpartition(".")[2]
            found = f"{name} of type {type(value).__name__}"
            raise UsageError(f"{found}: must be of type {kind}")
    # By name, which NumPy, PyTorch and JAX share.
    if not re.match("u?int|b?float", dtype := str(z.dtype).rpartition(".")[2]):
        raise UsageError(f"z of type {dtype}: must be of real numbers")
    if z.ndim != 2 or z.shape[1] != z_dim or z.shape[0] < 1:
        rule = f"must be [n, {z_dim}], n 1 or more"
        raise UsageError(f"z of shape {list(z.shape)}: {rule}")


def check_unlabelled(labels: object) -> None:
    """Refuse class ids for a generator that has no classes.

    Args:
        labels: what it was given.

    Raises:
        UsageError: there are some.
    """
    if labels is not None:
        rule = "the run is not conditional, has none"
        raise UsageError(f"labels {in_line(labels)}: {rule}")


def check_label_batch(labels: NDArray[Any], n: int, num_classes: int) -> None:
    """Refuse class ids that do not fit so many latents.

    Args:
        labels: what a generator was given.
        n: how many latents.
        num_classes: how many classes there are.

    Raises:
        UsageError: they are of another type or shape, or one is out of range.
    """
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            f"labels of type {labels.dtype} and shape {list(labels.shape)}: must be"
            f" whole numbers, one for each of z: [{n}]"
        )
    check_class_ids(labels, num_classes)


def check_class_ids(ids: NDArray[Any], num_classes: int) -> None:
    """Refuse ids of no class, which networks take in silence or not as they should.

    Args:
        ids: of any shape.
        num_classes: how many classes there are.

    Raises:
        UsageError: an id is out of range.
    """
    wrong = ids[(ids < 0) | (ids >= num_classes)]
    if wrong.size:
        raise UsageError(f"labels {wrong[0]}: must be from 0 to {num_classes - 1}")
