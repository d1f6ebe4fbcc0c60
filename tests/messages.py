"""Every message of a `UsageError`, and which test provokes it.

A *site* is a place in the sources that makes such an error. ``messages.json`` names a
test for each; `test_messages` demands that none is left out, and each of these tests
fails if it does not have its messages made (see `conftest`). After a change:

    GANS_NOTE_MESSAGES=1 python -m pytest -n 0 tests/FILE.py

enters what these tests provoke, where a site had no test or lost it.
"""

import ast
import functools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from shared.errors import UsageError

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".json")
UNPROVOKED = "no test yet"
"""Stands for the test where there is none, which no entry may keep."""

_PACKAGES = ("shared", "gans_torch", "gans_jax")
# They make the error for whoever calls them.
_MAKERS = ("UsageError", "refuse", "_no_record", "_used", "_refuse_told")
_LONGEST = 100

_made: set[tuple[str, int]] = set()


def sites() -> list[str]:
    """All places that make a `UsageError`, by file, function and message."""
    files = (path for name in _PACKAGES for path in (ROOT / name).rglob("*.py"))
    return sorted({site for path in files for site, _ in _sites(str(path))})


@functools.cache
def _sites(file: str) -> list[tuple[str, range]]:
    """The sites of a file, and their lines."""
    path = Path(file)
    tree = ast.parse(path.read_text())
    module = str(path.relative_to(ROOT))
    return [
        (f"{module}: {name}: {_template(call)}", range(call.lineno, _last(call) + 1))
        for name, call in _calls(tree, "")
    ]


def _calls(node: ast.AST, owner: str) -> Iterator[tuple[str, ast.Call]]:
    for child in ast.iter_child_nodes(node):
        inside = owner
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{owner}.{child.name}".strip(".")
        if isinstance(child, ast.Call) and owner.rpartition(".")[2] not in _MAKERS[1:]:
            name = getattr(child.func, "id", getattr(child.func, "attr", ""))
            if name in _MAKERS:
                yield owner, child
        yield from _calls(child, inside)


def _template(call: ast.Call) -> str:
    """The message as it stands in the source, its values as {}."""
    texts = [
        part.value if isinstance(part, ast.Constant) else "{}"
        for argument in call.args
        for part in (
            argument.values if isinstance(argument, ast.JoinedStr) else [argument]
        )
    ]
    return "".join(map(str, texts))[:_LONGEST]


def _last(node: ast.expr) -> int:
    return node.end_lineno or node.lineno


def install() -> None:
    """Take down from here on where errors are made, in this process."""

    def note(self: UsageError, *arguments: Any) -> None:
        ValueError.__init__(self, *arguments)
        frame = sys._getframe(1)
        while frame.f_code.co_name in _MAKERS and frame.f_back is not None:
            frame = frame.f_back
        _made.add((frame.f_code.co_filename, frame.f_lineno))

    UsageError.__init__ = note


def take() -> set[str]:
    """The sites whose errors were made since the last call."""
    found = {
        site
        for file, line in _made
        if Path(file).is_relative_to(ROOT)
        for site, lines in _sites(file)
        if line in lines
    }
    _made.clear()
    return found


def add(made: Iterable[tuple[str, int]]) -> None:
    """Take down what another process has noted, as `raw` gives it."""
    _made.update((file, line) for file, line in made)


def raw() -> list[tuple[str, int]]:
    """Files and lines noted so far."""
    return sorted(_made)


@functools.cache
def known() -> dict[str, str]:
    """Tests by site, as the list has them."""
    return json.loads(LIST.read_text()) if LIST.exists() else {}


@functools.cache
def claims() -> dict[str, set[str]]:
    """Sites by test."""
    found: dict[str, set[str]] = {}
    for site, test in known().items():
        found.setdefault(test, set()).add(site)
    return found


def has_test(test: str) -> bool:
    """Whether a test is still there, by its name in the sources."""
    file, _, name = test.partition("::")
    path = ROOT / file
    return path.is_file() and f"def {name.partition('[')[0]}(" in path.read_text()


def enter(provoked: dict[str, set[str]]) -> None:
    """Write the list anew: what was provoked, where a site has no test.

    Args:
        provoked: sites by test.
    """
    if not os.environ.get("GANS_NOTE_MESSAGES"):
        return
    tests = {site: test for test, of in sorted(provoked.items()) for site in of}
    entries = {}
    with FileLock(tempfile.gettempdir() + "/messages.lock"):  # of pytest's processes
        known.cache_clear()
        for site in sites():
            test = known().get(site, UNPROVOKED)
            lost = test in provoked and site not in provoked[test]
            entries[site] = (
                tests.get(site, UNPROVOKED) if lost or not has_test(test) else test
            )
        LIST.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
