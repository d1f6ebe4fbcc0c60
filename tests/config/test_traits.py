"""Tables of objectives and penalties: whose rows are whose, and who may add to them."""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.commands.command_line import parse_train
from shared.config.tables import Members, Table, register
from shared.config.train_config import TrainConfig, config_from_json, config_to_json
from shared.config.traits import (
    OBJECTIVES,
    PENALTIES,
    ObjectiveTraits,
    PenaltyTraits,
    objective_traits,
    penalty_traits,
)
from shared.diagnosis.symptoms import symptoms
from shared.errors import UsageError
from shared.randomness.draws import draw
from support import Twin

ROOT = Path(__file__).parents[2]


def own(table: Table[Any], name: str, row: Any) -> None:
    """Register a row; `leaves_no_names` takes it back when the test ends."""
    register(name, table, row, Members("a twin", table, {}), None)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def d_loss(real_logits: Any, fake_logits: Any) -> Any: ...
def d_loss_with_targets(
    real_logits: Any, fake_logits: Any, real_target: float = 1, fake_target: float = 0
) -> Any: ...
def g_loss(fake_logits: Any) -> Any: ...
def relativistic_g_loss(
    real_logits: Any, fake_logits: Any, slope: float = 2
) -> Any: ...


def test_a_registered_name_is_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    own(OBJECTIVES, "mine", ObjectiveTraits())
    own(PENALTIES, "my-own", PenaltyTraits(inputs=("real",), points=1))
    words = ["--objective", "mine", "--penalty", "my-own", "--d-norm", "none"]
    config = parse_train(words, "train").config
    assert (config.objective, config.penalty) == ("mine", "my-own")
    assert config_from_json(config_to_json(config)) == config
    with pytest.raises(SystemExit):
        parse_train(["--help"], "train")
    shown = "".join(capsys.readouterr().out.split())
    assert ",r1-r2,my-own}" in shown
    assert "relativistic-average,mine}" in shown.replace("││", "")
    assert "(default:non-saturating)" in shown.replace("││", "")


@pytest.mark.parametrize(
    ("flag", "word", "near"),
    [
        ("objective", "hing", "; did you mean hinge?"),
        ("penalty", "wgan-gpp", "; did you mean wgan-gp?"),
        ("precision", "float3", "; did you mean float32?"),
        ("objective", "foo", ""),
    ],
)
def test_a_near_name_is_suggested(flag: str, word: str, near: str) -> None:
    values: dict[str, Any] = {flag: word}
    message = refusal(lambda: TrainConfig(**values))
    assert message.startswith(f"{flag} {word}: must be one of ")
    assert message.endswith(near or "relativistic-average")
    message = refusal(lambda: parse_train([f"--{flag}", word], "train"))
    assert message.startswith(f"--{flag} {word}: must be one of ")
    assert message.endswith(near or "; is the --plugin missing that registers it?")


@pytest.mark.parametrize("setting", ["objective", "penalty"])
def test_a_stored_name_that_nobody_registered(setting: str) -> None:
    values = config_to_json(TrainConfig()) | {setting: "mine"}
    assert refusal(lambda: config_from_json(values)) == (
        f"configuration: unknown {setting} 'mine'; is the --plugin missing that"
        " registers it?"
    )


@pytest.mark.parametrize("name", ["", "Mine", "my own", "-mine", "mine-", "a--b", "ä"])
def test_names_must_be_well_formed(name: str) -> None:
    message = refusal(lambda: own(PENALTIES, name, PenaltyTraits()))
    assert message == (
        f"penalty {name!r}: must be of small letters, digits and single hyphens, as in"
        " r1-r2"
    )
    assert name not in PENALTIES


def test_names_are_ours_or_mean_the_same_in_both_twins() -> None:
    one, other = (Members(twin, PENALTIES, {}) for twin in ("one", "other"))

    def add(members: Members[int], name: str, slope: float, member: int = 0) -> None:
        register(name, PENALTIES, PenaltyTraits(slope=slope), members, member)

    taken = refusal(lambda: add(one, "r1", 1.0))
    assert taken == "penalty 'r1': is taken; give it another name"
    add(one, "mine", 1.0)
    assert refusal(lambda: add(other, "mine", 2.0)).startswith(
        "penalty 'mine': the other twin has registered it as PenaltyTraits("
    )
    assert refusal(lambda: other["mine"]) == (
        "penalty 'mine': has been registered with the other twin, not with other"
    )
    assert refusal(lambda: other["mime"]).startswith("penalty 'mime': must be one of ")
    add(other, "mine", 1.0)
    # Again, as by a cell that runs twice: of the same kind, and of another.
    add(one, "mine", 1.0, member=1)
    assert (one["mine"], other["mine"]) == (1, 0)
    add(one, "mine", 2.0, member=2)
    assert one["mine"] == 2
    assert "mine" not in other
    add(other, "mine", 2.0)


def test_parameters_tell_an_objective_s_traits() -> None:
    assert objective_traits("x", d_loss, g_loss) == ObjectiveTraits()
    assert objective_traits(
        "x", d_loss_with_targets, relativistic_g_loss, wasserstein=True
    ) == ObjectiveTraits(has_targets=True, relativistic=True, wasserstein=True)


