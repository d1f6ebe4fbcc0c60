"""A step on trial, before anything is written: code of the user's own fails here.

It may raise anything, far from where it was registered, and make what fits nothing.
"""

import contextlib
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shared import sizes
from shared.config.tables import Table
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.errors import UsageError, is_out_of_memory
from shared.training.session import Session

_TABLES: tuple[Table, ...] = (ARCHITECTURES, OBJECTIVES, PENALTIES)
# Whose frames are not the user's: this project's, Python's and those of libraries.
_OTHERS = (
    *(str(Path(__file__).parents[2] / x) for x in ("shared", "gans_torch", "gans_jax")),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)


def own_parts(config: TrainConfig) -> str:
    """What of a configuration the user has registered; empty: nothing."""
    names = [(table, getattr(config, table.setting)) for table in _TABLES]
    own = [f"{x.setting} {name!r}" for x, name in names if not x.is_built_in(name)]
    return ", ".join(own)


@contextlib.contextmanager
def blaming(parts: str) -> Iterator[None]:
    """Say whose fault it is, and in which line of theirs, where the user's code fails.

    Args:
        parts: as `own_parts`; empty: errors are our own, and stay what they are.

    Raises:
        UsageError: something within has failed.
    """
    try:
        yield
    except Exception as error:
        if not parts or isinstance(error, UsageError) or is_out_of_memory(error):
            raise
        (what, *_) = str(error).splitlines() or [""]
        name = type(error).__name__
        raise UsageError(f"{parts}{_line(error)}: {name}: {what}") from error


def rehearse(session: Session, parts: str) -> None:
    """Draw and train once; afterwards the session has to be started.

    Args:
        session: of which nothing is kept.
        parts: as `own_parts`; empty: nothing is done.

    Raises:
        UsageError: something fails, G's images are of another shape than the data, a
            network has no gradient, or random numbers are drawn.
    """
    if parts:
        with blaming(parts):
            _rehearse(session, parts)


def _rehearse(session: Session, parts: str) -> None:
    config, data = session.config, session.data.info
    session.start()
    z = np.zeros((2, config.z_dim), np.float32)
    labels = np.zeros(2, np.int32) if config.conditional else None
    made = list(session.backend.sample(z, labels).shape[1:])
    needed = [*sizes.height_and_width(config.image_size), data.channels]
    if made != needed:
        raise UsageError(f"{parts}: G makes images of shape {made}, must be {needed}")
    before = session.backend.random_state()
    metrics = session.run(session.steps_per_call)
    if session.backend.random_state() != before:
        raise UsageError(
            f"{parts}: draws random numbers, must draw none: the seed does not tell"
            " them; a penalty is given alpha and penalty_noise"
        )
    for network, name in (("D", "d_grad_norm"), ("G", "g_grad_norm")):
        if name in metrics and not metrics[name].any():
            raise UsageError(f"{parts}: the loss of {network} has no gradient")


def _line(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [x for x in frames if not x.filename.startswith((*_OTHERS, "<"))]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
