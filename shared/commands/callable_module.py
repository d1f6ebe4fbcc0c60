"""Commands that are modules, and functions as well."""

import importlib
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A command whose name is also that of a function of the library.

    Python puts an imported module in the place of the function, which it then stands
    for: ``gans_torch.evaluate(...)`` works all the same.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        twin, _, name = self.__name__.rpartition(".")
        library = importlib.import_module(f"{twin}.library")
        return getattr(library, name)(*args, **kwargs)
