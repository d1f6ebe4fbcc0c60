"""Proof that the twins compute the same: `python -m parity_tests`, or pytest."""

from gans_torch import _own_shared  # noqa: F401  (refuses another `shared`)
