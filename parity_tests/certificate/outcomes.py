"""What becomes of a comparison: run it, and say what is wrong in a line each."""

import time
from typing import NamedTuple

from parity_tests.certificate.compare import TOLERANCES
from parity_tests.certificate.registry import Check, Finding


class Outcome(NamedTuple):
    """What a comparison found."""

    check: Check
    seconds: float
    findings: list[Finding]
    error: str = ""
    """Why it could not measure; empty where it could."""

    @property
    def holds(self) -> bool:
        """Whether all that it compared is within its bounds, and there is something."""
        return not complaints(self)


def run(check: Check) -> Outcome:
    """Run a comparison; whatever it raises becomes its error."""
    start = time.perf_counter()
    try:
        findings, error = check.run(), ""
    except Exception as problem:
        findings, error = [], f"{type(problem).__name__}: {problem}"
    return Outcome(check, time.perf_counter() - start, findings, error)


def complaints(outcome: Outcome) -> list[str]:
    """What is wrong, a line for each finding that breaks its bound."""
    name = outcome.check.name
    if outcome.error:
        return [f"{name}: {outcome.error}"]
    if not outcome.findings:
        return [f"{name}: compared nothing"]
    return [
        f"{name}: {describe(finding)}"
        for finding in outcome.findings
        if not finding.holds
    ]


def describe(finding: Finding) -> str:
    """A finding in one line."""
    bound = TOLERANCES[finding.tolerance].bound
    note = f"; {finding.note}" if finding.note else ""
    return (
        f"{finding.aspect} differs by {finding.difference:.3g}, bound {bound:.3g}"
        f" ({finding.tolerance}){note}"
    )
