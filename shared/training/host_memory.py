"""How the process treats memory that it has freed."""

import ctypes
import platform

# Options of mallopt(3), numbered in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Have the C library keep what a training step frees, for the next step.

    By default it hands large blocks back to the system, which clears each page again
    before the next step may use it: on a CPU up to a fifth of a step's time. It keeps
    blocks only in its main arena, the one that may grow without limit.

    Does nothing where the C library is not glibc. Call it before threads start, which
    would have been given arenas of their own.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_ARENA_MAX, 1)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
