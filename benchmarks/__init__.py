"""Speed, measured by hand: ``python -m benchmarks.train``. Nothing asserts on time."""
