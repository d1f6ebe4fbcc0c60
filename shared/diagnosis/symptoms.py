"""What may go wrong in a run: the bounds of its metrics, the words, the remedies.

The bounds are far from what healthy runs show; beside each is what was measured with
the presets on digits, MNIST and CIFAR-10.
"""

import math
from typing import NamedTuple

from shared.config.flags import flag
from shared.config.train_config import TrainConfig
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.quantities import members

# How long a state must last: this many steps, and at least so many logged values.
LASTING_STEPS = 200
LASTING_VALUES = 5
_LASTING_RECORDS = 3

# D's loss as a share of the way from its least value to that of a D that says the same
# of every image. In healthy runs its highest value in such a time is 0.02 or more.
_WON = 0.01
# A gradient's norm against its median at the start. In healthy runs it rises by a
# factor of 48 at most (WGAN) and falls by one of 30 (points); it moves by thousands
# where a critic has no bound or D is certain.
_EXPLODED = 1000.0
_VANISHED = 0.01
# As a multiple of the norm that a penalty holds D's gradient at; 0.6 to 1.9 in healthy
# runs.
_LIPSCHITZ = 2.0
GRADIENT_NORMS = {
    label: name for name, label in members("Gradients of the weights").items()
}
# Diversity is 0.1 to 0.2 for the first 200 steps, and rises to 0.9; it hardly falls.
# Of 102 runs of 600 steps, all but DRAGAN's on MNIST have 0.5 or more from step 300 on;
# of these six, the three that are below the bound in three grids from step 400 on end
# with 2, 4 and 8 of 10 classes, the others with 6, 9 and 10.
_DIVERSITY_KEPT = 0.5
DIVERSITY_LEAST = 0.15
# The share of the data's classes, or of the modes of points, that G makes. Healthy runs
# of digits have 0.85 or more from step 300 on, those of points and MNIST 0.5 or more.
_CLASSES_KEPT = 0.5
# Distance between the same latents' images in both modes; when healthy 0.01 to 0.05 of
# digits, up to 0.3 of photos, but up to 0.9 while G still changes fast.
_BATCH_NORM_GAP = 0.5
# R1's weight, gamma / 2, of small images; that of a held slope, 10, is far too much.
_R1_WEIGHT = 0.5
# The decay rate of Adam's first average that GANs are trained with.
_CALM_BETA = 0.5

# In metrics.jsonl, at the step after which training could not go on.
DIVERGED = "diverged"
DIVERGENCE = "training has diverged: the losses or the weights are no longer finite"


class Symptom(NamedTuple):
    """A metric that is bad beyond its bounds, and what to say when that lasts."""

    metric: str
    lasting: int
    """How many values in a row must be bad."""
    problem: str
    remedy: str
    low: float = -math.inf
    """Values below this are bad."""
    high: float = math.inf
    """Values above this are bad."""
    last_suffices: bool = False
    """Whether the last value of the run is judged without those before."""


def symptoms(config: TrainConfig) -> list[Symptom]:
    """What is judged in a run of this configuration.

    Args:
        config: the run's configuration.
    """
    lasting = max(LASTING_VALUES, math.ceil(LASTING_STEPS / config.log_every))
    found = [Symptom(DIVERGED, 1, DIVERGENCE, _taming(config), high=0.0)]
    chance, least = OBJECTIVES[config.objective].chance_loss, _least_loss(config)
    if chance is not None and least is not None:
        bound = least + _WON * (chance - least)
        found.append(
            Symptom(
                "d_loss",
                lasting,
                "D has won: its loss has been near zero for long, and G can hardly"
                " learn from it",
                _balancing(config),
                low=bound,
            )
        )
    found += [
        Symptom(
            "diversity_kept",
            _LASTING_RECORDS,
            "G is collapsing: its images differ less than half as much as they did"
            " before",
            _collapse_remedy(config),
            low=_DIVERSITY_KEPT,
        ),
        Symptom(
            "late_diversity",
            _LASTING_RECORDS,
            "G has collapsed, or not begun to learn: it makes nearly the same image of"
            " every latent",
            _collapse_remedy(config, "more --steps"),
            low=DIVERSITY_LEAST,
        ),
        Symptom(
            "classes_kept",
            _LASTING_RECORDS,
            "G has lost modes, or not begun to learn: it makes, in effect, less than"
            " half of the classes",
            _collapse_remedy(config, "more --steps"),
            low=_CLASSES_KEPT,
            last_suffices=True,
        ),
        Symptom(
            "late_batch_norm_gap",
            _LASTING_RECORDS,
            "G's batch norm disagrees with itself: images drawn with its running"
            " statistics are others than those that D judges",
            _either(
                "drawing with --standing-stats 16",
                "a larger --batch-size",
                "a smaller --g-lr",
                _flags(config, g_norm=_no_batch_norm(config)),
            ),
            high=_BATCH_NORM_GAP,
        ),
    ]
    found += _lipschitz_symptoms(config, lasting)
    for name, metric in GRADIENT_NORMS.items():
        found += [
            Symptom(
                f"relative_{metric}",
                LASTING_VALUES,
                f"{name}'s gradient explodes: it is a thousand times that of the start",
                _taming(config),
                high=_EXPLODED,
            ),
            Symptom(
                f"relative_{metric}",
                lasting,
                f"{name}'s gradient vanishes: it is a hundredth of that of the start",
                _steepening(config),
                low=_VANISHED,
            ),
        ]
    return found


