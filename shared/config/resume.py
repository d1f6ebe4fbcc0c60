"""What a run may change when it goes on."""

import dataclasses

from shared.config.choices import is_folder
from shared.config.flags import flag, refuse, spelled
from shared.config.train_config import TrainConfig

CHANGEABLE_ON_RESUME = frozenset(
    {
        # How long it goes on, and what it writes on the way.
        *("steps", "epochs", "log_every", "sample_every", "save_every"),
        "evaluate_every",
        # Computes the same, in other slices.
        "accumulate",
    }
)
"""Settings that a resumed run may change."""


def check_resumed(config: TrainConfig, stored: TrainConfig) -> None:
    """Refuse settings that a run was not started with.

    Args:
        config: what the run is to go on with.
        stored: what it was started with.

    Raises:
        UsageError: something differs that may not change.
    """
    old, new = dataclasses.asdict(stored), dataclasses.asdict(config)
    changed = {name: value for name, value in new.items() if value != old[name]}
    for name, value in changed.items():
        # A folder may have been moved; that its images are the same is checked later.
        if name == "dataset" and is_folder(str(value)) and is_folder(stored.dataset):
            continue
        if name not in CHANGEABLE_ON_RESUME:
            may = ", ".join(map(flag, sorted(CHANGEABLE_ON_RESUME)))
            started = f"the run was started with {spelled(name, old[name])}"
            raise refuse(name, value, f"{started}; only {may} may change")
    length = [name for name in ("steps", "epochs") if changed.get(name) is not None]
    if length and stored.lr_schedule != "constant":
        raise refuse(
            length[0],
            changed[length[0]],
            f"--lr-schedule {stored.lr_schedule} is spread over the length that the"
            " run was started with, which therefore may not change",
        )
