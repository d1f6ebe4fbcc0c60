"""Mutation: a known trap put into one twin, to see which comparison notices."""

import contextlib
import fnmatch
import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from parity_tests.certificate.outcomes import complaints, run
from parity_tests.certificate.registry import CHECKS, Check
from parity_tests.harness import trajectories
from parity_tests.harness.edits import Edit, edited

# A mutant that does not even run proves nothing.
_CRASHES = ("NameError", "AttributeError", "SyntaxError")


class Mutant(NamedTuple):
    """One trap, as edits of a twin, and the comparisons that should turn red."""

    name: str
    """Unique."""
    trap: str
    """What goes wrong, as people do it."""
    edits: tuple[Edit, ...]
    """Made together."""
    suspects: tuple[str, ...]
    """Names of `registry.CHECKS`, or patterns of them as in a shell."""

    @property
    def twin(self) -> str:
        """The package that is changed, ``gans_torch`` or ``gans_jax``."""
        return self.edits[0].function.__module__.partition(".")[0]


def mutant(
    name: str,
    trap: str,
    function: Callable[..., Any],
    changes: dict[str, str],
    *suspects: str,
) -> Mutant:
    """A mutant of one function; arguments as in `Mutant` and `Edit`."""
    return Mutant(name, trap, (Edit(function, changes),), suspects)


@contextlib.contextmanager
def mutated(*edits: Edit) -> Iterator[None]:
    """Make the edits, as `edited`, and forget what was made from the code before."""
    forget = functools.partial(_forget, *edits)
    with contextlib.ExitStack() as undo:
        undo.callback(forget)
        undo.enter_context(edited(*edits))
        forget()
        yield


@contextlib.contextmanager
def compiled_kept(folder: Path) -> Iterator[None]:
    """Have JAX keep compiled programs in a folder, by their contents.

    A mutant of the PyTorch twin then finds the other twin's programs there; a mutant of
    the JAX twin is another program.
    """
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        _configure(settings)
        yield
    finally:
        _configure(before)


def kill(mutant: Mutant, most: int | None = None) -> dict[str, str]:
    """The suspects that turn red under the mutation, and what each says.

    Those that merely cannot run the mutant are not among them.

    Args:
        mutant: what is put into a twin.
        most: stop when so many have turned red; None: ask all suspects.

    Raises:
        ValueError: an edit does not fit the source, or there is no such comparison.
    """
    checks = suspects(mutant)
    with mutated(*mutant.edits):
        red = (
            (check.name, lines[0].partition("\n")[0].removeprefix(f"{check.name}: "))
            for check in checks
            if (lines := complaints(run(check)))
        )
        noticed = (found for found in red if not found[1].startswith(_CRASHES))
        return dict(itertools.islice(noticed, most))


def suspects(mutant: Mutant) -> list[Check]:
    """The comparisons that should notice the mutant.

    Raises:
        ValueError: a name or pattern fits none.
    """
    names: dict[str, None] = {}
    for pattern in mutant.suspects:
        found = fnmatch.filter(CHECKS, pattern)
        if not found:
            raise ValueError(f"suspect {pattern!r} of {mutant.name!r}: no such check")
        names |= dict.fromkeys(found)
    return [CHECKS[name] for name in names]


@functools.cache
def is_green(name: str) -> bool:
    """Whether a comparison holds for the twins as they are; measured once."""
    return run(CHECKS[name]).holds


def _forget(*edits: Edit) -> None:
    """Drop what was made from the code as it was: compiled programs, backends."""
    packages = {edit.function.__module__.partition(".")[0] for edit in edits}
    for twin in trajectories.Pair._fields:
        if packages & {"shared", f"gans_{twin}"}:
            trajectories.forget_sessions(twin)
    if "gans_jax" in packages:
        jax.clear_caches()


def _configure(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
