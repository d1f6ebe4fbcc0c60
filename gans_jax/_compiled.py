"""Compiled programs, kept for the next start of the same training.

XLA takes seconds to minutes to compile a preset's step, and makes the same program each
time: JAX keeps it by a digest of what it was made from, of the version of the compiler
and of the accelerator. Nothing here imports JAX, which reads its settings from the
environment.
"""

import hashlib
import os
import platform
from pathlib import Path

import filelock
import platformdirs

# Some hundred programs; what was not used for longest goes.
_MOST_BYTES = 2**30


def keep_compiled() -> None:
    """Have JAX keep what it compiles below the user's cache, and take it from there.

    To be called before JAX is imported. Does nothing where the user has said already
    where to keep it, or where there is no place.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        # Programs of a CPU are for that kind alone, which JAX does not look at: a home
        # may be that of many machines.
        own = platformdirs.user_cache_path("gans-twins", appauthor=False)
        folder = own / f"jax-{_processor()}"
        # It is code: nobody else may write there.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_unfinished(folder)
    except (OSError, RuntimeError):  # of a user without a home, or who may not write
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(_MOST_BYTES)
    # Whatever takes longer than to read it back.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def _remove_unfinished(folder: Path) -> None:
    """Remove what a process was writing when it was killed: JAX would never replace it.

    Its second file, the time of the last use, is written when the program is whole.
    """
    with filelock.FileLock(folder / ".lockfile", timeout=10):  # the one of JAX
        for path in folder.glob("*-cache"):
            if not path.with_name(path.name.removesuffix("cache") + "atime").exists():
                path.unlink()


def _processor() -> str:
    """A digest of what this kind of CPU can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not every system has it
        lines = []
    features = {line for line in lines if line.startswith(("flags", "Features"))}
    words = [platform.machine(), platform.processor(), *sorted(features)]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:8]
