"""Each trap, put into one twin, turns a comparison red."""

import pytest

import parity_tests.comparisons  # noqa: F401  (fills CHECKS)
from gans_torch import losses
from parity_tests.certificate.registry import CHECKS
from parity_tests.mutants import MODULES, MUTANTS
from parity_tests.mutants.mutation import (
    Edit,
    Mutant,
    is_green,
    kill,
    mutant,
    mutated,
    suspects,
)

SOFTPLUS = "-F.logsigmoid(-x)"


@pytest.mark.parametrize("trap", MUTANTS.values(), ids=lambda trap: trap.name)
def test_mutant_is_killed(trap: Mutant) -> None:
    # One that notices suffices here; the certificate asks all suspects.
    noticed = kill(trap, most=1)
    assert noticed, f"survives {', '.join(trap.suspects)}: {trap.trap}"
    # Those of the short certificate are green by a test of their own.
    red = [name for name in noticed if CHECKS[name].full_only and not is_green(name)]
    assert not red, f"red without any mutation: {', '.join(red)}"


def test_names_are_unique() -> None:
    assert len(MUTANTS) == sum(len(module.MUTANTS) for module in MODULES)


def test_a_harmless_edit_survives() -> None:
    change = {SOFTPLUS: "0.0 - F.logsigmoid(-x)"}
    assert kill(mutant("none", "none", losses.softplus, change, "loss/softplus")) == {}


def test_a_mutant_that_does_not_run_is_not_killed() -> None:
    change = {SOFTPLUS: "no_such_name"}
    assert kill(mutant("none", "none", losses.softplus, change, "loss/softplus")) == {}


def test_a_mutation_is_undone() -> None:
    def value() -> float:
        return losses.softplus(losses.torch.zeros(())).item()

    before = value()
    with mutated(Edit(losses.softplus, {SOFTPLUS: "x + 7"})):
        assert value() == 7.0
    assert value() == before


@pytest.mark.parametrize("text", ["no such text", "x"])
def test_an_edit_must_fit_once(text: str) -> None:
    with (
        pytest.raises(ValueError, match="softplus: must contain"),
        mutated(Edit(losses.softplus, {text: "0"})),
    ):
        pass


def test_suspects_must_exist() -> None:
    with pytest.raises(ValueError, match="no such check"):
        suspects(mutant("none", "none", losses.softplus, {}, "loss/no-such-loss"))
