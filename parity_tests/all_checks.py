"""Imports every module ``check_*.py``, which fills `checks.CHECKS`."""

import importlib
import pkgutil
from pathlib import Path

# Found, not listed: a comparison that nobody runs would prove nothing.
MODULES = tuple(
    importlib.import_module(f"parity_tests.{module.name}")
    for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    if module.name.startswith("check_")
)
