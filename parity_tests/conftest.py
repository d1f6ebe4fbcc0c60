"""The comparisons as tests: what JAX compiles is kept while they run."""

import compiled


def pytest_configure() -> None:
    """Before anything imports JAX."""
    compiled.keep()
