"""Writes docs/side_by_side.md from the sources: ``python docs/site/side_by_side.py``.

For each objective and penalty: formula and paper, from the docstring, and the lines of
both twins. A test fails where the page is not what the sources give.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "side_by_side.md"

_INTRODUCTION = """\
# Side by side

Every loss and every penalty, as `{0}` and `{1}` of [PyTorch](../gans_torch/{0}) and of
[JAX](../gans_jax/{0}) have them. D is the discriminator or critic, G the generator, x a
real image, z a latent; everything is minimised. This page is written from the sources
by `python docs/site/side_by_side.py`.

How these are used is in `terms.py`, which adds a loss, a penalty and what else D or G
minimises, and in `steps.py`, whose first lines tell a whole step; the networks are in
`models/`. What the frameworks name and do otherwise:

| | PyTorch | JAX |
| --- | --- | --- |
| images | [batch, channels, height, width] | [batch, height, width, channels] |
| kernels | [out, in, height, width] | [height, width, in, out] |
| a network | a module, changed in place | a value, which a call makes anew |
| constants | `x.detach()`, `torch.no_grad()` | `jax.lax.stop_gradient(x)` |
| slopes in a loss | `torch.autograd.grad(create_graph=True)` | `jax.grad` |
| updates left out | `if`, on the host | `jax.lax.cond`, on the device |
| Adam's averages | `exp_avg`, `exp_avg_sq` | `mu`, `nu` |
| random numbers | neither framework's: `shared/randomness` | the same |
| in a checkpoint | its names and layouts | renamed and transposed on the way |
"""
_TABLE = """\
<table class="twins" markdown="block">
<tr><th>PyTorch</th><th>JAX</th></tr>
<tr markdown="block"><td markdown="block">

```python
{}
```

</td><td markdown="block">

```python
{}
```

</td></tr>
</table>
"""


class Function(NamedTuple):
    """A function of one twin, as a reader sees it."""

    name: str
    parameters: list[str]
    summary: str
    details: list[str]
    """Paragraphs between the summary and the sections."""
    references: list[str]
    lines: str
    """The body, comments included, without the docstring."""
    calls: set[str]


class Module(NamedTuple):
    """The functions of a file, and its table of those that settings name."""

    functions: dict[str, Function]
    table: dict[str, list[str]]


def read(source: str, table: str) -> Module:
    """What a source has.

    Args:
        source: text of the file.
        table: name of the `Members`, from names of settings to functions.
    """
    tree = ast.parse(source)
    functions = {
        node.name: _function(node, source.splitlines())
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    rows: dict[str, list[str]] = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Call(args=[*_, ast.Dict() as value]),
                )
                | ast.AnnAssign(
                    target=ast.Name(id=name),
                    value=ast.Call(args=[*_, ast.Dict() as value]),
                )
            ) if name == table:
                for key, row in zip(value.keys, value.values, strict=True):
                    names = [n.id for n in ast.walk(row) if isinstance(n, ast.Name)]
                    setting = ast.literal_eval(key) if key else ""
                    rows[setting] = [n for n in names if n in functions]
    return Module(functions, rows)


def page(root: Path = ROOT) -> str:
    """The whole page."""
    parts: list[str] = [_INTRODUCTION.format("losses.py", "penalties.py")]
    for file, table, title, flag in (
        ("losses.py", "OBJECTIVES", "Losses", "--objective"),
        ("penalties.py", "PENALTIES", "Penalties", "--penalty"),
    ):
        parts.append(f"## {title}\n")
        torch = read((root / "gans_torch" / file).read_text(), table)
        jax = read((root / "gans_jax" / file).read_text(), table)
        parts.extend(_sections(torch, jax, flag))
    return "\n".join(parts)


def _sections(torch: Module, jax: Module, flag: str) -> Iterator[str]:
    """Those of the table; what else has a paper; then what these are made of."""
    shown = set()
    for setting, names in torch.table.items():
        yield f"### {setting}\n\n`{flag} {setting}`\n"
        for name in names:
            yield _entry(torch.functions[name], jax.functions[name])
            shown.add(name)
    others = [
        name
        for name, function in torch.functions.items()
        if function.references and name not in shown
    ]
    if others:
        yield "### Other terms\n"
    for name in others:
        yield _entry(torch.functions[name], jax.functions[name])
    helpers = _helpers(torch, {*shown, *others})
    yield "### What these are made of\n"
    for name in helpers:
        yield _entry(torch.functions[name], jax.functions[name])


def _helpers(module: Module, shown: set[str]) -> list[str]:
    """Functions that the shown ones call, in the file's order."""
    wanted = set(shown)
    while (
        more := {
            name
            for caller in wanted
            for name in module.functions[caller].calls & module.functions.keys()
        }
        - wanted
    ):
        wanted |= more
    return [name for name in module.functions if name in wanted - shown]


def _entry(torch: Function, jax: Function) -> str:
    parts = [f"**`{torch.name}({', '.join(torch.parameters)})`**\n"]
    parts += [f"{_text(torch.summary)}\n"] if torch.summary else []
    for paragraph in torch.details:
        is_formula = re.match(r"[LE]\w*(_\w)? ?(=|\[)", paragraph)
        parts.append(
            f"```text\n{paragraph}\n```\n" if is_formula else f"{_text(paragraph)}\n"
        )
    parts += [f"- {_linked(reference)}" for reference in torch.references]
    parts += [""] * bool(torch.references)
    parts.append(_TABLE.format(torch.lines, jax.lines))
    return "\n".join(parts)


def _parameters(arguments: ast.arguments) -> list[str]:
    names = [argument.arg for argument in arguments.args]
    return names + ([f"*{arguments.vararg.arg}"] if arguments.vararg else [])


def _function(node: ast.FunctionDef, source: list[str]) -> Function:
    documented = ast.get_docstring(node)
    summary, *rest = (documented or "").split("\n\n")
    sections = [re.match(r"[A-Z]\w+:\n", part) is not None for part in rest]
    end = sections.index(True) if True in sections else len(rest)
    references = [part for part in rest if part.startswith("References:\n")]
    first = node.body[0]
    start = first.end_lineno if documented else first.lineno - 1
    return Function(
        name=node.name,
        parameters=_parameters(node.args),
        summary=summary,
        details=rest[:end],
        references=[
            line.strip()
            for part in references
            for line in textwrap.dedent(part.partition("\n")[2]).splitlines()
        ],
        lines=textwrap.dedent("\n".join(source[start : node.end_lineno])).strip("\n"),
        calls={
            call.func.id
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        },
    )


def _text(paragraph: str) -> str:
    """Prose of a docstring, in which Markdown would see emphasis and code."""
    parts = re.split(r"(``?[^`]+``?)", paragraph)
    return "".join(
        f"`{part.strip('`')}`"
        if part.startswith("`")
        else re.sub(r"([*_|])", r"\\\1", part)
        for part in parts
    )


def _linked(reference: str) -> str:
    return re.sub(
        r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", reference
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
