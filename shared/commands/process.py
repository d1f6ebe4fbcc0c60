"""A command as a process: its streams, its signals, its exit status.

Entered before anything heavy is imported, so that Ctrl-C and mistakes take a moment.
"""

import contextlib
import errno
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

from shared import terminal
from shared.config.arguments import in_flags
from shared.errors import (
    Diverged,
    SaidElsewhere,
    SaidForAll,
    TrainingError,
    UsageError,
    is_out_of_memory,
)
from shared.training import heartbeats, signals
from shared.training.processes import processes
from shared.words import one_line, reason_of

# What they say of how much there is, and how much was asked for.
_AMOUNTS = (
    r"Tried to allocate .+? is free",
    r"Out of memory while trying to allocate [\d.]+ ?\w+",
    r"you tried to allocate \d+ bytes",
    r"Unable to allocate .+? for an array",
)

# What the system says where a framework's library has no room.
_UNMAPPED = "failed to map segment from shared object"

# What a disk says, on which a stream may be.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# The others end after half of it, and in JAX would be ended with the one that has met
# them.
_FAREWELL_SECONDS = 2

# So long what starts processes takes at most to end those that are left when one has
# ended.
_END_SECONDS = 2

# The extras that bring the frameworks.
_EXTRAS = {
    "torch": "torch",
    "torchvision": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "flax": "jax",
    "optax": "jax",
}


@contextlib.contextmanager
def run_command(prog: str, argv: Sequence[str] | None = ()) -> Iterator[None]:
    """Turn a `UsageError` into one line on stderr and exit status 2.

    Ctrl-C, where nobody else takes it, ends the program without a traceback; so do too
    little memory, and a reader of its output that goes away, as in ``--help | head``.

    Args:
        prog: how the user calls the program.
        argv: its arguments; None: those of the process, whose streams and signals are
            then taken care of too.
    """
    if argv is None:
        terminal.take_streams()
        signals.end_at_once()
    try:
        with _in_words(prog), in_flags():
            _check_folder()
            yield
    except _Failure as failure:
        # Others may wait for this process, and a library for them, to be taken down.
        if argv is None and processes().count > 1:
            if isinstance(failure.__context__, SaidForAll | Diverged):
                signals.say_at_last("")  # as it has been said what went wrong
                time.sleep(_FAREWELL_SECONDS / (1 + processes().follows))
            os._exit(failure.status)
        raise


class _Failure(SystemExit):
    """What has been said ends the program."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@contextlib.contextmanager
def _in_words(prog: str) -> Iterator[None]:
    """Say what went wrong, and end with its status."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except SaidElsewhere as error:
        raise _Failure(2) from error
    except UsageError as error:
        if processes().follows and not heartbeats.have_met():
            # The first is likely to refuse the same, and its line is enough.
            time.sleep(_END_SECONDS)
        # A value may hold line breaks; the message must not.
        _fail(2, f"{prog}: error: {one_line(error)}")
    except TrainingError as error:
        if isinstance(error, Diverged) and processes().follows:
            raise _Failure(1) from error  # as it is everywhere, and the first says so
        _fail(1, f"{prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        terminal.drop_output()
        sys.exit(141)  # what a shell says of SIGPIPE
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(
            2,
            f"{prog}: error: {error.name} is not installed;"
            f' pip install "gans-twins[{extra}]" brings it',
        )
    except Exception as error:
        if is_out_of_memory(error):
            _fail(
                2,
                f"{prog}: error: out of memory{_amounts(str(error))}: try a smaller"
                " --batch-size, --width or --image-size, --accumulate, or --data-on"
                " host",
            )
        if _UNMAPPED in str(error):
            _fail(
                2,
                f"{prog}: error: {one_line(error)}; is there too little memory, or a"
                " limit, as of ulimit -v?",
            )
        if not _is_of_stdout(error):
            _end_with_the_others(prog, error)
            raise
        terminal.drop_output()
        _fail(1, f"{prog}: error: stdout: cannot be written: {reason_of(error)}")


def _check_folder() -> None:
    """Refuse to start in a folder that somebody has removed."""
    try:
        os.getcwd()  # noqa: PTH109  (what `Path.cwd` calls, and others)
    except FileNotFoundError as error:
        raise UsageError("the current folder is gone: cd to another") from error


def _end_with_the_others(prog: str, error: Exception) -> None:
    """Where a run has several processes, end at once, and say which one has failed.

    A library that is taken down in order may wait for those that are gone.
    """
    if processes().count > 1:
        traceback.print_exception(error)
        (*_, what) = traceback.format_exception_only(error)
        terminal.say(f"rank {processes().rank}: {prog}: {one_line(what)}")
        os._exit(1)


def _fail(status: int, line: str) -> None:
    if processes().follows:  # which may have found what no other process has
        line = f"rank {processes().rank}: {line}"
    terminal.say(line)
    raise _Failure(status)


def _amounts(error: str) -> str:
    """How much was asked for, of which device, and how much there is; or nothing."""
    found = (re.search(amounts, error, re.DOTALL) for amounts in _AMOUNTS)
    return next((f" ({one_line(x[0])})" for x in found if x), "")


def _is_of_stdout(error: Exception) -> bool:
    """Whether it was a stream that did not take what was written: one of no file."""
    if not isinstance(error, OSError):
        return False
    return error.errno in _FULL and error.filename is None
