"""Whether all processes of a run have been asked for the same one.

Each would compute its part of what it was asked for: numbers of no run at all, or sums
that fit nobody else's, which a library ends in words of its own.
"""

import pickle
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from shared import __version__
from shared.backend import Backend
from shared.config.flags import flag, spelled
from shared.config.train_config import TrainConfig, config_to_json, left_out_of_json
from shared.config.values import printable
from shared.data.image_data import DataInfo
from shared.errors import SaidElsewhere, SaidForAll, UsageError
from shared.plugins import Plugin
from shared.training.processes import processes

# So long the process that differs has to say so, before what started it ends it as
# another has ended. The first one has twice as long: in it the others have met.
_FAREWELL_SECONDS = 1
# As many settings are named in a line.
_MOST_NAMED = 3


class Asked(NamedTuple):
    """What a process was asked for, as far as it has to be the same in all."""

    version: str
    """Of this package."""
    settings: dict[str, Any]
    """By name, as config.json has them; what no process needs to know is not there."""
    dataset: str
    """What the data are called, which may differ."""
    data: DataInfo
    plugin: Plugin | None


def asked_for(
    config: TrainConfig, data: DataInfo, plugin: Plugin | None, **settings: Any
) -> Asked:
    """What this process was asked for.

    Args:
        config: the run's configuration.
        data: what it trains on.
        plugin: the user's file that the run needs.
        settings: more that have to be the same in all processes.
    """
    every = config_to_json(config) | settings
    # A folder may be elsewhere on another machine: it is its content that counts.
    dataset = every.pop("dataset")
    return Asked(__version__, every, dataset, data, plugin)


def check_alike(backend: Backend, asked: Asked) -> None:
    """Refuse a run whose processes were asked for different ones; all have to call.

    Raises:
        UsageError: this is the first process that differs from the one of rank 0.
        SaidElsewhere: another is.
    """
    if processes().count == 1:
        return
    # Another version may have other fields.
    version, content = backend.agree((asked.version, pickle.dumps(asked)))
    if asked.version != version:
        found = f"gans-twins {asked.version}: rank 0 has {version}"
    else:
        found = difference(asked, pickle.loads(content))
    end_alike(found, backend.highest)


def end_alike(found: str, highest: Callable[[int], int]) -> None:
    """End all processes where one of them has to; all have to call.

    Args:
        found: how this one differs from that of rank 0, or what that one has found;
            empty: nothing.
        highest: as `Backend.highest`.

    Raises:
        UsageError: this is the first that differs.
        SaidElsewhere: another is.
    """
    rank, count, _ = processes()
    if count == 1:
        return
    first = count - highest(count - rank if found else 0)
    if first == count:
        return
    if first == rank:
        raise UsageError(found) if rank else SaidForAll(found)
    time.sleep(_FAREWELL_SECONDS if rank else 2 * _FAREWELL_SECONDS)
    what = "was asked for another run than rank 0" if first else "has refused the run"
    raise SaidElsewhere(f"rank {first} {what}")


def difference(asked: Asked, first: Asked) -> str:
    """In what a process was asked for something else than that of rank 0; or nothing.

    Args:
        asked: of this process.
        first: of that one.
    """
    if asked.settings != first.settings:
        return _other_settings(asked.settings, first.settings)
    if asked.plugin != first.plugin:
        here, there = _described(asked.plugin), _described(first.plugin)
        return f"--plugin {here}: rank 0 has {there}"
    if not asked.data.has_images_of(first.data):
        here, there = asked.data.described(), first.data.described()
        return (
            f"--dataset {asked.dataset}: its images are others than those of rank 0"
            f" ({here} here, {there} there)"
        )
    return ""


def _other_settings(here: dict[str, Any], there: dict[str, Any]) -> str:
    """The first of the settings that differ."""
    # What is left out has its default; first as it stands, for the order.
    here, there = (x | left_out_of_json() | x for x in (here, there))
    names = [name for name in here if here[name] != there[name]]
    shown = names[:_MOST_NAMED]
    left = len(names) - len(shown)
    more = f" and {left} more" if left else ""
    return f"{_spelled(here, shown)}{more}: rank 0 has {_spelled(there, shown)}"


def _spelled(settings: dict[str, Any], names: list[str]) -> str:
    return ", ".join(
        f"no {flag(x)}"
        if settings[x] is None
        else f"{flag(x)} {printable(spelled(x, settings[x]), most=200)}"
        for x in names
    )


def _described(plugin: Plugin | None) -> str:
    return plugin.described() if plugin else "none"
