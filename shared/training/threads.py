"""How the threads of a processor's libraries behave; read when these are imported."""

import os


def spin_briefly() -> None:
    """Have OpenMP's threads, such as PyTorch's, spin for a moment before they sleep.

    They wait for each other hundreds of times in a training step. If they sleep at
    once, waking them makes a small step a fifth longer; if they spin on, it is half as
    long again beside a busy neighbour, whose processor they take. So they spin for some
    10 microseconds, then sleep. What the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def use_one_thread() -> None:
    """Have OpenMP use one thread, here and in what this process starts.

    For networks as small as those of tests, more of them cost more than they save: on a
    busy machine, 50 times. What the user has set stays.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def processors() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system tells
        return os.cpu_count() or 1
