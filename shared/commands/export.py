"""The command ``export``: a run's generator, for others to load."""

from collections.abc import Callable
from typing import Any

from shared import library, plugins, terminal
from shared.commands.options import ExportOptions
from shared.run.generator import GeneratorState


def export(
    options: ExportOptions,
    twin: str,
    load: Callable[..., Any],
    convert: Callable[[Any, str], bytes],
) -> None:
    """Write what was asked for, and say where.

    Args:
        options: what the user asked for.
        twin: as for `library.export`.
        load: as for `library.export`.
        convert: as for `library.export`.

    Raises:
        UsageError: as `library.export` does.
    """
    run, out = options.run, options.out

    def load_checked(state: GeneratorState, *rest: Any, **options_of: Any) -> Any:
        plugins.check_drawn_with(options.plugin, state.plugin)
        return load(state, *rest, **options_of)

    path = library.export(
        twin,
        load_checked,
        convert,
        run,
        out,
        options.format,
        options.step,
        options.standing_stats,
    )
    terminal.say(f"exported: {path}")
