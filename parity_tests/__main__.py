"""The certificate: ``python -m parity_tests [--full] [--out DIR] [--only PATTERN]``."""

import dataclasses
import fnmatch
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tqdm import tqdm

from shared.commands.command_line import arguments
from shared.commands.process import run_command
from shared.errors import UsageError
from shared.files.atomic import write_atomically
from shared.run.outputs import make_out

if TYPE_CHECKING:
    from parity_tests.certificate.outcomes import Outcome
    from parity_tests.certificate.registry import Check
    from parity_tests.mutants.mutation import Mutant

PROG = "python -m parity_tests"
# Comparisons until what JAX compiled for them is dropped: Linux maps so many pieces of
# code and no more into a process, and the full certificate compiles more than that.
_KEPT_COMPILED = 25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Compare the twins, and write parity_report.json and parity_report.html.

    The exit status is 0 if everything holds, 1 if a bound is broken. Ctrl-C ends it
    with a report of what was compared until then.
    """

    full: bool = False
    """Also the comparisons that take long, and every mutant: some hours."""
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
    """Run the comparisons and write the report, also of those before Ctrl-C.

    Returns:
        Whether everything holds.

    Raises:
        UsageError: no comparison has such a name, or the files cannot be written.
        KeyboardInterrupt: Ctrl-C; the report is of the comparisons until then.
    """
    make_out(options.out, "parity_report.html", "parity_report.json")
    # Imported late, so that help and refusals take a moment only.
    from parity_tests.certificate import document

    start = time.perf_counter()
    outcomes: list[Outcome] = []
    tried: dict[str, dict[str, str]] = {}
    chosen = _chosen(options)
    interrupted = False
    try:
        outcomes.extend(_run(chosen))
        if options.full and options.only == "*":
            broken = {o.check.name for o in outcomes if not o.holds}
            for name, killers in _try_mutants(broken):
                tried[name] = killers
    except KeyboardInterrupt:
        interrupted = True
    built = document.build(
        outcomes,
        [(mutant, tried.get(name)) for name, mutant in _mutants().items()],
        seconds=time.perf_counter() - start,
        full=options.full,
        only=options.only,
        interrupted=interrupted,
    )
    page = options.out / "parity_report.html"
    write_atomically(page, document.render(built).encode())
    text = json.dumps(built, indent=1, allow_nan=False) + "\n"
    write_atomically(page.with_suffix(".json"), text.encode())
    held = len(outcomes) - len(built["broken"])
    of = f"{len(outcomes)} comparisons"
    if interrupted:
        of += f" that were made of {len(chosen)}"
    sys.stdout.write(f"{held} of {of} hold; see {page}\n")
    if interrupted:
        raise KeyboardInterrupt
    return built["holds"]


def _chosen(options: Options) -> list["Check"]:
    """The comparisons to run."""
    import parity_tests.comparisons  # noqa: F401  (fills CHECKS)
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
    return chosen


def _run(checks: list["Check"]) -> Iterator["Outcome"]:
    """What each finds, with a line for each as it goes."""
    import jax

    from parity_tests.certificate import outcomes

    for number, check in enumerate(bar := tqdm(checks, unit="check", disable=None)):
        if number % _KEPT_COMPILED == 0:
            jax.clear_caches()
        bar.set_postfix_str(check.name)
        outcome = outcomes.run(check)
        yield outcome  # first: Ctrl-C may come while it is said
        if outcome.holds:
            _say(f"holds     {check.name}  {outcome.seconds:.1f} s")
        for line in outcomes.complaints(outcome):
            _say(f"BROKEN    {line}")


def _mutants() -> dict[str, "Mutant"]:
    from parity_tests.mutants import MUTANTS

    return MUTANTS


def _try_mutants(broken: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The comparisons that notice each, by its name, with a line for each."""
    from parity_tests.mutants.mutation import compiled_kept, kill

    with tempfile.TemporaryDirectory() as folder, compiled_kept(Path(folder)):
        for mutant in (bar := tqdm(_mutants().values(), unit="mutant", disable=None)):
            bar.set_postfix_str(mutant.name)
            # What is red without a mutant kills none.
            killers = {k: text for k, text in kill(mutant).items() if k not in broken}
            yield mutant.name, killers
            if killers:
                _say(f"noticed   {mutant.name}")
            else:
                _say(f"SURVIVED  {mutant.name}: {mutant.trap}")


def _say(line: str) -> None:
    """Print a line, above the bar if there is one; at once, for whoever waits."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
