"""Which version this is, and of what it is made, for whoever reports a fault."""

import importlib.metadata
import platform

from shared import __version__


def describe_version() -> str:
    """The version of this project, of Python and of the frameworks that are there."""
    parts = [f"gans-twins {__version__}", f"Python {platform.python_version()}"]
    for name in ("torch", "jax", "flax"):
        try:
            parts.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"no {name}")
    return ", ".join(parts)
