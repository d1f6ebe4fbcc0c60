"""What pages are made of: templates, and pictures that they hold themselves."""

import base64
import functools
from pathlib import Path

import jinja2


@functools.cache
def template(name: str) -> jinja2.Template:
    """A template of this folder's; what it is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def is_picture(path: Path) -> bool:
    """Whether a file is there to be shown; a browser says what is damaged."""
    return path.is_file() and path.stat().st_size > 0


def sharpest(path: Path) -> Path:
    """A picture's file or, where the same is there as vectors beside it, that one."""
    vectors = path.with_suffix(".svg")
    return vectors if is_picture(vectors) else path


def data_uri(path: Path) -> str:
    """A picture's file as an address that holds it."""
    kind = "svg+xml" if path.suffix == ".svg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
