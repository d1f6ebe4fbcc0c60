"""The pages of the site that are no files of docs/: README, licence, reference.

A hook of MkDocs. It also turns links to files of the checkout into links to the pages
that show them, so that the same Markdown reads well in both places.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# What is shown elsewhere than its place says.
_PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "LICENSE": "license.md",
}
_PACKAGES = ("gans_torch", "gans_jax", "shared")
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_PRIVATE = re.compile(r"/_(?!_init__\.py$)")


def on_config(config: Any) -> Any:
    """Add the reference to the navigation: a tree of packages and modules."""
    trees: dict[str, Any] = {package: {} for package in _PACKAGES}
    for module in _modules():
        parts = PurePosixPath(module).with_suffix("").parts
        branch = trees
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
        branch[parts[-1]] = _shown(module)
    config.nav.append({"Reference": _branches(trees)})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made here."""
    for source, page in _PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        if not source.endswith(".md"):
            text = f"# Licence\n\n{text}"
        files.append(File.generated(config, page, content=text))
    for module in _modules():
        name = ".".join(PurePosixPath(module).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        text = f"# {name}\n\n::: {name}\n"
        files.append(File.generated(config, _shown(module), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to files of the checkout at the pages that show them."""
    here = page.file.src_uri
    sources = {shown: source for source, shown in _PAGES.items()}
    place = posixpath.dirname(sources.get(here, f"docs/{here}"))

    def redirect(link: re.Match[str]) -> str:
        words, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(place, target))
        if (ROOT / path).is_file() and not _has_page(path):
            return words
        shown = posixpath.relpath(_shown(path), posixpath.dirname(here) or ".")
        return f"[{words}]({shown}{anchor or ''})"

    return markdown if here.startswith("reference/") else _LINK.sub(redirect, markdown)


def _has_page(path: str) -> bool:
    return path.startswith("docs/") or path in _PAGES or path in _modules()


def _shown(path: str) -> str:
    """The page that shows a file of the checkout."""
    if path.endswith(".py"):
        page = PurePosixPath("reference", path).with_suffix(".md")
        return str(page.with_name("index.md") if page.stem == "__init__" else page)
    return _PAGES.get(path, path.removeprefix("docs/"))


def _modules() -> list[str]:
    """Files of all modules that are not private, packages before what they hold."""
    found = [
        path.relative_to(ROOT).as_posix()
        for package in _PACKAGES
        for path in (ROOT / package).rglob("*.py")
    ]
    return sorted(
        (name for name in found if not _PRIVATE.search(name)),
        key=lambda name: name.replace("__init__.py", ""),
    )


def _branches(tree: dict[str, Any]) -> list[Any]:
    return [
        page if name == "__init__" else {name: page}
        for name, branch in tree.items()
        for page in [branch if isinstance(branch, str) else _branches(branch)]
    ]
