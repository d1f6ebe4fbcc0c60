"""The certificate: ``python -m parity_tests [--full] [--out DIR] [--only PATTERN]``."""

import dataclasses
import fnmatch
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tqdm import tqdm

from shared.commands.command_line import arguments
from shared.commands.process import run_command
from shared.errors import UsageError

if TYPE_CHECKING:
    from parity_tests.certificate.outcomes import Outcome
    from parity_tests.mutants.mutation import Mutant

PROG = "python -m parity_tests"
# Comparisons until what JAX compiled for them is dropped: Linux maps so many pieces of
# code and no more into a process, and the full certificate compiles more than that.
_KEPT_COMPILED = 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the twins, and write parity_report.json and parity_report.html.

    The exit status is 0 if everything holds, 1 if a bound is broken.
    """

    full: bool = False
    """Also the comparisons that take long, and every mutant: an hour or so."""
    out: Path = Path()
    """Folder to write to."""
    only: str = "*"
    """Comparisons to run, by name, as in 'loss/*'."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparisons, as the command line says.

    Args:
        argv: the arguments; None: the process's.
    """
    with run_command(PROG):
        options = tyro.cli(Options, args=arguments(argv), prog=PROG)
        holds = certify(options)
    sys.exit(0 if holds else 1)


def certify(options: Options) -> bool:
    """Run the comparisons and write the report.

    Returns:
        Whether everything holds.

    Raises:
        UsageError: no comparison has such a name, or the folder cannot be made.
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {options.out}: {error.strerror}") from None
    # Imported late, so that help and refusals take a moment only.
    from parity_tests.certificate import document

    start = time.perf_counter()
    outcomes = _run_checks(options)
    mutants = _try_mutants(options, {o.check.name for o in outcomes if not o.holds})
    built = document.build(
        outcomes,
        mutants,
        seconds=time.perf_counter() - start,
        full=options.full,
        only=options.only,
    )
    page = options.out / "parity_report.html"
    page.write_text(document.render(built), encoding="utf-8")
    text = json.dumps(built, indent=1, allow_nan=False)
    page.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    total = len(outcomes)
    held = total - len(built["broken"])
    sys.stdout.write(f"{held} of {total} comparisons hold; see {page}\n")
    return built["holds"]


def _run_checks(options: Options) -> list["Outcome"]:
    import jax

    import parity_tests.comparisons  # noqa: F401  (fills CHECKS)
    from parity_tests.certificate import outcomes
    from parity_tests.certificate.registry import CHECKS

    chosen = [
        check
        for name, check in CHECKS.items()
        if fnmatch.fnmatchcase(name, options.only)
        and (options.full or not check.full_only)
    ]
    if not chosen:
        hint = "" if options.full else "; some are run with --full only"
        raise UsageError(f"--only {options.only}: no comparison has such a name{hint}")
    results = []
    for number, check in enumerate(bar := tqdm(chosen, unit="check", disable=None)):
        if number % _KEPT_COMPILED == 0:
            jax.clear_caches()
            # A log should not seem to stand still.
            if number and bar.disable:
                sys.stderr.write(f"{number} of {len(chosen)} comparisons\n")
        bar.set_postfix_str(check.name)
        results.append(outcomes.run(check))
        for line in outcomes.complaints(results[-1]):
            tqdm.write(f"BROKEN    {line}", file=sys.stdout)
    return results


def _try_mutants(
    options: Options, broken: set[str]
) -> list[tuple["Mutant", dict[str, str] | None]]:
    from parity_tests.mutants import MUTANTS
    from parity_tests.mutants.mutation import compiled_kept, kill

    if not options.full or options.only != "*":
        return [(mutant, None) for mutant in MUTANTS.values()]
    results: list[tuple[Mutant, dict[str, str] | None]] = []
    with tempfile.TemporaryDirectory() as folder, compiled_kept(Path(folder)):
        for mutant in (bar := tqdm(MUTANTS.values(), unit="mutant", disable=None)):
            bar.set_postfix_str(mutant.name)
            # What is red without a mutant kills none.
            killers = {k: text for k, text in kill(mutant).items() if k not in broken}
            results.append((mutant, killers))
            if not killers:
                tqdm.write(f"SURVIVED  {mutant.name}: {mutant.trap}", file=sys.stdout)
    return results


if __name__ == "__main__":
    main()
