"""The run that a command has started before, and that was stopped."""

import contextlib
from pathlib import Path

from shared import plugins
from shared.config import schedules
from shared.config.train_config import TrainConfig
from shared.errors import UsageError
from shared.plugins import Plugin
from shared.run.run_dir import RunDir


def newest_unfinished(
    config: TrainConfig,
    plugin: Plugin | None,
    *,
    locks: bool = True,
) -> Path | None:
    """The newest run with these very settings that is not finished; None: none is.

    A run that another process is writing is left to it.

    Args:
        config: the settings.
        plugin: the user's file that they need.
        locks: whether to find out if another process writes a run, by taking its lock
            for a moment. Only one of several that look together may: each would take
            the others for writers.
    """
    found = [path.parent for path in Path("runs").glob("*/config.json")]
    fitting = [path for path in found if _goes_on(RunDir(path), config, plugin, locks)]
    return max(fitting, key=_started, default=None)


def _goes_on(
    run: RunDir, config: TrainConfig, plugin: Plugin | None, locks: bool
) -> bool:
    try:
        stored, data = run.config_file.read()
        plugins.check_same(plugin, run.config_file.plugin())
        total = schedules.total_steps(stored, data.count)
        if stored != config or total in run.checkpoint_steps():
            return False
        with run.lock() if locks else contextlib.nullcontext():
            return True
    except UsageError:
        return False


def _started(run: Path) -> tuple[int, str]:
    return (run / "config.json").stat().st_mtime_ns, run.name
