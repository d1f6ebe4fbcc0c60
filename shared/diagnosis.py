"""A run that watches itself: what goes wrong, in plain words, with the usual remedy.

Everything is judged from the lines of metrics.jsonl, samples.jsonl and scores.jsonl
alone, so a resumed run comes to the same findings as one that never stopped, and so
does the report. A rule speaks when *every* value of some time is beyond its bound: a
single bad batch is normal, a state that lasts is not.

The bounds are far from what healthy runs show; beside each is what was measured on
digits with the presets.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.config import TrainConfig

# How long a state must last: this many steps, and at least so many logged values.
LASTING_STEPS = 200
_LASTING_VALUES = 5
_LASTING_RECORDS = 3

# D's loss as a share of the way from its least value to that of a D that says the same
# of every image. In healthy runs its highest value in such a time is 0.02 or more.
_WON = 0.01
# A gradient's norm against its median at the start. It moves by a factor of 35 at most
# in healthy runs, and by many thousands where a critic has no bound or D is certain.
_GRADIENT_FACTOR = 1000.0
# The norm that penalties of a critic hold near 1; 0.6 to 1.2 in healthy runs.
_LIPSCHITZ = 2.0
_GRADIENT_NORMS = {"D": "d_grad_norm", "G": "g_grad_norm"}
# Diversity is 0.1 to 0.2 for the first 200 steps, and rises to 0.9; it hardly falls.
_DIVERSITY_KEPT = 0.5
_DIVERSITY_LEAST = 0.05
_DIVERSITY_START_STEPS = 500
# The share of the data's classes, or of the modes of points, that G makes. Healthy runs
# of digits have 0.85 or more from step 300 on, those of points 0.5 or more.
_CLASSES_KEPT = 0.5
_CLASSES_START_STEPS = 1000
# With more, the samples of an evaluation are too few to hit them all.
_MOST_CLASSES = 1000
# Distance between the same latents' images in both modes; 0.01 to 0.05 when healthy.
_BATCH_NORM_GAP = 0.5


class Finding(NamedTuple):
    """Something that goes wrong."""

    problem: str
    """What, in plain words."""
    remedy: str
    """The flags that usually help."""
    first: int
    """Step at which it was first seen."""
    last: int
    """Step at which it was last seen."""

    def __str__(self) -> str:
        return f"{self.problem}; try {self.remedy}"


class _Rule(NamedTuple):
    metric: str
    low: float
    """Values below this are bad."""
    high: float
    """Values above this are bad."""
    lasting: int
    """How many values in a row must be bad."""
    problem: str
    remedy: str


class Watch:
    """Sees the records of a run in order and says what is wrong.

    Args:
        config: the run's configuration.
        num_classes: classes of its data, or modes of its points.
    """

    def __init__(self, config: TrainConfig, num_classes: int) -> None:
        self._num_classes = num_classes
        self.findings: dict[str, Finding] = {}
        """By problem."""
        self._rules = _rules(config)
        self._bad = dict.fromkeys((rule.problem for rule in self._rules), 0)
        self._first_norms: dict[str, list[float]] = {
            name: [] for name in _GRADIENT_NORMS.values()
        }
        self._most_diversity = 0.0

    def see(self, record: Mapping[str, Any]) -> list[Finding]:
        """Take in one record; returns what it shows for the first time.

        Args:
            record: a line of one of the three files, in the order of steps.
        """
        step = record["step"]
        values = {**record, **self._derived(record)}
        new = []
        for rule in self._rules:
            value = values.get(rule.metric)
            if value is None or not math.isfinite(value):
                continue
            is_bad = not rule.low <= value <= rule.high
            self._bad[rule.problem] = self._bad[rule.problem] + 1 if is_bad else 0
            if self._bad[rule.problem] < rule.lasting:
                continue
            known = self.findings.get(rule.problem)
            first = known.first if known else step
            finding = Finding(rule.problem, rule.remedy, first, step)
            self.findings[rule.problem] = finding
            if known is None:
                new.append(finding)
        return new

    def replay(self, *lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the records of metrics.jsonl, samples.jsonl and scores.jsonl."""
        records = [record for records in lines for record in records]
        for record in sorted(records, key=lambda record: record["step"]):
            self.see(record)

    def _derived(self, record: Mapping[str, Any]) -> dict[str, float]:
        """What is judged against the run's own past."""
        derived = {}
        for name in _GRADIENT_NORMS.values():
            value, first = record.get(name), self._first_norms[name]
            if value is None or not math.isfinite(value):
                continue
            if len(first) < _LASTING_VALUES:
                first.append(value)
            derived[f"relative_{name}"] = value / max(np.median(first), 1e-300)
        diversity = record.get("diversity")
        if diversity is not None:
            self._most_diversity = max(self._most_diversity, diversity)
            derived["diversity_kept"] = diversity / max(self._most_diversity, 1e-300)
            if record["step"] >= _DIVERSITY_START_STEPS:
                derived["late_diversity"] = diversity
        if record["step"] >= _CLASSES_START_STEPS:
            derived |= self._classes_kept(record)
        return derived

    def _classes_kept(self, record: Mapping[str, Any]) -> dict[str, float]:
        """The share of the classes that G makes, where that was measured."""
        if not 1 < self._num_classes <= _MOST_CLASSES:
            return {}
        if (divergence := record.get("class_kl")) is not None:
            # Of n equally frequent classes, k alone have the divergence log(n / k); a
            # class that is hit by a bad image once in a while hardly counts.
            return {"classes_kept": math.exp(-divergence)}
        if (modes := record.get("modes")) is not None:
            return {"classes_kept": modes / self._num_classes}
        return {}


