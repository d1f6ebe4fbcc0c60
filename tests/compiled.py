"""What JAX has traced and compiled is shared by the tests of a process.

That takes most of a tiny run's time, and many tests train with the same settings. A
backend is given what an earlier one has compiled, where all that was compiled for is
equal: settings, structure of the state, device, and each function of the twin, so that
one that a test replaces is seen.
"""

import atexit
import contextlib
import dataclasses
import functools
import gc
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

# They are numbers that a compiled function is given, or of no concern to it.
_WITHOUT_EFFECT = {
    *("preset", "dataset", "seed", "steps", "epochs"),
    *("log_every", "sample_every", "save_every", "evaluate_every"),
}

_FOLDER = "JAX_COMPILATION_CACHE_DIR"

# Programs take memory; those that were used last are kept.
_MOST = 16


def keep() -> None:
    """Have JAX compile quickly, and keep programs on the disk, for all of pytest.

    To be called before JAX is imported.
    """
    # Programs are millions of objects: Python is to look seldom for circles of them.
    gc.set_threshold(50_000, 20, 20)
    if _FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="compiled-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[_FOLDER] = folder
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        # Another process may be writing a program, or have been killed while it did.
        told = "ignore:Error reading persistent compilation cache entry:UserWarning"
        os.environ["PYTHONWARNINGS"] = told
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_quick()}"


def _quick() -> str:
    """Flags by which XLA compiles in less than half the time, to slower programs.

    `test_twins_agree_as_users_compile` does without them.
    """
    flags = "--xla_backend_optimization_level=0"
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        # XLA ends a process at a flag that it doesn't know, and this one may go.
        if importlib.metadata.version("jax").startswith("0.10."):
            flags += " --xla_cpu_use_fusion_emitters=false"
    return flags


def share() -> None:
    """Have all backends of this process share what they compile."""
    from gans_jax import (
        _slices,
        augmentation,
        backend,
        distribution,
        layers,
        losses,
        models,
        optim,
        penalties,
        steps,
        terms,
    )

    modules = (_slices, augmentation, backend, distribution, layers, losses, models)
    modules += (optim, penalties, steps, terms)
    kept: dict[Any, Any] = {}

    def shared(make: Callable[[Any], Any]) -> Any:
        def of(self: Any) -> Any:
            settings = dataclasses.asdict(self.config)
            for name in _WITHOUT_EFFECT:
                del settings[name]
            functions = [id(x) for module in modules for x in vars(module).values()]
            key = (
                make,
                tuple(sorted(settings.items())),
                self._tree,
                self._image_shape,
                self._mesh,
                tuple(self._compiler_options),
                tuple(functions),
            )
            if key not in kept:
                kept[key] = make(self)
            kept[key] = kept.pop(key)
            while len(kept) > _MOST:
                kept.pop(next(iter(kept)))
            return kept[key]

        return functools.cached_property(of)

    for name in ("_train_steps", "_evaluate", "_evaluate_in_training"):
        member = shared(vars(backend.Backend)[name].func)
        setattr(backend.Backend, name, member)
        member.__set_name__(backend.Backend, name)
