"""A configuration from a file: a run's config.json, or a part of one."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.config.presets import PRESETS
from shared.config.train_config import (
    TrainConfig,
    config_from_json,
    config_to_json,
    left_out_of_json,
)
from shared.config.values import shown
from shared.errors import UsageError
from shared.files.reading import read_object
from shared.run.config_file import RUN_FIELDS


def read_settings(
    path: Path, preset: str | None, default: str, flags: Mapping[str, Any]
) -> TrainConfig:
    """A preset, changed by the settings of a file.

    Args:
        path: a JSON object of some or all fields of `TrainConfig`; what a run's
            config.json says besides is left out. One with a ``version``, as a run
            writes, also says what it does not name: that these are not in use.
        preset: its name; None: the file says it.
        default: the preset if neither does.
        flags: settings that go before the file's, with which they may fit better.

    Raises:
        UsageError: the file cannot be read, or a setting is unknown or refused, with
            the flags and without.
    """
    try:
        values = read_object(path)
    except UsageError as error:
        raise UsageError(f"--config {error}") from error
    values = {name: x for name, x in values.items() if name not in RUN_FIELDS}
    name = preset or values.get("preset", default)
    if not isinstance(name, str) or name not in PRESETS:
        raise UsageError(
            f"--config {path}: preset {shown(name)}: must be one of"
            f" {', '.join(PRESETS)}"
        )
    # One measure of the length replaces the other.
    given = [x for x in ("steps", "epochs") if values.get(x) is not None]
    length = dict.fromkeys(("steps", "epochs")) if given else {}
    start = config_to_json(PRESETS[name]) | length
    if "version" in values:
        start |= left_out_of_json()
    found = {**start, **values, "preset": name}
    try:
        return config_from_json(found)
    except UsageError as error:
        # Flags may be what makes it fit; if not, what it says by itself is told.
        with contextlib.suppress(UsageError):
            return config_from_json({**found, **flags})
        raise UsageError(f"--config {path}: {error}") from error
