"""The certificate as data and as a page; `docs/parity_report.md` describes the data."""

import datetime
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from parity_tests.certificate.compare import TOLERANCES
from parity_tests.certificate.outcomes import Outcome
from parity_tests.certificate.registry import Finding

if TYPE_CHECKING:
    from parity_tests.mutants.mutation import Mutant

# Raised when a field changes its meaning or goes away.
VERSION = 1

# The page's axis: from less than a rounding to as much as the number itself.
_SMALLEST, _LARGEST = 1e-17, 1.0
_CURVE_WIDTH, _CURVE_HEIGHT = 360, 96


def build(
    outcomes: Sequence[Outcome],
    mutants: Iterable[tuple["Mutant", Mapping[str, str] | None]],
    *,
    seconds: float,
    full: bool,
    only: str,
    interrupted: bool = False,
) -> dict[str, Any]:
    """The report, in JSON's types.

    Args:
        outcomes: what the comparisons found.
        mutants: each with the comparisons that turned red under it and what they said;
            None where it was not tried.
        seconds: how long all took.
        full: whether the comparisons and mutants that take long were run too.
        only: the pattern that selected the comparisons; ``*`` for all.
        interrupted: whether some were left out, because somebody has ended it.
    """
    checks = [_check(outcome) for outcome in outcomes]
    tried = [_mutant(mutant, killers) for mutant, killers in mutants]
    survivors = [x["name"] for x in tried if x["killed_by"] == {}]
    broken = [check["name"] for check in checks if not check["holds"]]
    return {
        "version": VERSION,
        "holds": not (broken or survivors or interrupted),
        "interrupted": interrupted,
        "broken": broken,
        "survivors": survivors,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "full": full,
        "only": only,
        "environment": environment(),
        "checks": checks,
        "mutants": tried,
    }


def environment() -> dict[str, str]:
    """What the numbers may depend on."""
    versions = {
        name: importlib.metadata.version(name)
        for name in ("torch", "jax", "jaxlib", "flax", "optax", "numpy")
    }
    return {
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
    }


def render(report: Mapping[str, Any]) -> str:
    """The page: one file that needs no other and no network."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"number": _number, "position": _position, "curve": _curve}
    kinds: dict[str, list[Any]] = {}
    for check in report["checks"]:
        kinds.setdefault(check["kind"], []).append(check)
    return environment.get_template("parity_report.html").render(
        report=report, kinds=kinds, worst=_worst
    )


def _check(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.check.name,
        "kind": outcome.check.kind,
        "covers": list(outcome.check.covers),
        "holds": outcome.holds,
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
        "findings": [_finding(finding) for finding in outcome.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    tolerance = TOLERANCES[finding.tolerance]
    return {
        "aspect": finding.aspect,
        "holds": finding.holds,
        "difference": _finite(finding.difference),
        "tolerance": finding.tolerance,
        "bound": tolerance.bound,
        "measured": tolerance.measured,
        "reason": tolerance.reason,
        "note": finding.note,
        "curve": [_finite(value) for value in finding.curve],
    }


def _mutant(mutant: "Mutant", killers: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "name": mutant.name,
        "trap": mutant.trap,
        "twin": mutant.twin,
        "killed_by": None if killers is None else dict(killers),
    }


def _finite(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None


def _worst(check: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The finding that comes closest to its bound, or breaks it most."""

    def closeness(finding: Mapping[str, Any]) -> tuple[float, float]:
        found, bound = finding["difference"], finding["bound"]
        if found is None:
            return math.inf, 0.0
        if found == 0:
            return 0.0, -bound
        return (found / bound if bound else math.inf), found

    return max(check["findings"], key=closeness, default=None)


def _number(value: float | None) -> str:
    """1.2e-15, short enough for a table."""
    if value is None:
        return "not finite"
    if value == 0 or 0.01 <= value < 100:
        return f"{value:.2g}"
    return f"{value:.1e}".replace("e-0", "e-")


def _position(value: float | None) -> float:
    """Where a difference stands on the axis, in percent."""
    if value is None:
        return 100.0
    share = math.log(max(value, _SMALLEST) / _SMALLEST) / math.log(_LARGEST / _SMALLEST)
    return round(100 * min(share, 1.0), 1)


def _curve(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A trajectory's differences as points of a drawing, the bound as a height."""
    values = finding["curve"]
    step = _CURVE_WIDTH / max(len(values) - 1, 1)

    def height(value: float | None) -> float:
        return round(_CURVE_HEIGHT * (1 - _position(value) / 100), 1)

    return {
        "width": _CURVE_WIDTH,
        "height": _CURVE_HEIGHT,
        "points": " ".join(
            f"{i * step:.1f},{height(value)}" for i, value in enumerate(values)
        ),
        "bound": height(finding["bound"]),
        "last": height(values[-1]),
    }
