"""The sizes that images have: a base of 4 to 7 pixels, doubled once or more.

Generators double a map of the base until it is the image; discriminators go the other
way. A base of 3 is one of 6 that has doubled once less.
"""

SMALLEST = 8
"""Of a base of 4, which doubles once at least."""


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
