"""The sizes that images have: a base of 4 to 7 pixels, doubled once or more.

Generators double a map of the base until it is the image; discriminators go the other
way. A base of 3 is one of 6 that has doubled once less. Of a rectangle both sides
double equally often: as often as a square of its shorter side does.
"""

import math
import re

ImageSize = int | tuple[int, int]
"""Edge of a square; or height and width, which differ."""

SMALLEST = 8
"""Of a base of 4, which doubles once at least."""

MOST_RATIO = 4
"""A rectangle's longer side is at most so many times its shorter one."""

SQUARES = "4, 5, 6 or 7 times 2, 4, 8, ..."
"""The rule of `fits` for a square, in words."""


def height_and_width(image_size: ImageSize) -> tuple[int, int]:
    """Both sides: (32, 32) for 32."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def normal(image_size: ImageSize) -> ImageSize:
    """The same size, a square by its edge: 64 for (64, 64)."""
    height, width = height_and_width(image_size)
    return height if height == width else (height, width)


def shorter(image_size: ImageSize) -> int:
    """The shorter side, by which networks choose their depth and their channels."""
    return min(height_and_width(image_size))


def pixels(image_size: ImageSize) -> int:
    """How many there are: 3072 for (48, 64)."""
    return math.prod(height_and_width(image_size))


def doublings(image_size: ImageSize) -> int:
    """How often the base doubles: 3 times for 32, twice for 28."""
    return shorter(image_size).bit_length() - 3


def base(image_size: ImageSize) -> tuple[int, int]:
    """Height and width of the smallest map.

    (4, 4) for 32, (7, 7) for 28, (6, 8) for (48, 64).
    """
    height, width = height_and_width(image_size)
    octave = doublings(image_size)
    return height >> octave, width >> octave


def fits(image_size: ImageSize) -> bool:
    """Whether images may have this size."""
    return shorter(image_size) >= SMALLEST and image_size in nearest(image_size)


def rule(image_size: ImageSize) -> str:
    """What a size must be, and which are near one that is not."""
    if isinstance(image_size, int):
        what = f"must be {SQUARES}"
    else:
        what = (
            f"the shorter side must be {SQUARES}, the longer one a multiple of the same"
            f" power of two and at most {MOST_RATIO} times as long"
        )
    if shorter(image_size) < SMALLEST:
        return f"{what}; {SMALLEST} is the smallest"
    below, above = map(text, nearest(image_size))
    near = f"the nearest are {below} and {above}"
    return f"{what}; {f'the nearest is {below}' if below == above else near}"


def nearest(image_size: ImageSize) -> tuple[ImageSize, ImageSize]:
    """Two sizes that fit, on both sides of this one.

    Of squares the largest that is not above this one, and the smallest that is above.
    Of rectangles those whose shorter sides are these; or, where that side fits, whose
    longer ones are on both sides.

    Args:
        image_size: from `SMALLEST` up.
    """
    short = shorter(image_size)
    octave = doublings(short)
    times = short >> octave
    around = times << octave, times + 1 << octave
    if isinstance(image_size, int):
        return around
    height, width = image_size
    long, (below, above) = max(image_size), around
    if short == below:
        above = below
    # Multiples of their powers of two, below and above.
    under, over = (1 << doublings(side) for side in (below, above))
    low = min(long // under * under, MOST_RATIO * below)
    high = min(-(-long // over) * over, MOST_RATIO * above)
    if height > width:
        return normal((low, below)), normal((high, above))
    return normal((below, low)), normal((above, high))


def text(image_size: ImageSize) -> str:
    """As the command line spells it: ``32``, or ``48x64`` of height and width."""
    if isinstance(image_size, int):
        return str(image_size)
    return "x".join(map(str, image_size))


def both(image_size: ImageSize) -> str:
    """As `text`, but of a square, too, with both sides: ``32x32``."""
    return "x".join(map(str, height_and_width(image_size)))


def parse(written: str) -> ImageSize:
    """The inverse of `text`.

    Raises:
        ValueError: it is no whole number, nor two with an x between.
    """
    if found := re.fullmatch(r"(\d+)x(\d+)", written, re.ASCII):
        return normal((int(found[1]), int(found[2])))
    return int(written)