def diversity(images: NDArray[np.uint8], real: NDArray[np.uint8], rows: int) -> float:
    """Mean distance of two images of one row, as a share of that of real images.

    Within rows, because those of a conditional generator are its classes: it has
    collapsed if it knows one image of each class.

    Args:
        images: generated ones, [count, ...], row by row.
        real: as many real ones, of the same classes.
        rows: how many rows.
    """
    return _spread(images, rows) / max(_spread(real, rows), 1e-12)


def batch_norm_gap(
    evaluation: NDArray[np.uint8],
    training: NDArray[np.uint8],
    real: NDArray[np.uint8],
) -> float:
    """Mean distance of the two modes' images of a latent, on the scale of `diversity`.

    Args:
        evaluation: images drawn with batch norm's running statistics, [count, ...].
        training: those of the same latents, drawn with the batch's own statistics.
        real: real images.
    """
    count = len(evaluation)
    difference = (evaluation.astype(np.float64) - training).reshape(count, -1)
    gap = np.linalg.norm(difference, axis=1).mean()
    return float(gap) / max(_spread(real, 1), 1e-12)


def _spread(images: NDArray[np.uint8], rows: int) -> float:
    """Mean distance of two images of one row."""
    flat = images.reshape(rows, -1, math.prod(images.shape[1:])).astype(np.float64)
    columns = flat.shape[1]
    distances = [np.linalg.norm(row[:, None] - row, axis=2).sum() for row in flat]
    return float(np.mean(distances)) / (columns * (columns - 1))


def _rules(config: TrainConfig) -> list[_Rule]:
    lasting = max(_LASTING_VALUES, math.ceil(LASTING_STEPS / config.log_every))
    rules = []
    if config.objective in _chance_losses():
        least = _least_loss(config)
        bound = least + _WON * (_chance_losses()[config.objective] - least)
        rules.append(
            _Rule(
                "d_loss",
                bound,
                math.inf,
                lasting,
                "D has won: its loss has been near zero for long, and G can hardly"
                " learn from it",
                "--d-lr smaller than --g-lr, --label-smoothing 0.1, --instance-noise"
                f" 0.1 or {_critic(config)}",
            )
        )
    rules += [
        _Rule(
            "diversity_kept",
            _DIVERSITY_KEPT,
            math.inf,
            _LASTING_RECORDS,
            "G is collapsing: its images differ less than half as much as they did"
            " before",
            _collapse_remedy(config),
        ),
        _Rule(
            "late_diversity",
            _DIVERSITY_LEAST,
            math.inf,
            _LASTING_RECORDS,
            "G has collapsed: it makes nearly the same image of every latent",
            _collapse_remedy(config),
        ),
        _Rule(
            "classes_kept",
            _CLASSES_KEPT,
            math.inf,
            _LASTING_RECORDS,
            "G has lost modes: it makes, in effect, less than half of the classes",
            _collapse_remedy(config),
        ),
        _Rule(
            "batch_norm_gap",
            0.0,
            _BATCH_NORM_GAP,
            _LASTING_RECORDS,
            "G's batch norm disagrees with itself: images drawn with its running"
            " statistics are others than those that D judges",
            "a larger --batch-size, a smaller --g-lr or --g-norm instance",
        ),
    ]
    if config.penalty in ("wgan-gp", "wgan-lp", "dragan"):
        rules.append(
            _Rule(
                "gradient_norm",
                0.0,
                _LIPSCHITZ,
                lasting,
                "the critic has left its Lipschitz bound: its gradient's norm stays far"
                " above 1",
                "a larger --penalty-weight or a smaller --d-lr",
            )
        )
    for name, metric in _GRADIENT_NORMS.items():
        rules += [
            _Rule(
                f"relative_{metric}",
                0.0,
                _GRADIENT_FACTOR,
                _LASTING_VALUES,
                f"{name}'s gradient explodes: it is a thousand times that of the start",
                "--clip-grad-norm 1, --d-weight-norm spectral, a penalty, or smaller"
                " learning rates",
            ),
            _Rule(
                f"relative_{metric}",
                1 / _GRADIENT_FACTOR,
                math.inf,
                lasting,
                f"{name}'s gradient vanishes: it is a thousandth of that of the start",
                "--objective non-saturating, least-squares or wasserstein, or a smaller"
                " --d-lr",
            ),
        ]
    return rules


def _collapse_remedy(config: TrainConfig) -> str:
    return (
        "--minibatch-std 8, --feature-matching 1, a smaller --g-lr, or"
        f" {_critic(config)}"
    )


def _critic(config: TrainConfig) -> str:
    # A perceptron has no instance norm.
    norm = "none" if config.architecture == "mlp" else "instance"
    return f"--objective wasserstein --penalty wgan-gp --d-norm {norm}"


def _chance_losses() -> dict[str, float]:
    """D's loss when it says the same of every image; a critic's has no scale."""
    log2 = math.log(2.0)
    return {
        "minimax": 2 * log2,
        "non-saturating": 2 * log2,
        "least-squares": 0.25,
        "hinge": 2.0,
        "relativistic": log2,
        "relativistic-average": 2 * log2,
    }


def _least_loss(config: TrainConfig) -> float:
    """D's least loss: more than zero where labels are smoothed or swapped."""
    target = 1 - config.label_smoothing
    return _entropy(target * (1 - config.label_flip)) + _entropy(
        target * config.label_flip
    )


def _entropy(p: float) -> float:
    """Of a coin, in nats: the least cross-entropy with a target of mean p."""
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)
