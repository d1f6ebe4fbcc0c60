"""Shapes that many functions take and return, by the names of their axes."""

from jax import Array
from jaxtyping import Float

Images = Float[Array, "batch height width channels"]
"""Images, or the map that a layer is given."""

Features = Float[Array, "batch out_height out_width out_channels"]
"""The map that a layer makes of it."""
