"""Shapes that many functions take and return, by the names of their axes."""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]
"""Images, or the map that a layer is given."""

Features = Float[Tensor, "batch out_channels out_height out_width"]
"""The map that a layer makes of it."""
