"""The command ``export``: a run's generator, for others to load."""

from collections.abc import Callable
from typing import Any

from shared import terminal
from shared.commands.options import ExportOptions
from shared.config.run_options import handed_on
from shared.library import exporting
from shared.words import legible


def export(
    options: ExportOptions,
    twin: str,
    load: Callable[..., Any],
    convert: Callable[[Any, str], bytes],
) -> None:
    """Write what was asked for, and say where.

    Args:
        options: what the user asked for.
        twin: as for `exporting.export`.
        load: as for `exporting.export`.
        convert: as for `exporting.export`.

    Raises:
        UsageError: as `exporting.export` does.
    """
    path = exporting.export(
        twin,
        load,
        convert,
        options.run,
        options.out,
        handed_on(options, exporting.ExportOptions),
    )
    terminal.say(f"exported: {legible(path)}")
