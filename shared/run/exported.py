"""How a folder with an exported generator is recognised."""

import os
from pathlib import Path

WEIGHTS = "model.safetensors"
"""Of an exported generator, which has a config.json as well."""


def is_exported(path: Path) -> bool:
    """Whether a folder holds a generator that has left its run: `shared.export.hub`."""
    return all(os.path.lexists(path / name) for name in ("config.json", WEIGHTS))
