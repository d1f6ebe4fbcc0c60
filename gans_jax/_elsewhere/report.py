"""What `gans_jax.compile` says, in lines of text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gans_jax._elsewhere.collectives import Message
from gans_jax._elsewhere.roofline import Roofline, roofline
from gans_jax._elsewhere.target import Target
from shared.config.train_config import TrainConfig


class Memory(NamedTuple):
    """Bytes of one device, by what they are for."""

    arguments: int
    """State, data and random numbers."""
    outputs: int
    """That are not written over the arguments: metrics."""
    temporaries: int
    """What a step keeps on its way."""
    program: int
    """The compiled code."""


class Program(NamedTuple):
    """What is known of a training call."""

    steps: int
    """In a call."""
    operations: float | None
    """Of floating-point numbers, in a step of one device; None: not counted."""
    sent: Sequence[Message]
    """By each device, in a step."""
    seconds: float | None = None
    """That compiling took; None: it was only lowered."""
    traffic: float | None = None
    """Bytes that a step reads and writes, on one device; None: not counted."""
    memory: Memory | None = None
    """None: not compiled."""


def describe(config: TrainConfig, target: Target, program: Program) -> str:
    """All that is known, for people.

    Args:
        config: the run's configuration.
        target: where it is to run.
        program: its training call.
    """
    best = roofline(
        target, config.precision, program.operations, program.traffic, program.sent
    )
    rows = [
        *_head(config, target, program),
        *(() if program.memory is None else _memory(target, program.memory)),
        ("a step of one device", ""),
        *_counted("  operations", program.operations, "FLOP"),
        *_counted("  memory traffic", program.traffic, "B"),
        ("  messages", _messages(program.sent)),
        *_times(best),
    ]
    return "".join(f"{name:<21}{words}".rstrip() + "\n" for name, words in rows)


def _head(
    config: TrainConfig, target: Target, program: Program
) -> Iterator[tuple[str, str]]:
    count, batch = target.number, config.batch_size
    chips = f"{count} x {target.name}"
    each = "" if count == 1 else f", {batch // count} on each"
    yield config.preset, f"for {chips}: batch {batch}{each}, {config.precision}"
    if program.seconds is None:
        yield "lowers", f"for {target.chip.platform}; not compiled"
    else:
        yield "compiles", f"in {program.seconds:.3g} s, {program.steps} steps a call"


def _times(best: Roofline) -> Iterator[tuple[str, str]]:
    links = _seconds(best.links)
    if best.compute is None:
        yield "at best", "not known: XLA counts one slice of --accumulate"
        yield "  links", f"at most {links}" if best.links else links
        return
    if best.memory is None:
        # A compiler joins messages, and says what passes the memory.
        yield "at best", "known of a compiled program only"
        yield "  compute", _seconds(best.compute)
        yield "  links", f"at most {links}" if best.links else links
        return
    yield "at best", _seconds(best.step)
    yield "  compute", _seconds(best.compute)
    yield "  memory", _seconds(best.memory)
    yield "  links", f"{links}, {100 * best.share:.3g} %"


def _counted(name: str, number: float | None, unit: str) -> list[tuple[str, str]]:
    return [] if number is None else [(name, _count(number, unit))]


def _memory(target: Target, memory: Memory) -> Iterator[tuple[str, str]]:
    yield (
        "memory of one device",
        f"{_count(sum(memory), 'B')} of {_count(target.chip.memory, 'B')}",
    )
    for name, size in memory._asdict().items():
        yield f"  {name}", _count(size, "B")


def _messages(sent: Sequence[Message]) -> str:
    if not sent:
        return "none"
    kinds = Counter(message.kind for message in sent)
    parts = [
        f"{number} {kind}, {_count(sum(x.size for x in sent if x.kind == kind), 'B')}"
        for kind, number in kinds.items()
    ]
    return "; ".join(parts)


def _count(number: int | float, unit: str) -> str:
    """A number with its unit, as people write it: 2.35 GB."""
    for prefix in ("", "k", "M", "G"):
        if number < 999.5:
            return f"{number:.3g} {prefix}{unit}"
        number /= 1000
    return f"{number:.3g} T{unit}"


def _seconds(seconds: float) -> str:
    """The same of a time."""
    for prefix in ("", "m", "u"):
        if seconds >= 0.9995:
            return f"{seconds:.3g} {prefix}s"
        seconds *= 1000
    return f"{seconds:.3g} ns"
