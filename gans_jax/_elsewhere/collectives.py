"""Which messages a program sends, and what it copies, read from the text of it."""

import math
import re
from typing import NamedTuple

from gans_jax._elsewhere.links import PASSES

_BYTES = {"pred": 1, "u8": 1, "bf16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8}
_HEAD = re.compile(r"(ENTRY )?%?([\w.-]+) (?:\(.*\) -> .*)?\{$")
_CALLED = re.compile(
    r"(?:body|to_apply|calls|condition|true_computation|false_computation)=%?([\w.-]+)"
    r"|branch_computations=\{([^}]*)\}"
)
_LOOP = re.compile(r" while\(.*\bcondition=%?([\w.-]+)")
_LIMIT = re.compile(r" = [su]\d+\[\]\S* constant\((\d+)\)")
# The result of a message: one array or, where the compiler has joined some, several.
_SENDS = re.compile(rf" = (.*?) ({'|'.join(PASSES)})(-start)?\(")
_CHAIN = re.compile(r'\bchain_id="(\d+)"')
_COPIES = re.compile(r" = (\S+) copy\(")
_MAIN = "ENTRY"
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")


class Message(NamedTuple):
    """What is sent at once."""

    kind: str
    """One of `links.PASSES`."""
    sizes: tuple[int, ...]
    """Bytes of each array in it."""

    @property
    def size(self) -> int:
        """Bytes of it all."""
        return sum(self.sizes)


def messages(program: str) -> list[Message]:
    """What each device sends in a step: the messages inside of loops.

    A training call is one loop over steps. What the compiler has moved out of it comes
    once in a call, and does not count. A step of ``--accumulate`` has loops of its own,
    over its slices: what is inside of these is sent for each.

    Args:
        program: of HLO, as text.
    """
    computations = _computations(program)
    found: list[Message] = []
    chains: set[str] = set()

    def visit(name: str, times: int) -> None:  # which is 0 outside of the loop
        for line in computations.get(name, []):
            message = _message(line)
            # One that a TPU sends while it computes is named by each fusion meanwhile.
            if message is not None and (chain := _CHAIN.search(line)):
                message = None if chain[1] in chains else message
                chains.add(chain[1])
            if message is not None:
                found.extend([message] * times)
            inside = times
            if loop := _LOOP.search(line):
                inside = times * _rounds(computations.get(loop[1], [])) or 1
            for called in _called(line):
                visit(called, inside)

    visit(_MAIN, 0)
    return found


def copied_once(program: str) -> int:
    """Bytes that a call moves outside of its loop, where it copies its arguments.

    XLA does so to give them the layout that the loop wants, the images among them.

    Args:
        program: of HLO, as text.
    """
    copies = filter(None, map(_COPIES.search, _computations(program).get(_MAIN, [])))
    return sum(2 * size for copy in copies for size in _sizes(copy[1]))


def _computations(program: str) -> dict[str, list[str]]:
    """The lines of each computation, by its name."""
    computations, lines = {}, []
    for line in program.splitlines():
        if not line.startswith(" ") and (head := _HEAD.match(line)):
            lines = computations.setdefault(_MAIN if head[1] else head[2], [])
        else:
            lines.append(line)
    return computations


def _rounds(condition: list[str]) -> int:
    """How often a loop comes, by what its condition compares its counter with."""
    limits = [int(found[1]) for line in condition if (found := _LIMIT.search(line))]
    # A loop that XLA makes by itself may count otherwise, and sends nothing.
    return max(limits, default=1)


def _called(line: str) -> list[str]:
    return [
        name.strip(" %")
        for one, several in _CALLED.findall(line)
        for name in (one or several).split(",")
    ]


def _message(line: str) -> Message | None:
    found = _SENDS.search(line)
    if found is None:
        return None
    result, kind, starts = found.groups()
    sizes = _sizes(result)
    if starts and kind != "all-reduce":
        # The start of any other names its operands before its results.
        sizes = sizes[len(sizes) // 2 :]
    return Message(kind, tuple(sizes))


def _sizes(result: str) -> list[int]:
    """Bytes of each array in the type of an instruction's result."""
    return [
        _BYTES[name] * math.prod(map(int, dimensions.split(",") if dimensions else ()))
        for name, dimensions in _ARRAY.findall(result)
    ]
