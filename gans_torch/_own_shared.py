"""Imported before all else: refuses to go on with a `shared` that is not ours.

A checkout finds its folder `shared/` by that bare name, and so may miss it where the
user has another, in the current folder or installed. A wheel calls ours differently.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

_OURS = Path(__file__).resolve().parent.with_name("shared")
_COMMANDS = ("-m", "gans-torch", "gans-jax")


def _found() -> Path | None:
    spec = find_spec("shared")
    if spec is None:
        return None
    places = spec.submodule_search_locations or [spec.origin]
    return Path(next(iter(places)) or "").resolve()


_theirs = _found()
if _theirs not in (None, _OURS):
    _words = f"{_theirs} hides {_OURS}: rename it, or install without -e"
    if Path(sys.argv[0]).name not in _COMMANDS:
        raise ImportError(_words)
    sys.stderr.write(f"{__package__}: error: {_words}\n")
    sys.exit(2)
