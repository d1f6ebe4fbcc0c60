"""All comparisons; importing this fills `registry.CHECKS`."""

import importlib
import pkgutil

# Found, not listed: a comparison that nobody runs would prove nothing.
MODULES = tuple(
    importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
)
