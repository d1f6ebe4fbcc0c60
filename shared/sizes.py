"""The heights and widths that images have: a base of 4 to 7 pixels, doubled, again.

Every network for images starts from a map of the base, or ends with one. A base of 3 is
one of 6 that has doubled once less.
"""

BASES = (4, 5, 6, 7)
# An image has doubled once at least.
SMALLEST = 2 * BASES[0]


def doublings(image_size: int) -> int:
    """How often the base doubles: 3 times for 32, twice for 28."""
    return image_size.bit_length() - 3


def base(image_size: int) -> int:
    """Height and width of the smallest map: 4 for 32, 7 for 28, 6 for 48."""
    return image_size >> doublings(image_size)


def fits(image_size: int) -> bool:
    """Whether images may have this height and width."""
    return image_size >= SMALLEST and nearest(image_size)[0] == image_size


def nearest(image_size: int) -> tuple[int, int]:
    """The largest size that is not above this one, and the smallest that is above.

    Args:
        image_size: height and width, from `SMALLEST` up.
    """
    times, octave = base(image_size), doublings(image_size)
    return times << octave, times + 1 << octave
