"""Imported before all else: refuses to go on with a `shared` that is not ours.

A checkout finds its folder `shared/` by that bare name, and so may miss it where the
user has another, in the current folder or installed. A wheel calls ours differently.
"""

import os.path
import signal
import sys

_COMMANDS = ("-m", "gans-torch", "gans-jax")
_IS_COMMAND = os.path.basename(sys.argv[0]) in _COMMANDS  # noqa: PTH119
# Which `-m` it is only these words say: parity_tests, and programs of others, want to
# hear of Ctrl-C.
_NAMES = {word.removeprefix("-m").partition(".")[0] for word in sys.orig_argv}
_ENDS = _IS_COMMAND and (sys.argv[0] != "-m" or _NAMES & {__package__, "benchmarks"})
if _ENDS and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the command has a handler of its own, Ctrl-C shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from importlib.util import find_spec  # noqa: E402
from pathlib import Path  # noqa: E402

_OURS = Path(__file__).resolve().parent.with_name("shared")


def _found() -> Path | None:
    spec = find_spec("shared")
    if spec is None:
        return None
    places = spec.submodule_search_locations or [spec.origin]
    return Path(next(iter(places)) or "").resolve()


_theirs = _found()
if _theirs not in (None, _OURS):
    _words = f"{_theirs} hides {_OURS}: rename it, or install without -e"
    if not _IS_COMMAND:
        raise ImportError(_words)
    sys.stderr.write(f"{__package__}: error: {_words}\n")
    sys.exit(2)