def _lipschitz_symptoms(config: TrainConfig, lasting: int) -> list[Symptom]:
    """Whether a critic has a bound, and whether it keeps to it."""
    is_critic = OBJECTIVES[config.objective].wasserstein
    penalty = PENALTIES[config.penalty]
    # The weight may move from one to the other.
    both = (config.penalty_weight, config.final_penalty_weight)
    weights = [weight for weight in both if weight] if penalty.points else []
    has_bound = config.weight_clip > 0 or config.d_weight_norm == "spectral"
    if is_critic and not weights and not has_bound:
        problem = (
            "the critic has no Lipschitz bound, without which its loss estimates no"
            " distance and may grow for ever"
        )
        remedy = _either(
            _penalised(config),
            "--weight-clip 0.01",
            _flags(config, d_weight_norm="spectral"),
        )
        # At any step, the first being that of the first grid.
        return [Symptom("step", 1, problem, remedy, low=math.inf)]
    if penalty.slope is not None:
        bound = _LIPSCHITZ * penalty.slope
    elif is_critic and weights:
        # R1 and R2 hold no norm: they balance the critic's gain at 1 / (2 weight).
        # Of points, 2 is normal with the weight 0.01, and 1 with 0.1.
        bound = max(_LIPSCHITZ, 1 / min(weights))
    else:
        return []
    problem = (
        "the critic has left its Lipschitz bound: its gradient's norm stays far above"
        f" {bound / 2:.6g}"
    )
    remedy = "a larger --penalty-weight or a smaller --d-lr"
    return [Symptom("gradient_norm", lasting, problem, remedy, high=bound)]


def _balancing(config: TrainConfig) -> str:
    """What keeps D from winning."""
    objective = OBJECTIVES[config.objective]
    smooths = objective.has_targets and not config.label_smoothing
    return _either(
        "--objective non-saturating" if objective.saturating else "",
        "--d-lr smaller than --g-lr",
        "--label-smoothing 0.1" if smooths else "",
        "" if config.instance_noise else "--instance-noise 0.1",
        _critic(config),
    )


def _steepening(config: TrainConfig) -> str:
    """What gives a gradient where D is certain."""
    is_critic = OBJECTIVES[config.objective].wasserstein
    others = () if is_critic else ("non-saturating", "least-squares")
    objectives = [_flags(config, objective=objective) for objective in others]
    return _either(*objectives, _critic(config), "a smaller --d-lr")


def _taming(config: TrainConfig) -> str:
    """What holds gradients, and with them the weights, within bounds."""
    return _either(
        "" if config.clip_grad_norm else "--clip-grad-norm 1",
        _flags(config, d_weight_norm="spectral"),
        ""
        if PENALTIES[config.penalty].points
        else _penalised(config, "r1", _R1_WEIGHT),
        "smaller learning rates",
    )


def _collapse_remedy(config: TrainConfig, further: str = "") -> str:
    # Momentum, or a slow D, lets G run after D in one heap: docs/mode_collapse.md.
    has_momentum = config.optimizer == "adam" and config.adam_betas[0] > _CALM_BETA
    return _either(
        f"--adam-betas {_CALM_BETA} 0.999" if has_momentum else "",
        "--d-every 1" if config.d_every > 1 else "",
        ""
        if config.minibatch_discrimination
        else _flags(config, minibatch_discrimination=8),
        "" if config.feature_matching else "--feature-matching 1",
        _critic(config),
        further,
    )


def _critic(config: TrainConfig) -> str:
    return f"{_flags(config, objective='wasserstein')} {_penalised(config)}".strip()


def _penalised(
    config: TrainConfig, penalty: str = "wgan-gp", weight: float | None = None
) -> str:
    """The flags of a penalty, which is per sample, as D must then be too."""
    norm = _no_batch_norm(config) if config.d_norm == "batch" else config.d_norm
    weight = weight or config.penalty_weight or 10
    return _flags(config, penalty=penalty, d_norm=norm, penalty_weight=weight)


def _no_batch_norm(config: TrainConfig) -> str:
    # A perceptron has no instance norm.
    has_maps = ARCHITECTURES[config.architecture].has_feature_maps
    return "instance" if has_maps else "none"


def _flags(config: TrainConfig, **values: str | float) -> str:
    """The flags that give a configuration these values, where it may have others."""
    lacks = ARCHITECTURES[config.architecture].lacks
    return " ".join(
        f"{flag(name)} {value}"
        for name, value in values.items()
        if name not in lacks and getattr(config, name) != value
    )


def _either(*remedies: str) -> str:
    """What is not empty, as a list in words."""
    *others, last = [remedy for remedy in remedies if remedy]
    return f"{', '.join(others)} or {last}" if others else last


def _least_loss(config: TrainConfig) -> float | None:
    """D's least loss: more than zero where labels are smoothed or swapped.

    None: of a user's objective, with such labels, nobody knows.
    """
    if not config.label_smoothing and not config.label_flip:
        return 0.0
    least_loss = OBJECTIVES[config.objective].least_loss
    if least_loss is None:
        return None
    target = 1 - config.label_smoothing
    # Of the real images, then of the generated ones.
    return least_loss(target, 1 - config.label_flip) + least_loss(
        target, config.label_flip
    )
