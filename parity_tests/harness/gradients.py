"""What is said of a function and its gradients, whichever twin's it is."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Differentiated(NamedTuple):
    """A function's value, and its gradient with respect to each floating argument."""

    value: NDArray[Any]
    gradients: tuple[NDArray[Any], ...]


def is_floating(array: NDArray[Any]) -> bool:
    """Whether an array holds floating numbers."""
    return np.issubdtype(array.dtype, np.floating)


def cast(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """In this type, if it holds floating numbers."""
    return array.astype(dtype) if is_floating(array) else array
