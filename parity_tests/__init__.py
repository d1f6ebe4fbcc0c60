"""Proof that the twins compute the same: `python -m parity_tests`, or pytest."""

from gans_torch import _own_shared  # noqa: F401  (refuses another `shared`)
from shared.training.threads import use_one_thread

use_one_thread()  # before PyTorch is imported
