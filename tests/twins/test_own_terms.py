"""Objectives and penalties of a user's own train in each twin like the package's."""

import dataclasses
import importlib
import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.run.checkpoint import load
from support import TINY, Train, Twin, last_checkpoint, metrics, stopped


class Modules(NamedTuple):
    """What a user registers with."""

    losses: ModuleType
    penalties: ModuleType
    models: ModuleType


@pytest.fixture
def modules(twin: Twin) -> Iterator[Modules]:
    """A twin's modules; what a test registers in them is gone after it."""
    losses, penalties, models = (
        importlib.import_module(f"gans_{twin.name}.{name}")
        for name in ("losses", "penalties", "models")
    )
    tables: list[dict[str, Any]] = [OBJECTIVES, PENALTIES, ARCHITECTURES]
    tables += [losses.OBJECTIVES, penalties.PENALTIES, models.ARCHITECTURES]
    with ExitStack() as undo:
        for table in tables:
            undo.callback(table.update, dict(table))
            undo.callback(table.clear)
        yield Modules(losses, penalties, models)


def trained(run: Path, train: Train, *arguments: object) -> tuple[Any, Arrays]:
    """Metrics and last arrays of a tiny run."""
    train(*arguments, *TINY, "--run-dir", run)
    return metrics(run), load(last_checkpoint(run)).arrays


def assert_equal(first: tuple[Any, Arrays], second: tuple[Any, Arrays]) -> None:
    assert first[0] == second[0]
    assert first[1].keys() == second[1].keys()
    for name, array in first[1].items():
        assert array.tobytes() == second[1][name].tobytes(), name


def test_least_squares_of_one_s_own(
    modules: Modules, train: Train, tmp_path: Path
) -> None:
    def d_loss(
        real_logits: Any,
        fake_logits: Any,
        real_target: Any = 1.0,
        fake_target: Any = 0.0,
    ) -> Any:
        real = ((real_logits - real_target) ** 2).mean()
        return 0.5 * real + 0.5 * ((fake_logits - fake_target) ** 2).mean()

    def g_loss(fake_logits: Any) -> Any:
        return 0.5 * ((fake_logits - 1.0) ** 2).mean()

    modules.losses.register_objective("my-squares", d_loss, g_loss)
    flags = ("--label-smoothing", 0.1, "--label-flip", 0.2)
    ours = trained(tmp_path / "a", train, "--objective", "least-squares", *flags)
    own = trained(tmp_path / "b", train, "--objective", "my-squares", *flags)
    assert_equal(ours, own)


def test_a_critic_and_a_penalty_of_one_s_own(
    modules: Modules, train: Train, tmp_path: Path
) -> None:
    losses, penalties, _ = modules

    def gap(real_logits: Any, fake_logits: Any) -> Any:
        return fake_logits.mean() - real_logits.mean()

    def score(fake_logits: Any) -> Any:
        return -fake_logits.mean()

    def penalty(critic: Any, alpha: Any, fake: Any, real: Any) -> Any:
        share = alpha[:, None, None, None]
        mix = share * real + (1 - share) * fake
        norm = penalties.gradient_norm(penalties.input_gradient(critic, mix))
        return penalties.PenaltyTerms(((norm - 1) ** 2).mean(), norm.mean())

    losses.register_objective("my-critic", gap, score, wasserstein=True, separable=True)
    penalties.register_penalty("my-penalty", penalty, slope=1.0, separable=True)
    critic = ("wgan-gp", "--n-critic", 2, "--g-norm", "none", "--accumulate", 2)
    ours = trained(tmp_path / "a", train, *critic)
    flags = ("--objective", "my-critic", "--penalty", "my-penalty")
    own = trained(tmp_path / "b", train, *critic, *flags)
    assert_equal(ours, own)
    assert {"wasserstein_estimate", "penalty", "gradient_norm"} <= own[0][0].keys()


