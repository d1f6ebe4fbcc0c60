"""How the command line spells settings and programs, and refuses a value."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.config.values import printable
from shared.errors import UsageError


def flag(field: str) -> str:
    """How the command line calls a setting."""
    return f"--{field.replace('_', '-')}"


def spelled(field: str, value: object) -> str:
    """A setting's value as the command line takes it: 0.5 0.999, 48x64."""
    if isinstance(value, tuple):
        return ("x" if field == "image_size" else " ").join(map(str, value))
    return str(value)


def path_word(path: Path) -> str:
    """A path as a word of a command line; one that begins with a dash is no flag."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def flag_words(field: str, value: object) -> list[str]:
    """What on a command line asks for a setting's value, word by word."""
    if isinstance(value, bool):
        return [flag(field if value else f"no_{field}")]
    if isinstance(value, tuple) and field != "image_size":
        return [flag(field), *map(str, value)]
    if isinstance(value, Path):
        return [flag(field), path_word(value)]
    return [flag(field), spelled(field, value)]


def given(values: Mapping[str, object], usual: object) -> Iterator[str]:
    """The words of a command line that say which settings are not as usual."""
    for field, value in values.items():
        if value != getattr(usual, field):
            yield from flag_words(field, value)


def twin_of(prog: str) -> str:
    """The package that a program is of: ``gans_torch`` of ``gans_torch.train``."""
    return prog.partition(".")[0]


def refuse(field: str, value: object, rule: str) -> UsageError:
    """The error for one refused value; ``field`` is named as its flag."""
    text = printable(spelled(field, value), most=200)
    return UsageError(f"{flag(field)} {text}: {rule}")
