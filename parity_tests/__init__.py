"""Proof that the twins compute the same: `python -m parity_tests`, or pytest."""
