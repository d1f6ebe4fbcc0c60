"""Each trap, put into one twin, turns a comparison red."""

from collections.abc import Iterator

import pytest

import parity_tests.comparisons  # noqa: F401  (fills CHECKS)
from gans_torch import losses
from parity_tests.mutants import MUTANTS, augmentation, formulas, layers, training
from parity_tests.mutants.mutation import (
    Edit,
    Mutant,
    compiled_kept,
    is_green,
    kill,
    mutant,
    mutated,
    suspects,
)

SOFTPLUS = "-F.logsigmoid(-x)"


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with compiled_kept(tmp_path_factory.mktemp("compiled")):
        yield


@pytest.mark.parametrize("trap", MUTANTS.values(), ids=lambda trap: trap.name)
def test_mutant_is_killed(trap: Mutant) -> None:
    red = [check.name for check in suspects(trap) if not is_green(check.name)]
    assert not red, f"red without any mutation: {', '.join(red)}"
    assert kill(trap), f"survives {', '.join(trap.suspects)}: {trap.trap}"


def test_names_are_unique() -> None:
    modules = (augmentation, formulas, layers, training)
    assert len(MUTANTS) == sum(len(module.MUTANTS) for module in modules)


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
