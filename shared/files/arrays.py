"""Named arrays, and text with one spelling."""

import json
from typing import Any

from numpy.typing import NDArray

# Named arrays of a whole training state, in PyTorch's names and layouts.
Arrays = dict[str, NDArray[Any]]


def canonical_json(values: Any) -> str:
    """JSON with one spelling, so that equal values give equal bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))
