"""The comparisons as tests: on one thread, and what JAX compiles is kept."""

import compiled
from shared.training.threads import use_one_thread
from support import ctrl_c_is_heard as ctrl_c_is_heard

# Before PyTorch is imported.
use_one_thread()


def pytest_configure() -> None:
    """Before anything imports JAX."""
    compiled.keep()
