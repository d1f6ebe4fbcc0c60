"""A user's own Python file: objectives, penalties, architectures without a fork.

The file defines ``register(twin)``, which is called with the package that asks,
``gans_torch`` or ``gans_jax``, and calls ``twin.register_objective`` and the like, so
that one file may serve both twins.
"""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import NamedTuple, overload

from shared.config.arguments import about
from shared.errors import UsageError
from shared.files.reading import read_file


class Plugin(NamedTuple):
    """A file that a run needs."""

    file: str
    """Its name."""
    sha256: str
    """Digest of its content."""

    def described(self) -> str:
        """In a few words, to be told from another."""
        return f"{self.file} of digest {self.sha256[:8]}"


# What each twin has loaded last, by the file's name.
_loaded: dict[tuple[str, str], Plugin] = {}


def load(path: Path, twin: str, argument: str = "--plugin") -> Plugin:
    """Execute a plugin, and have it register what it has; its names then mean that.

    Args:
        path: the file.
        twin: the package that it is to register with.
        argument: what errors call the path.

    Raises:
        UsageError: it cannot be read, has no ``register``, or raises an error, which is
            told with the line that raised it.
    """
    plugin = read(path, argument)
    try:
        _execute(path, twin)
    except Exception as error:
        raise UsageError(f"{argument} {_describe(path, error)}") from error
    _loaded[twin, plugin.file] = plugin
    return plugin


@overload
def read(path: Path, argument: str = "--plugin") -> Plugin: ...
@overload
def read(path: None, argument: str = "--plugin") -> None: ...
def read(path: Path | None, argument: str = "--plugin") -> Plugin | None:
    """What a plugin is known by, as one that a command has loaded.

    Args:
        path: the file; None: there is none.
        argument: as for `load`.

    Raises:
        UsageError: it cannot be read.
    """
    if path is None:
        return None
    with about(argument):
        content = read_file(path)
    return Plugin(path.name, hashlib.sha256(content).hexdigest())


def check_same(plugin: Plugin | None, stored: Plugin | None) -> None:
    """Refuse to go on with a run without its plugin, or with another.

    Raises:
        UsageError: the contents differ, or only one is there.
    """
    if stored is None:
        if plugin is not None:
            raise UsageError(
                f"--plugin {plugin.file}: the run was started without a plugin"
            )
    elif plugin is None:
        raise UsageError(
            f"--plugin: the run was started with {stored.described()} and needs it"
            " again"
        )
    elif plugin.sha256 != stored.sha256:
        raise UsageError(
            f"--plugin {plugin.described()}: is another than the run was started with,"
            f" {stored.described()}"
        )


def check_drawn_with(path: Path | None, stored: Plugin | None) -> None:
    """Refuse to draw from a run with another plugin than it was trained with.

    Args:
        path: the file that was asked for; None: a run may need none for that.
        stored: what the run was started with.

    Raises:
        UsageError: it is another, or cannot be read.
    """
    if path is not None and stored is not None:
        check_same(read(path), stored)


def check_loaded(twin: str, stored: Plugin | None) -> None:
    """Refuse to draw from a run by what its plugin has become since.

    What a cell of a notebook has registered needs no file.

    Args:
        twin: the package that draws.
        stored: what the run was started with.

    Raises:
        UsageError: a file of that name was loaded last, and is another.
    """
    if stored is not None and (plugin := _loaded.get((twin, stored.file))):
        check_same(plugin, stored)


def _execute(path: Path, twin: str) -> None:
    # Under a name of its own: dataclasses and pickle look modules up by name.
    name = f"gans_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("must be a Python file, NAME.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "register", None)):
        raise AttributeError("must define register(twin)")
    module.register(importlib.import_module(twin))


def _describe(path: Path, error: Exception) -> str:
    """File, line and what went wrong, as the last line of a traceback says it."""
    frames = traceback.extract_tb(error.__traceback__)
    here = path.resolve()  # as Python calls the file, too
    lines = [x.lineno for x in frames if Path(x.filename).resolve() == here]
    if isinstance(error, SyntaxError) and Path(error.filename or "").resolve() == here:
        lines.append(error.lineno)
    where = f", line {lines[-1]}" if lines else ""
    (*_, what) = traceback.format_exception_only(error)
    if isinstance(error, UsageError):
        what = str(error)
    return f"{path}{where}: {what.strip()}"
