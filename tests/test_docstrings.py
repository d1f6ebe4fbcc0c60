"""What docstrings explain: ``Args:`` and signatures name the same arguments."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("shared", "gans_torch", "gans_jax", "parity_tests", "benchmarks")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def complaints(source: str) -> Iterator[str]:
    """Functions, methods and classes whose ``Args:`` do not fit their signatures."""
    tree = ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        if not isinstance(node, _Function | ast.ClassDef):
            continue
        explained = _explained(ast.get_docstring(node) or "")
        # Without that section the names have to speak for themselves.
        if not explained:
            continue
        taken = _taken(node, classes)
        wrong = {"no": explained - taken, "unexplained": taken - explained}
        for what, names in wrong.items():
            for name in sorted(names):
                yield f"{node.name}: {what} argument {name}"


def _explained(docstring: str) -> set[str]:
    """The names in the section ``Args:``."""
    section = re.search(r"^Args:\n((?:(?:  .*)?(?:\n|$))+)", docstring, re.MULTILINE)
    if section is None:
        return set()
    text = inspect.cleandoc("\n" + section[1])
    return set(re.findall(r"^\*{0,2}(\w+)(?: \(.*\))?:", text, re.MULTILINE))


def _taken(
    node: _Function | ast.ClassDef, classes: dict[str, ast.ClassDef]
) -> set[str]:
    """The parameters that a caller may give; of a class, those that it is made with."""
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                return _taken(method, classes)
        bases = [x.id for x in node.bases if isinstance(x, ast.Name)]
        inherited = [_taken(classes[x], classes) for x in bases if x in classes]
        fields = [
            x.target.id
            for x in node.body
            if isinstance(x, ast.AnnAssign) and isinstance(x.target, ast.Name)
        ]
        return set(fields).union(*inherited)
    spec = node.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    every += [x for x in (spec.vararg, spec.kwarg) if x is not None]
    names = {x.arg for x in every} - {"self", "cls"}
    return {name for name in names if not name.startswith("_")}


def _files() -> list[Path]:
    return [path for x in PACKAGES for path in sorted((ROOT / x).rglob("*.py"))]


@pytest.mark.parametrize("path", _files(), ids=lambda x: str(x.relative_to(ROOT)))
def test_arguments_are_explained_as_they_are(path: Path) -> None:
    assert list(complaints(path.read_text())) == []


def test_there_are_sections_to_compare() -> None:
    sections = [
        name
        for path in _files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, _Function | ast.ClassDef)
        for name in _explained(ast.get_docstring(node) or "")
    ]
    assert len(sections) > 500


_TOY = '''
class Block(Module):
    """A block.

    Args:
        size: its size, of
            which more is said: here.
        rest: of the others.
    """

    def __init__(self, size, *, rest=None):
        self.size = size

    def run(self, x, _hidden=None, **options):
        """Run it.

        Args:
            x: what goes in.
            options: how.

        Returns:
            What comes out: all of it.
        """

def silent(x, y):
    """Nothing is explained."""
'''


def test_a_toy_is_fine() -> None:
    assert list(complaints(_TOY)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rest: of", "kernel: of", ["Block: no argument kernel"]),
        ("size: its", "sizes: its", ["Block: unexplained argument size"]),
        ("self, x,", "self, x, y,", ["run: unexplained argument y"]),
        ("x: what", "z: what", ["run: no argument z", "run: unexplained argument x"]),
        (", **options", "", ["run: no argument options"]),
    ],
)
def test_what_does_not_fit_is_noticed(old: str, new: str, expected: list[str]) -> None:
    assert _TOY.count(old) == 1
    assert set(expected) <= set(complaints(_TOY.replace(old, new)))
