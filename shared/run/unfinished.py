"""The run that a command has started before, and that was stopped."""

from pathlib import Path

from shared import plugins
from shared.config import schedules
from shared.config.train_config import TrainConfig
from shared.errors import UsageError
from shared.plugins import Plugin
from shared.run.run_dir import RunDir


def newest_unfinished(
    config: TrainConfig, plugin: Plugin | None, root: Path = Path("runs")
) -> Path | None:
    """The newest run with these very settings that is not finished; None: none is.

    A run that another process is writing is left to it.

    Args:
        config: the settings.
        plugin: the user's file that they need.
        root: folder of all runs.
    """
    found = [path.parent for path in root.glob("*/config.json")]
    fitting = [path for path in found if _goes_on(RunDir(path), config, plugin)]
    return max(fitting, key=_started, default=None)


def _goes_on(run: RunDir, config: TrainConfig, plugin: Plugin | None) -> bool:
    try:
        stored, data = run.read_config()
        plugins.check_same(plugin, run.read_plugin())
        total = schedules.total_steps(stored, data.count)
        if stored != config or total in run.checkpoint_steps():
            return False
        with run.lock():
            return True
    except UsageError:
        return False


def _started(run: Path) -> tuple[int, str]:
    return (run / "config.json").stat().st_mtime_ns, run.name