def test_losses_of_something_else_are_refused() -> None:
    assert refusal(lambda: objective_traits("x", g_loss, g_loss)) == (
        "objective 'x': discriminator_loss takes (fake_logits), must take"
        " (real_logits, fake_logits)"
    )
    assert refusal(lambda: objective_traits("x", d_loss, lambda logits: logits)) == (
        "objective 'x': generator_loss takes (logits), must take (fake_logits) or"
        " (real_logits, fake_logits)"
    )

    # Losses are given D's outputs in this order.
    def reversed_loss(fake_logits: Any, real_logits: Any = None) -> Any: ...

    assert refusal(lambda: objective_traits("x", d_loss, reversed_loss)) == (
        "objective 'x': generator_loss takes (fake_logits, real_logits), must take"
        " (fake_logits) or (real_logits, fake_logits)"
    )
    assert refusal(lambda: objective_traits("x", max, g_loss)) == (
        "objective 'x': discriminator_loss takes (...), must take"
        " (real_logits, fake_logits)"
    )


def test_parameters_tell_what_a_penalty_looks_at() -> None:
    def penalty(
        critic: Any, fake: Any, alpha: Any, real: Any, size: int = 3
    ) -> Any: ...

    assert penalty_traits("x", penalty, slope=2.0) == PenaltyTraits(
        inputs=("fake", "alpha", "real"), points=1, slope=2.0
    )


@pytest.mark.parametrize(
    ("penalty", "taken"),
    [
        (lambda: 0, ""),
        (lambda critic: 0, "critic"),
        (lambda critic, alpha: 0, "critic, alpha"),
        (lambda critic, real, colour: 0, "critic, real, colour"),
        (max, "..."),
    ],
)
def test_penalties_of_something_else_are_refused(
    penalty: Callable[..., Any], taken: str
) -> None:
    assert refusal(lambda: penalty_traits("x", penalty)) == (
        f"penalty 'x': takes ({taken}), must take (discriminator, ...) with real, fake"
        " or both, and what else it needs of real, fake, alpha, penalty_noise"
    )


def test_a_penalty_is_given_the_draws_that_it_takes() -> None:
    for name in ("alpha", "penalty_noise"):
        own(PENALTIES, f"my-{name[0]}", PenaltyTraits(inputs=("real", name), points=1))
        config = TrainConfig(penalty=f"my-{name[0]}", d_norm="none", image_size=8)
        drawn = draw(config, 1, 100, 10, range(1))
        given = {x for x in ("alpha", "penalty_noise") if getattr(drawn, x) is not None}
        assert given == {name}


def test_rules_ask_for_traits() -> None:
    own(OBJECTIVES, "mine", ObjectiveTraits(has_targets=True))
    own(PENALTIES, "whole", PenaltyTraits(inputs=("real",), points=1, per_sample=False))
    own(PENALTIES, "each", PenaltyTraits(inputs=("real",), points=1))
    TrainConfig(objective="mine", label_flip=0.1, penalty="whole", d_norm="batch")
    assert "is per sample" in refusal(lambda: TrainConfig(penalty="each"))
    own(OBJECTIVES, "other", ObjectiveTraits())
    message = refusal(lambda: TrainConfig(objective="other", label_flip=0.1))
    assert message.startswith("label_flip 0.1: has no meaning for objective other")


def test_the_diagnosis_judges_by_traits() -> None:
    def bounds(**values: Any) -> dict[str, tuple[float, float]]:
        found = symptoms(TrainConfig(d_norm="none", **values))
        return {rule.metric: (rule.low, rule.high) for rule in found}

    own(OBJECTIVES, "mine", ObjectiveTraits(has_targets=True))
    own(OBJECTIVES, "scaled", ObjectiveTraits(has_targets=True, chance_loss=3.0))
    own(OBJECTIVES, "critic", ObjectiveTraits(wasserstein=True))
    own(PENALTIES, "flat", PenaltyTraits(inputs=("real",), points=1, slope=0.5))
    assert "d_loss" not in bounds(objective="mine")
    assert bounds(objective="scaled")["d_loss"][0] == pytest.approx(0.03)
    # Nobody knows its least loss with such labels.
    assert "d_loss" not in bounds(objective="scaled", label_smoothing=0.1)
    assert "step" in bounds(objective="critic")
    assert bounds(objective="mine", penalty="flat")["gradient_norm"][1] == 1.0


def _compared(source: str) -> set[str]:
    """Words that a module's code compares something with."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.MatchValue):
            words = [x for x in ast.walk(node) if isinstance(x, ast.Constant)]
            found |= {str(x.value) for x in words}
    return found


def test_no_code_compares_the_names() -> None:
    names = {*OBJECTIVES, *PENALTIES} - {"none"}
    files = [
        path
        for folder in ("shared", "gans_torch", "gans_jax", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = {str(path): _compared(path.read_text()) & names for path in files}
    assert len(found) > 50
    assert not {path: words for path, words in found.items() if words}
    assert _compared('if x in ("a", "b") or y == "c": pass') == {"a", "b", "c"}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_signs_say_what_is_real_where_a_shift_of_d_raises_its_loss(
    twin: Twin, name: str
) -> None:
    losses = importlib.import_module(f"gans_{twin.name}.losses")
    loss = losses.OBJECTIVES[name].discriminator_loss

    def at(shift: float) -> float:
        real, fake = (twin.array([shift + x] * 4) for x in (1.0, -1.0))
        return float(loss(real_logits=real, fake_logits=fake))

    is_least = all(at(shift) > at(0) for shift in (-2, -0.5, 0.5, 2))
    assert OBJECTIVES[name].has_signs == is_least
