"""What a reader sees of a module: public names, signatures and docstrings, as text."""

import ast
import re

# The frameworks' words for the same things, after which the twins' texts are equal.
_WORDS = {
    r"\bgans_(torch|jax)\b": "gans",
    r"\b(torch\.Tensor|Tensor|jax\.Array|Array)\b": "Array",
    r"\b(nn|nnx)\.Module\b": "Module",
    r"\b(\w*channels \w*height \w*width|\w*height \w*width \w*channels)\b": "image",
    r"\b(PyTorch|JAX|Flax)\b": "Framework",
    r"\bforward\b": "__call__",
}


# The same in code, where not only what is public counts.
_CODE_WORDS = {
    r"^(import|from) (torch|jax)\b.*\n": "",
    r"\b(torch|jax\.nn)\.(?=sigmoid\()": "",
    r"\b(torch|jnp)\.(?=sign\()": "",
    r"\b(torch|jnp)\.dtype\b": "dtype",
    r"\.(to|astype)\(": ".astype(",
}


def code(source: str) -> str:
    """A module's text, line by line, in words that its sibling shares.

    Args:
        source: Python source of the module.
    """
    for pattern, word in (_CODE_WORDS | _WORDS).items():
        source = re.sub(pattern, word, source, flags=re.MULTILINE)
    return source


def surface(source: str) -> dict[str, str]:
    """Public members of a module, in order, each with the text that its sibling shares.

    Members are functions, classes, their fields and methods (``Class.method``) and
    assigned names. A module that has ``__all__`` is public in these names alone.

    Args:
        source: Python source of the module.
    """
    tree = ast.parse(source)
    members = {"": ast.get_docstring(tree) or ""} | _members(tree.body)
    exported = _exported(tree)
    if exported is not None:
        members = {
            name: text
            for name, text in members.items()
            if name.partition(".")[0] in {"", "__all__", *exported}
        }
    return {name: _normalise(text) for name, text in members.items()}


def drift(torch_source: str, jax_source: str) -> dict[str, tuple[str, str]]:
    """Members that differ: name to both texts; empty where one twin has none.

    Where all are equal, but not their order, the name is ``order``.
    """
    first, second = surface(torch_source), surface(jax_source)
    differing = {
        name: (first.get(name, ""), second.get(name, ""))
        for name in first | second
        if first.get(name) != second.get(name)
    }
    if not differing and list(first) != list(second):
        return {"order": (" ".join(first), " ".join(second))}
    return differing


def _members(body: list[ast.stmt], owner: str = "") -> dict[str, str]:
    members = {}
    for position, node in enumerate(body):
        match node:
            case ast.FunctionDef(name=name) if _is_public(name):
                members[owner + _normalise(name)] = _function(node)
            case ast.ClassDef(name=name) if _is_public(name):
                bases = ", ".join(map(ast.unparse, node.bases))
                heading = f"class {name}({bases})\n{ast.get_docstring(node)}"
                members[owner + name] = heading
                members |= _members(node.body, f"{owner}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) if _is_public(name):
                members[owner + name] = (
                    f"{ast.unparse(node)}\n{_comment(body, position)}"
                )
            case ast.AnnAssign(target=ast.Name(id=name)) if _is_public(name):
                members[owner + name] = (
                    f"{ast.unparse(node)}\n{_comment(body, position)}"
                )
    return members


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__", "__all__")


def _function(node: ast.FunctionDef) -> str:
    decorators = "".join(f"@{ast.unparse(x)}\n" for x in node.decorator_list)
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    signature = f"def {node.name}({ast.unparse(node.args)}){returns}"
    return f"{decorators}{signature}\n{ast.get_docstring(node) or ''}"


def _comment(body: list[ast.stmt], position: int) -> str:
    """The string below a field, which documents it."""
    match body[position + 1 : position + 2]:
        case [ast.Expr(value=ast.Constant(value=str(text)))]:
            return text
    return ""


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return ast.literal_eval(value)
    return None


def _normalise(text: str) -> str:
    for pattern, word in _WORDS.items():
        text = re.sub(pattern, word, text)
    # Where a line is broken depends on the length of the frameworks' words.
    return re.sub(r"\s*\n\s*", "\n", text).strip()
