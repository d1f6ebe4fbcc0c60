"""Help texts: what the underlying parser says of each flag, in groups."""

import re
import textwrap
from collections.abc import Mapping

GROUPS: dict[str, tuple[str, ...]] = {
    "What matters first": (
        *("dataset", "image-size", "width", "steps", "epochs", "batch-size", "seed"),
        *("evaluate-every", "resume", "device"),
    ),
    "Data": (
        *("channels", "crop", "pixel-bits", "augment", "augment-p", "flip"),
        "data-on",
        *("data-dir", "cache-dir", "trust-cache"),
    ),
    "The game": (
        *("objective", "penalty", "penalty-weight", "penalty-every", "weight-clip"),
        *("n-critic", "d-every", "g-own-batch", "feature-matching", "aux-classifier"),
        *("style-mixing", "path-length", "path-length-every", "g-orthogonal"),
        *("label-smoothing", "label-flip", "instance-noise", "instance-noise-steps"),
    ),
    "Networks": (
        *("architecture", "z-dim", "conditional", "g-norm", "d-norm"),
        "local-batch-norm",
        *("g-weight-norm", "d-weight-norm", "minibatch-discrimination"),
        "minibatch-std",
    ),
    "Optimisers": (
        *("g-lr", "d-lr", "optimizer", "adam-betas", "lr-schedule", "warmup-steps"),
        *("clip-grad-norm", "ema-decay", "ema-half-life", "burn-in-images"),
        *("final-g-lr", "final-d-lr", "final-penalty-weight", "final-beta2"),
        *("final-ema-half-life", "final-augment-p"),
    ),
    "What the run writes": (
        *("run-dir", "log-every", "sample-every", "save-every", "keep"),
        "tensorboard",
    ),
    "Where it starts, how it goes on": (
        *("config", "step", "allow-new-data", "on-nan", "check-reference", "plugin"),
    ),
    "Arithmetic": (
        *("precision", "accumulate", "devices", "threads", "deterministic"),
        "no-compile-cache",
    ),
    "Several processes": ("coordinator-address", "num-processes", "process-id"),
}
"""Flags of ``train`` by group, in the order of ``--help``; each is in one of them."""

_WIDTH = 88
_COLUMN = 26
# As the parser prints to what is no terminal: flags, and arguments in capitals, after
# two spaces, what is said of them after more; other lines are titles and rules.
_FLAG = re.compile("  (--?[a-z]|[A-Z]{2})")
_SAID = " " * 4


def in_groups(text: str, groups: Mapping[str, tuple[str, ...]]) -> str:
    """A help text with its flags in groups; what is in none comes last, and the help.

    Args:
        text: as the parser prints it, with no line broken.
        groups: names of flags, without their dashes, by title; may be empty.
    """
    head, entries = _parts(text)
    parts = [head]
    for title, names in groups.items():
        found = [entries.pop(name) for name in names if name in entries]
        parts.append("\n".join([f"{title}:", *found]))
    rest = [entries[name] for name in sorted(entries, key=lambda name: name == "h")]
    parts.append("\n".join(["Further:" if groups else "Options:", *rest]))
    return "\n\n".join(parts) + "\n"


def _parts(text: str) -> tuple[str, dict[str, str]]:
    """What comes before the flags; and what is said of each, by name."""
    head, said, current = [], {}, None
    for line in text.splitlines():
        if _FLAG.match(line):
            flags, _, words = line.strip().partition("  ")
            current = re.split("[ ,]", flags)[0].lstrip("-")
            said[current] = [flags, words.strip()]
        elif current and line.startswith(_SAID):
            said[current][1] += f" {line.strip()}"
        elif not said:
            head.append(line.rstrip())
        else:
            current = None
    wrapped = [textwrap.fill(line, _WIDTH) for line in head if line[:1] != " "]
    return "\n".join(wrapped).rstrip(), {
        name: _entry(*pair) for name, pair in said.items()
    }


def _entry(flags: str, words: str) -> str:
    flags = flags.replace("{None}|", "").replace("{None,", "{")
    words = re.sub(r" \((default: (None|False)?|required)\)", "", words.strip())
    lines = textwrap.wrap(words, _WIDTH - _COLUMN, break_on_hyphens=False)
    indent = " " * _COLUMN
    first = f"  {flags}"
    if len(first) < _COLUMN - 1:
        return f"{first:<{_COLUMN}}" + f"\n{indent}".join(lines)
    choices = flags.replace(",", ", ") if "{" in flags else flags
    wrapped = textwrap.wrap(
        choices, _WIDTH - 2, subsequent_indent=_SAID, break_on_hyphens=False
    )
    return "\n".join([*(f"  {x}" for x in wrapped), *(indent + x for x in lines)])