def test_a_run_needs_its_objective_again(
    modules: Modules,
    train: Train,
    sample: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    losses = modules.losses
    hinge = losses.OBJECTIVES["hinge"]
    losses.register_objective("my-hinge", *hinge, chance_loss=2.0)
    train(*TINY, "--objective", "my-hinge", "--run-dir", tmp_path / "run")
    sample(tmp_path / "run")
    del losses.OBJECTIVES["my-hinge"], OBJECTIVES["my-hinge"]
    checkpoint = last_checkpoint(tmp_path / "run")
    for call in (
        lambda: train("--resume", tmp_path / "run", "--steps", 7),
        lambda: sample(tmp_path / "run"),
        lambda: sample(checkpoint),
    ):
        capsys.readouterr()
        stopped(2, call)
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert message.endswith(
            "configuration: unknown objective 'my-hinge'; is the --plugin missing that"
            " registers it?\n"
        )
    losses.register_objective("my-hinge", *hinge, chance_loss=2.0)
    train("--resume", tmp_path / "run", "--steps", 7)
    assert last_checkpoint(tmp_path / "run") > checkpoint


def test_what_is_refused_leaves_no_trace(modules: Modules) -> None:
    losses, penalties, models = modules
    hinge = losses.OBJECTIVES["hinge"]
    before = list(OBJECTIVES), list(losses.OBJECTIVES), list(PENALTIES)
    for name, call in (
        ("objective 'hinge'", lambda: losses.register_objective("hinge", *hinge)),
        ("objective 'My'", lambda: losses.register_objective("My", *hinge)),
        ("objective 'my'", lambda: losses.register_objective("my", *hinge[::-1])),
        ("penalty 'none'", lambda: penalties.register_penalty("none", r1(penalties))),
        ("penalty 'my'", lambda: penalties.register_penalty("my", lambda x: x)),
        ("name 3", lambda: losses.register_objective(3, *hinge)),
        (
            "discriminator_loss None",
            lambda: losses.register_objective("my", None, None),
        ),
        ("penalty None", lambda: penalties.register_penalty("my", None)),
        (
            "chance_loss nan",
            lambda: losses.register_objective("my", *hinge, chance_loss=math.nan),
        ),
        (
            "slope inf",
            lambda: penalties.register_penalty("my", r1(penalties), slope=math.inf),
        ),
        ("generator None", lambda: models.register_architecture("my", None, None)),
    ):
        with pytest.raises(UsageError, match=f"^{name}: "):
            call()
    assert before == (list(OBJECTIVES), list(losses.OBJECTIVES), list(PENALTIES))


def r1(penalties: ModuleType) -> Callable[..., Any]:
    return penalties.PENALTIES["r1"]


def test_a_penalty_without_what_it_needs(twin: Twin, modules: Modules) -> None:
    framework = importlib.import_module({"jax": "jax.numpy"}.get(twin.name, twin.name))
    images = framework.zeros((2, 8, 8, 8))
    for name, message in (
        ("wgan-gp", "alpha None: wgan-gp needs it"),
        ("dragan", "penalty_noise None: dragan needs it"),
        ("none", "penalty 'none': must be one of wgan-gp, "),
    ):
        with pytest.raises(UsageError, match=f"^{message}"):
            modules.penalties.apply_penalty(name, lambda x: x, images, images)


def refused(
    run: Path, train: Train, capsys: pytest.CaptureFixture[str], *words: object
) -> str:
    """What a user is told, who is left without a traceback and without a folder."""
    stopped(2, lambda: train(*TINY, *words, "--run-dir", run))
    assert not run.exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def _says_nothing(discriminator: Any, real: Any) -> None:
    discriminator(real)


def _no_terms(discriminator: Any, real: Any) -> Any:
    return (discriminator(real) ** 2).mean()


def _fails(discriminator: Any, real: Any) -> Any:
    return real.nonesuch()


@pytest.mark.parametrize(
    ("penalty", "told"),
    [
        (_says_nothing, "penalty 'mine' gives a NoneType, must give a PenaltyTerms("),
        (_no_terms, "gives an array, must give a PenaltyTerms(penalty, gradient_norm)"),
        (_fails, "penalty 'mine' (test_own_terms.py, line {}): AttributeError: "),
    ],
)
def test_a_penalty_that_is_none_is_told(
    penalty: Callable[..., Any],
    told: str,
    modules: Modules,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    modules.penalties.register_penalty("mine", penalty, per_sample=False)
    line = refused(tmp_path / "run", train, capsys, "--penalty", "mine")
    assert told.format(_fails.__code__.co_firstlineno + 1) in line


def test_a_penalty_of_each_image_is_told(
    modules: Modules, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def penalty(discriminator: Any, real: Any) -> Any:
        logits = discriminator(real)
        return modules.penalties.PenaltyTerms(logits.mean(), logits)

    modules.penalties.register_penalty("mine", penalty, per_sample=False)
    line = refused(tmp_path / "run", train, capsys, "--penalty", "mine")
    assert "penalty 'mine': its gradient_norm is not one number" in line


def test_a_penalty_that_looks_at_other_numbers_of_images_is_told(
    modules: Modules, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of_first(discriminator: Any, real: Any) -> Any:
        return r1(modules.penalties)(discriminator, real[:1])

    modules.penalties.register_penalty("first", of_first)
    words = ("--penalty", "first", "--d-norm", "none")
    for others in (("--augment", "diffaugment"), ("--conditional",)):
        line = refused(tmp_path / "no", train, capsys, *words, *others)
        assert "penalty 'first': gives D 1 images, must give it 8 at a time" in line
    train(*TINY, *words, "--run-dir", tmp_path / "run")


def test_a_loss_without_a_gradient_is_told(
    modules: Modules, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def counts(real_logits: Any, fake_logits: Any) -> Any:
        return ((real_logits > fake_logits) * 1.0).mean()

    hinge = modules.losses.OBJECTIVES["hinge"]
    modules.losses.register_objective("counts", counts, hinge.generator_loss)
    alone = ("--penalty", "none", "--objective")
    line = refused(tmp_path / "run", train, capsys, *alone, "counts")
    assert "objective " in line
    assert line.endswith(" has no gradient")
    modules.losses.register_objective("still", hinge.discriminator_loss, _still)
    line = refused(tmp_path / "run", train, capsys, *alone, "still")
    assert line.endswith(" has no gradient")


def _still(fake_logits: Any) -> Any:
    return ((fake_logits > 0) * 1.0).mean()


# JAX has none: a key is an argument.
@pytest.mark.parametrize("twin", ["torch"], indirect=True, scope="session")
def test_random_numbers_that_no_seed_tells_are_told(
    modules: Modules, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = importlib.import_module("torch")

    def draws(discriminator: Any, real: Any) -> Any:
        return r1(modules.penalties)(discriminator, real + torch.rand_like(real))

    modules.penalties.register_penalty("draws", draws)
    words = ("--penalty", "draws", "--d-norm", "none")
    line = refused(tmp_path / "run", train, capsys, *words)
    assert "penalty 'draws': draws random numbers, must draw none: the seed" in line
    torch.rand(1)  # the user's own, meanwhile
    modules.penalties.register_penalty("draws", r1(modules.penalties))
    train(*TINY, *words, "--run-dir", tmp_path / "run")


@pytest.mark.parametrize("twin", ["torch"], indirect=True, scope="session")
def test_what_is_frozen_stays(modules: Modules, train: Train, tmp_path: Path) -> None:
    dcgan = modules.models.ARCHITECTURES["dcgan"]

    def frozen(config: TrainConfig, data: DataInfo) -> Any:
        network = dcgan.discriminator(config, data)
        network.blocks[0].requires_grad_(False)
        return network

    modules.models.register_architecture("frozen", dcgan.generator, frozen)
    train(*TINY, "--architecture", "frozen", "--save-every", 1, "--run-dir", tmp_path)
    first, last = (load(tmp_path / f"checkpoints/{x:06d}.safetensors") for x in (4, 6))
    for name, array in first.arrays.items():
        if name.startswith("discriminator.blocks."):
            is_frozen = name.startswith("discriminator.blocks.0.")
            assert np.array_equal(array, last.arrays[name]) == is_frozen, name


def test_networks_that_do_not_fit_are_told(
    modules: Modules, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = modules.models
    dcgan = models.ARCHITECTURES["dcgan"]

    def told(name: str, generator: Any, discriminator: Any) -> str:
        models.register_architecture(name, generator, discriminator)
        return refused(tmp_path / "run", train, capsys, "--architecture", name)

    def large(config: TrainConfig, data: DataInfo) -> Any:
        return dcgan.generator(dataclasses.replace(config, image_size=32), data)

    size = told("large", large, dcgan.discriminator)
    assert "architecture 'large': G makes images of shape [32, 32, 1], must be" in size
    nothing = told("nothing", lambda config, data: None, dcgan.discriminator)
    assert "architecture 'nothing': AttributeError: 'NoneType' object has no" in nothing

    def other(change: Callable[[Any], dict[str, Any]]) -> Callable[..., Any]:
        def make(config: TrainConfig, data: DataInfo) -> Any:
            network = dcgan.discriminator(config, data)
            base: Any = type(network)
            name = "forward" if hasattr(base, "forward") else "__call__"

            def call(self: Any, *given: Any) -> Any:
                scores = getattr(base, name)(self, *given)
                return scores._replace(**change(scores))

            network.__class__ = type("Other", (base,), {name: call})
            return network

        return make

    def plain(config: TrainConfig, data: DataInfo) -> Any:
        if models.__name__.startswith("gans_torch"):
            return importlib.import_module("torch.nn").Linear(3, 4)
        nnx = importlib.import_module("flax.nnx")
        return nnx.Linear(3, 4, rngs=nnx.Rngs(0))

    assert "no layer states what it is" in told("plain", plain, dcgan.discriminator)
    one_column = other(lambda scores: {"logits": scores.logits[:, None]})
    column = told("column", dcgan.generator, one_column)
    assert re.search(r"D's logits are of shape \[\d+, 1\], must be \[\d+\]$", column)
    without = told("without", dcgan.generator, other(lambda scores: {"features": None}))
    assert without.endswith("D's features are None, must be its last feature map")
