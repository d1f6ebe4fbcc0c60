"""Speed, measured by hand: ``python -m benchmarks.train``. Nothing asserts on time."""

from gans_torch import _own_shared  # noqa: F401  (refuses another `shared`)
