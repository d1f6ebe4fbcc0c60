"""Plots as files, whatever the names in them."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.files.atomic import write_atomically
from shared.files.temporary import check_temporary_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def prepare() -> None:
    """Refuse to draw where Matplotlib cannot; to be called before its first import.

    It would tell at length of a home that cannot be written, where it can do without.

    Raises:
        UsageError: there is no folder that it could use.
    """
    check_temporary_folder()  # used where a home has none
    log = logging.getLogger("matplotlib")
    if log.level == logging.NOTSET:
        log.setLevel(logging.ERROR)


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Draw as Matplotlib does by itself: a decorator of what makes and saves a figure.

    Whatever a user's matplotlibrc or style asks for would be in a run's pictures, and
    letters set by a LaTeX that is not there would end the run.

    Raises:
        UsageError: as for `prepare`.
    """
    prepare()
    import matplotlib  # as in `new_figure`

    defaults = matplotlib.rcParamsDefault
    # A notebook's own backend is left as it is.
    style = {name: defaults[name] for name in defaults if name != "backend"}
    with matplotlib.rc_context(style):
        yield


def new_figure(width: float, height: float, **settings: Any) -> "Figure":
    """An empty figure.

    Args:
        width: in inches.
        height: in inches.
        settings: further arguments of Matplotlib's ``Figure``.

    Raises:
        UsageError: as for `prepare`.
    """
    prepare()
    # Matplotlib takes long to import, and most programs draw nothing. No pyplot: it
    # keeps state.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", **settings)


def with_grid(axes: Any) -> None:
    """Give a panel of curves a faint grid, and no frame where nothing is read."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def panels(count: int, height: float) -> tuple["Figure", list[Any]]:
    """A figure of panels above each other, over the steps of a run.

    Args:
        count: how many.
        height: of each, in inches.

    Returns:
        The figure, and the axes of each panel from the top down.
    """
    figure = new_figure(9, height * count)
    all_axes = list(figure.subplots(count, sharex=True, squeeze=False)[:, 0])
    for axes in all_axes:
        with_grid(axes)
    all_axes[-1].set_xlabel("step")
    return figure, all_axes


def save_figure(path: Path, figure: "Figure") -> None:
    """Write a figure, with every text in it as it is.

    Args:
        path: the file (PNG).
        figure: names of runs and data sets in it may have any characters: what would be
            a formula is none, and what the font lacks becomes a box.

    Raises:
        UsageError: the file cannot be written.
    """
    # Matplotlib takes long to import; whoever has a figure has imported it.
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text), "that is what was looked for"
        text.set_parse_math(False)
        # A folder's name need not be UTF-8.
        text.set_text(text.get_text().encode(errors="replace").decode())
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # One for each letter.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
