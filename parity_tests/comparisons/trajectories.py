"""Trajectories: every variant and every remedy, step by step in both twins."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, check
from parity_tests.harness.jax_side import as_if_wide
from parity_tests.harness.trajectories import (
    State,
    compare_runs,
    compare_trajectories,
    go_on,
    largest_until,
    make_pair,
    run,
    run_singly,
    shrink,
)
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES
from shared.errors import UsageError
from shared.run.rollbacks import Rollback
from shared.training.session import Session

_COVERS = (
    "backend.Backend",
    "losses.OBJECTIVES",
    "optim.build_optimizer",
    "penalties.apply_penalty",
    "steps.Batch",
    "steps.TrainState",
    "steps.discriminator_step",
    "steps.generator_step",
    "steps.discriminate",
    "steps.path_step",
    "steps.penalty_step",
    "steps.train_step",
    "terms.discriminator_terms",
    "terms.generator_terms",
    "terms.mean_output",
)
_REMEDY_STEPS = 20
# In the full certificate alone, as their steps take long to compile.
_LONG_TO_COMPILE = (
    *("sagan", "biggan", "cgan-pd-cifar10", "wgan-gp-resnet-cifar10"),
    "r3gan-cifar10",
)
_NUDGES = 4
# The short certificate has their steps in a comparison of their own.
_ELSEWHERE = ("ada",)
_FREE_BIASES = ("sngan-resnet", "wgan-gp-resnet", "sagan", "biggan")
_CANCEL_BIASES = {"batch", "conditional-batch", "instance"}
_ATTENTION = ("sagan", "biggan")
# Of the short certificate; the full one goes on to a variant's own number.
_FIRST_STEPS = 15


class Variant(NamedTuple):
    """A GAN as published, on small networks."""

    config: TrainConfig
    steps: int = 100
    """Updates of G; D may make more."""
    channels: int = 1

    @property
    def short(self) -> "Variant":
        """Fewer steps, with two of a critic at most: each is compiled by itself."""
        fewer = min(self.config.n_critic, 2)
        config = dataclasses.replace(self.config, n_critic=fewer)
        return self._replace(config=config, steps=_FIRST_STEPS)


VARIANTS = {
    # The original experiments are these presets again, at full size.
    **{
        name: Variant(shrink(preset))
        for name, preset in PRESETS.items()
        if preset.dataset == "digits"
    },
    "gan": Variant(shrink(PRESETS["gan"]), 200),
    "gan, minimax": Variant(shrink(PRESETS["gan"], objective="minimax"), 200),
    # As a preset it differs from ``gan`` in name alone, so here in size. Not 32x32: in
    # so thin a network's 200 steps, rounding grows to 1e-10, in either twin by itself.
    "dcgan": Variant(shrink(PRESETS["dcgan"], width=8), 200, channels=3),
    # Wide enough for group norm: of a group of two numbers it leaves but the signs.
    "mlp": Variant(shrink(PRESETS["ring"], image_size=8, width=32)),
    # Points are numbers as they are, not bytes.
    "ring": Variant(
        shrink(PRESETS["ring"], dataset="ring", image_size=1, width=32), channels=2
    ),
    # In colour: of a grey image's one channel, the kernels of D's first shortcut are
    # numbers by themselves, of which weight norm leaves the signs.
    **{
        name: Variant(shrink(PRESETS[name]), channels=3)
        for name in ("sngan", "sagan", "biggan")
    },
    "cgan-pd-cifar10": Variant(
        shrink(PRESETS["cgan-pd-cifar10"], n_critic=2), 50, channels=3
    ),
    # With a norm that cancels no bias, so that the strict bound holds.
    "wgan-gp-resnet-cifar10": Variant(
        shrink(PRESETS["wgan-gp-resnet-cifar10"], n_critic=2, g_norm="layer"),
        50,
        channels=3,
    ),
    # In two groups; a burn-in that ends on the way.
    "r3gan": Variant(
        shrink(
            PRESETS["r3gan"],
            image_size=8,
            width=16,
            burn_in_images=160,
            final_ema_half_life=40.0,
        ),
        50,
        channels=3,
    ),
    # With all that it has, and several lazy updates in the first steps.
    "stylegan2": Variant(
        shrink(
            PRESETS["stylegan2"],
            image_size=8,
            penalty_every=4,
            path_length=2.0,
            style_mixing=0.9,
        ),
        channels=3,
    ),
    # By class: through an augmentation that becomes more frequent on the way, and
    # without shortcuts or paths. Averages that grow, too.
    "r3gan-cifar10": Variant(
        shrink(
            PRESETS["r3gan-cifar10"],
            image_size=8,
            width=16,
            burn_in_images=160,
            final_ema_half_life=40.0,
        ),
        50,
        channels=3,
    ),
    "stylegan2-cifar10": Variant(
        shrink(
            PRESETS["stylegan2-cifar10"],
            image_size=8,
            penalty_every=4,
            burn_in_images=160,
            final_ema_half_life=40.0,
        ),
        50,
        channels=3,
    ),
    # At usual rates: what a free bias gains by rounding (see `tolerance`) is a share of
    # the learning rate.
    "relativistic-average": Variant(
        shrink(
            PRESETS["relativistic"],
            objective="relativistic-average",
            g_lr=2e-4,
            d_lr=2e-4,
        )
    ),
}

# What each remedy sets, so that 20 steps of a run show all that it does.
REMEDIES: dict[str, dict[str, Any]] = {
    # Against mode collapse.
    "minibatch-discrimination": {"minibatch_discrimination": 3},
    "minibatch-std": {"minibatch_std": 4},
    # Little of it: its gradients are hundreds, and what they round to free biases is.
    "feature-matching": {"feature_matching": 0.01},
    "instance-noise": {"instance_noise": 0.2, "instance_noise_steps": 15},
    # For few images.
    "diffaugment, flip": {"augment": "diffaugment", "flip": True},
    "ada": {"augment": "ada", "augment_p": 0.5},
    # For the balance of D and G.
    "two-time-scales": {"g_lr": 1e-4, "d_lr": 4e-4},
    "n-critic": {"n_critic": 5, "d_every": 1},
    "d-every": {"n_critic": 1, "d_every": 3},
    "label-smoothing": {"label_smoothing": 0.1},
    "label-flip": {"label_flip": 0.2},
    "label-smoothing, label-flip": {"label_smoothing": 0.1, "label_flip": 0.2},
    "aux-classifier": {"aux_classifier": 0.5, "conditional": True},
    "conditional-batch-norm": {"conditional": True, "g_norm": "conditional-batch"},
    "conditional, one-hot": {"conditional": True, "g_norm": "batch"},
    # For steadiness.
    "orthogonal": {"g_orthogonal": 1e-4},
    "clip-grad-norm": {"clip_grad_norm": 0.05},
    "weight-clip": {"weight_clip": 0.01},
    "ema": {"ema_decay": 0.9},
    "ema, half-life": {"ema_half_life": 50.0},
    "linear-decay": {"lr_schedule": "linear", "steps": _REMEDY_STEPS},
    "cosine-decay, warm-up": {
        "lr_schedule": "cosine",
        "steps": _REMEDY_STEPS,
        "warmup_steps": 10,
    },
    "warm-up": {"warmup_steps": 10},
    "rmsprop": {"optimizer": "rmsprop"},
    "own batch of G": {"g_own_batch": True},
    # All that moves, with a penalty to be weighed.
    "penalty, lazy": {
        "penalty": "r1",
        "penalty_every": 4,
        "optimizer": "adam",
        "n_critic": 1,
        "d_every": 1,
    },
    "penalty, burn-in": {
        "g_own_batch": True,
        "penalty": "r1-r2",
        "d_norm": "layer",
        "optimizer": "adam",
        "lr_schedule": "constant",
        # Of 20 steps with 8 images each, or 16, all but the last few.
        "burn_in_images": 140,
        "final_g_lr": 5e-5,
        "final_d_lr": 1e-4,
        "final_penalty_weight": 0.5,
        "final_beta2": 0.95,
        "final_ema_half_life": 60.0,
    },
    # With a norm that leaves the penalty's samples independent.
    **{
        f"penalty, {name}": {"penalty": name, "d_norm": "layer"}
        for name in ("wgan-gp", "wgan-lp", "dragan", "r1", "r2", "r1-r2")
    },
    **{
        f"{network}-weight-norm, {name}": {f"{network}_weight_norm": name}
        for network in ("d", "g")
        for name in ("spectral", "weight")
    },
    **{
        f"{network}-norm, {name}": {f"{network}_norm": name}
        for network in ("d", "g")
        for name in ("batch", "instance", "layer", "group", "none")
    },
}

# They change no network and look through none, so they meet these alone.
_OF_STEPS = (
    *("instance-noise", "two-time-scales", "n-critic", "d-every"),
    *("label-smoothing", "label-flip", "label-smoothing, label-flip"),
    *("clip-grad-norm", "weight-clip", "rmsprop", "ema", "ema, half-life"),
    *("linear-decay", "cosine-decay, warm-up", "warm-up"),
)
_SHALLOW = ("dcgan", "mlp")
# By class what another variant is without, which remedies meet.
_BY_CLASS = ("r3gan-cifar10", "stylegan2-cifar10")


def combine(variant: str, remedy: str) -> TrainConfig:
    """A variant with a remedy, and at most two critic steps that it brings itself.

    Raises:
        UsageError: the two exclude each other.
    """
    return dataclasses.replace(VARIANTS[variant].short.config, **REMEDIES[remedy])


def _has(variant: str, remedy: str) -> bool:
    config = VARIANTS[variant].config
    return all(getattr(config, k) == value for k, value in REMEDIES[remedy].items())


def _combinations() -> Iterator[tuple[str, str]]:
    bases = {k: x for k, x in VARIANTS.items() if k not in _BY_CLASS}
    for remedy in REMEDIES:
        for name, variant in bases.items():
            is_shallow = variant.config.architecture in _SHALLOW
            if not _has(name, remedy) and (is_shallow or remedy not in _OF_STEPS):
                yield remedy, name


def tolerance(config: TrainConfig) -> str:
    """The row for a trajectory in float64, but for what is `cancelled`."""
    # Attention starts with a gain of zero. Until then the norm behind it cancels biases
    # that it sees from then on, and with them what Adam has made of their rounding.
    if cancelled(config) and config.architecture in _ATTENTION:
        return "trajectory, float64, seen by attention"
    # Where a bias cancels in the loss, Adam makes steps of its gradient's rounding: D's
    # last one in the average form, and, as the batch is small, those of perceptrons
    # whose activations have one sign on all of it.
    shifts_cancel = config.objective == "relativistic-average" or (
        not ARCHITECTURES[config.architecture].has_feature_maps
        and config.d_norm == "batch"
    )
    return "trajectory, float64" + (", free bias" if shifts_cancel else "")


def cancelled(config: TrainConfig) -> str:
    """The row for what its norms cancel; none where they cancel nothing."""
    # Residual networks have biases before their norms, as published.
    norms = {config.g_norm, config.d_norm}
    cancels = config.architecture in _FREE_BIASES and norms & _CANCEL_BIASES
    return "cancelled by norms" if cancels else ""


def compare_twins(config: TrainConfig, steps: int, channels: int) -> list[Finding]:
    """So many steps of both twins, held to the rows of this configuration."""
    return compare_trajectories(
        config, steps, tolerance(config), channels, cancelled(config)
    )


def _register() -> dict[str, str]:
    """Register every trajectory; returns what is refused, and why."""
    for name, variant in VARIANTS.items():
        first = functools.partial(compare_twins, *variant.short)
        check(f"variant/{name}", "variant", _COVERS, name in _LONG_TO_COMPILE)(first)
        whole = functools.partial(compare_twins, *variant)
        label = f"variant/{name}/{variant.steps} steps"
        check(label, "variant", _COVERS, full_only=True)(whole)
    refused = {}
    for remedy, variant in _combinations():
        try:
            config = combine(variant, remedy)
        except UsageError as error:
            refused[f"{remedy} with {variant}"] = str(error)
            continue
        # The short certificate tries a remedy once, if nothing else does.
        base = "hinge" if remedy.startswith("penalty") else "gan"
        is_there = remedy in _ELSEWHERE or any(_has(name, remedy) for name in VARIANTS)
        full_only = variant != base or is_there
        compare = functools.partial(
            compare_twins, config, _REMEDY_STEPS, VARIANTS[variant].channels
        )
        check(f"remedy/{remedy}/{variant}", "remedy", _COVERS, full_only)(compare)
    return refused


REFUSED = _register()
# Of another base than 4.
check("variant/dcgan/28 pixels", "variant", _COVERS)(
    functools.partial(
        compare_trajectories,
        shrink(PRESETS["dcgan"], image_size=28),
        6,
        "trajectory, float64",
    )
)
# Rectangles: on their side, through ADA; and upright, through DiffAugment, by class.
for _name, _changes in {
    "dcgan/rectangle": {"image_size": (8, 14), "augment": "ada", "augment_p": 0.6},
    "r3gan-cifar10/rectangle": {"image_size": (12, 8), "width": 8},
}.items():
    check(f"variant/{_name}", "variant", _COVERS)(
        functools.partial(
            compare_trajectories,
            shrink(PRESETS[_name.partition("/")[0]], **_changes),
            6,
            "trajectory, float64",
        )
    )
# Two lazy updates of each network: what its mutants are tried by.
check("variant/stylegan2/first steps", "variant", _COVERS)(
    functools.partial(
        compare_trajectories,
        VARIANTS["stylegan2"].short.config,
        6,
        "trajectory, float64",
        VARIANTS["stylegan2"].channels,
    )
)


@check("remedy/refused combinations", "remedy")
def _refused() -> list[Finding]:
    """Nothing to measure: what the full certificate leaves out, for the report."""
    return [
        Finding(f"{combination} is refused", 0.0, "exact", note=reason)
        for combination, reason in REFUSED.items()
    ]


def _float32(config: TrainConfig, channels: int) -> list[Finding]:
    """Ten steps in float32: twin against twin, and each against itself in float64."""
    low = dataclasses.replace(config, precision="float32")
    row = "cancelled by norms, float32" if cancelled(config) else ""
    result = compare_trajectories(low, 10, "trajectory, float32", channels, row)
    fine_pair, coarse_pair = make_pair(config, channels), make_pair(low, channels)
    twins = zip(("torch", "jax"), coarse_pair, fine_pair, strict=True)
    # The last kernel of each of R3GAN's branches does.
    starts = ", from zeros" if config.architecture == "r3gan" else ""
    for twin, coarse, fine in twins:
        result += compare_runs(
            run(coarse, 10),
            run(fine, 10),
            f"trajectory, float32 against float64{starts}",
            f"{twin} against itself in float64, ",
            row,
        )
    return result


# Where an activation of the usual seed lies on a kink, whose other side float32 takes:
# in `quick`'s step 8 one is 4e-7 of their mean from zero.
_SEEDS = {"quick": 1, "sngan": 2}
for _name, _variant in VARIANTS.items():
    # A free bias would show nothing but its rounding.
    if tolerance(_variant.config) == "trajectory, float64":
        _config = dataclasses.replace(_variant.config, seed=_SEEDS.get(_name, 0))
        check(
            f"variant/{_name}/float32",
            "variant",
            _COVERS,
            full_only=_name not in ("gan", "dcgan"),
        )(functools.partial(_float32, _config, _variant.channels))


def _attention_at_work(variant: Variant) -> list[Finding]:
    """From a gain of one half, so that no bias before attention is ever free."""
    runs = []
    for session in make_pair(variant.config, variant.channels):
        arrays = session.initial_arrays()
        gains = [name for name in arrays if name.endswith("attention.gain")]
        assert gains, "there is attention"
        halves = {name: np.full_like(arrays[name], 0.5) for name in gains}
        session.restore(arrays | halves, step=0)
        runs.append(go_on(session, variant.steps))
    torch, jax = runs
    return compare_runs(
        torch, jax, "trajectory, float64", cancelled=cancelled(variant.config)
    )


for _name in _ATTENTION:
    check(f"variant/{_name}/attention at work", "variant", _COVERS, full_only=True)(
        functools.partial(_attention_at_work, VARIANTS[_name].short)
    )


def _nudged(session: Session, seed: int, steps: int) -> Iterator[State]:
    """As `run`, from arrays each number of which is the next one, up or down."""
    random = np.random.default_rng(seed)
    arrays = {}
    for name, array in session.initial_arrays().items():
        arrays[name] = array
        if np.issubdtype(array.dtype, np.floating):
            exact = array.astype(np.float64)
            ends = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf)
            arrays[name] = np.nextafter(exact, ends)
    session.restore(arrays, step=0)
    yield from go_on(session, steps)


def _beside_a_nudge(config: TrainConfig, steps: int) -> list[Finding]:
    """The twins' difference, as a multiple of what rounding does to each by itself.

    After each step, of the largest difference until then. Where it stays a few units,
    that the twins part is chaos: so does each of them part from itself.
    """
    pair = make_pair(config)
    states = [list(run(session, steps)) for session in pair]
    apart = largest_until(*states)
    nudged = np.min(
        [
            # Where the sensitive number happens to stay, so does the run: the farthest.
            np.max(
                [
                    largest_until(own, _nudged(session, seed, steps))
                    for seed in range(_NUDGES)
                ],
                axis=0,
            )
            for session, own in zip(pair, states, strict=True)
        ],
        axis=0,
    )
    curve = apart / nudged
    note = f"at the end {apart[-1]:.1e}; either from itself, nudged, {nudged[-1]:.1e}"
    return [
        Finding("everything", max(curve), "multiple of a nudge", tuple(curve), note)
    ]


_WIDE = shrink(PRESETS["hinge"], width=32)
# 7e-12 apart after a hundred steps.
check("variant/hinge/wide", "variant", _COVERS, full_only=True)(
    functools.partial(
        compare_twins, dataclasses.replace(_WIDE, z_dim=64, batch_size=16), 100, 1
    )
)
# Of few latents in small batches a gradient of the first step is all but zero, which
# Adam's step makes 6e-12 of: a hundred steps on, the twins are 2e-9 apart.
check("variant/hinge/wide, beside a nudge", "variant", _COVERS, full_only=True)(
    functools.partial(_beside_a_nudge, _WIDE, 100)
)


def _as_if_wide(variant: Variant) -> list[Finding]:
    """As both above, with the products that JAX uses on a CPU for many channels."""
    # Another seed, as backends for this one have been built with the usual products.
    # Not 1: a gradient of `dragan`'s first step is so near zero there that Adam's step
    # is 1e-5 off in float32, whatever the products.
    config = dataclasses.replace(variant.config, seed=2)
    with as_if_wide():
        result = compare_twins(config, _REMEDY_STEPS, variant.channels)
        if tolerance(config) == "trajectory, float64":
            result += _float32(config, variant.channels)
    return result


for _name, _variant in VARIANTS.items():
    # Not where there are no images.
    if ARCHITECTURES[_variant.config.architecture].has_feature_maps:
        check(
            f"variant/{_name}/as if wide",
            "variant",
            _COVERS,
            full_only=True,
        )(functools.partial(_as_if_wide, _variant))


def _bfloat16(
    variant: str,
    steps: int = 5,
    tolerance: str = "trajectory, bfloat16",
    **changes: Any,
) -> list[Finding]:
    """A few steps in bfloat16: losses alone, as a loose check of sanity."""
    config = dataclasses.replace(VARIANTS[variant].config, **changes)
    exact = make_pair(config)
    pair = make_pair(dataclasses.replace(config, precision="bfloat16"))
    losses = [
        [[state["d_loss"], state["g_loss"]] for state in run(session, steps)]
        for session in (exact.torch, *pair)
    ]
    return [
        Finding(aspect, difference(*compared, floor=1.0), tolerance)
        for aspect, compared in (
            ("losses", losses[1:]),
            ("losses, torch against itself in float64", losses[:2]),
            ("losses, jax against torch in float64", losses[::2]),
        )
    ]


for _name in ("gan", "hinge"):
    check(f"variant/{_name}/bfloat16", "variant", _COVERS)(
        functools.partial(_bfloat16, _name)
    )
# A large rate, so that weights of the update before would be seen: PyTorch's autocast
# keeps weights that it has cast, even when an optimiser has changed them since.
check("variant/wgan-gp/bfloat16", "variant", _COVERS)(
    functools.partial(_bfloat16, "wgan-gp", 1, "critic cycle, bfloat16", d_lr=5e-4)
)


def _bfloat16_gradients(penalty: str) -> list[Finding]:
    """D's first gradient in bfloat16, and the penalty, each twin against float64.

    Adam's first average is a share of the gradient.
    """
    config = shrink(PRESETS["dcgan"], image_size=32, penalty=penalty, d_norm="layer")
    (exact,) = run(make_pair(config).torch, 1)
    pair = make_pair(dataclasses.replace(config, precision="bfloat16"))
    result = []
    for twin, session in zip(("torch", "jax"), pair, strict=True):
        (state,) = run(session, 1)
        for aspect, part in (
            ("gradient of D's weights", "weight"),
            ("gradient of D's biases", "bias"),
            ("penalty", "penalty"),
        ):
            names = [
                name
                for name in exact
                if name.endswith(part)
                and name.startswith(("d_optimizer.exp_avg.", "penalty"))
            ]
            largest = max(difference(state[k], exact[k]) for k in names)
            result.append(Finding(f"{aspect}, {twin}", largest, "gradient, bfloat16"))
    return result


for _name in ("r1", "r2"):
    check(f"variant/{_name}/bfloat16", "variant", _COVERS)(
        functools.partial(_bfloat16_gradients, _name)
    )


def _bfloat16_whole_gradients(preset: str, **changes: Any) -> list[Finding]:
    """Each network's first gradient in bfloat16, as one vector, against float64.

    Where a twin rounds counts here: before a weight is scaled, or divided by its norm,
    it costs much more than after.
    """
    config = shrink(PRESETS[preset], **changes)
    (exact,) = run(make_pair(config).torch, 1)
    pair = make_pair(dataclasses.replace(config, precision="bfloat16"))
    result = []
    for twin, session in zip(("torch", "jax"), pair, strict=True):
        (state,) = run(session, 1)
        for network in "dg":
            names = [k for k in exact if k.startswith(f"{network}_optimizer.exp_avg.")]
            whole, expected = (
                np.concatenate([np.asarray(of[name], float).ravel() for name in names])
                for of in (state, exact)
            )
            off = np.linalg.norm(whole - expected) / np.linalg.norm(expected)
            tolerance = f"whole gradient of {network.upper()}, bfloat16"
            result.append(Finding(f"{network.upper()}, {twin}", float(off), tolerance))
    return result


for _name in ("sngan", "sagan", "biggan", "r3gan"):
    check(f"variant/{_name}/bfloat16", "variant", _COVERS)(
        functools.partial(_bfloat16_whole_gradients, _name)
    )
check("variant/stylegan2-256/bfloat16", "variant", _COVERS)(
    functools.partial(
        _bfloat16_whole_gradients,
        "stylegan2-256",
        penalty_every=2,
        path_length_every=2,
    )
)


@check("variant/several steps in one call", "variant", ("backend.Backend",))
def _steps_per_call() -> list[Finding]:
    """Six steps in one call equal six calls, whatever changes from step to step."""
    config = dataclasses.replace(
        VARIANTS["gan"].config,
        d_every=2,
        label_flip=0.2,
        instance_noise=0.2,
        instance_noise_steps=5,
        g_own_batch=True,
        burn_in_images=15,
        final_beta2=0.9,
        final_ema_half_life=20.0,
        lr_schedule="cosine",
        steps=8,
        warmup_steps=3,
    )
    result = []
    for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
        session.start()
        singly = run_singly(session, 6)
        session.start()
        metrics = session.run(6)
        assert all(values.shape == (6,) for values in metrics.values()), (
            f"{twin}: a metric is not of shape [steps]"
        )
        at_once = session.backend.arrays()
        largest = max(difference(singly[k], at_once[k], floor=1.0) for k in singly)
        result.append(Finding(f"state, {twin}", largest, "trajectory, float64"))
    return result


@check("variant/after a rollback", "variant", _COVERS)
def _after_rollback() -> list[Finding]:
    """A run that has diverged goes on alike: other draws, half the learning rates."""
    config = VARIANTS["gan"].config
    torch, jax = (
        run(session, 4, (Rollback(to=0, at=2),)) for session in make_pair(config)
    )
    return compare_runs(torch, jax, "trajectory, float64")


@check("penalty/undisturbed statistics", "fact", ("penalties.apply_penalty",))
def _penalty_pass() -> list[Finding]:
    """A penalty of weight 0 changes nothing: its pass leaves no trace.

    Neither in spectral norm's vectors nor in batch norm's statistics. (The command line
    refuses a penalty beside batch norm; the pass must be harmless all the same.)
    """
    result = []
    for norm, weight_norm in (("none", "spectral"), ("batch", "none")):
        ends: dict[str, list[Any]] = {"torch": [], "jax": []}
        for penalty in ("none", "wgan-gp"):
            config = shrink(
                PRESETS["hinge"],
                d_weight_norm=weight_norm,
                penalty=penalty,
                penalty_weight=0.0,
            )
            # Past the rule that refuses a penalty beside batch norm.
            object.__setattr__(config, "d_norm", norm)
            for twin, session in zip(("torch", "jax"), make_pair(config), strict=True):
                session.start()
                ends[twin].append(run_singly(session, 3))
        for twin, (without, with_penalty) in ends.items():
            largest = max(difference(without[k], with_penalty[k]) for k in without)
            aspect = f"{twin}, D with {weight_norm} weight norm and {norm} norm"
            result.append(Finding(aspect, largest, "trajectory, float64"))
    return result
