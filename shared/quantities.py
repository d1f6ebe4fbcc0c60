"""Every number that a run records: its name, words for people, and where it is better.

Names are those of the files and of TensorBoard's tags. The report, the comparison of
runs, plots, the log, the table of scores and the choice of the best checkpoint read
this table. A number that is not in it is recorded all the same, and drawn by
TensorBoard alone.
"""

import string
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Place = Literal["metrics", "samples", "scores", "evaluation"]
"""metrics.jsonl, samples.jsonl, scores.jsonl, or a file of ``evaluate``."""

_ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}


class Quantity(NamedTuple):
    """A recorded number."""

    name: str
    """In files."""
    title: str
    """For an axis or a row of its own."""
    meaning: str
    """In one phrase."""
    places: tuple[Place, ...]
    """Where it is recorded."""
    group: str = ""
    """The chart that it is drawn in, one of `GROUPS`; empty: in none."""
    label: str = ""
    """Beside others of its group; empty: the title."""
    unit: str = ""
    """Empty: a number without one, or the objective's own."""
    better: Literal["lower", "higher", "neither"] = "neither"
    """Which way it moves when the generated samples get better."""
    decimals: int = 3
    """Shown in a table of scores."""

    def heading(self, of: int | None = None) -> str:
        """The title with an arrow to where it is better.

        Args:
            of: the most that there can be, where that depends on the data.
        """
        limit = "" if of is None else f" of {of}"
        return self.title + limit + _ARROWS[self.better]


class Group(NamedTuple):
    """What is drawn in one chart."""

    title: str
    note: str = ""
    log_scale: bool = False


_TRAINING: tuple[Place, ...] = ("metrics",)
_SCORED: tuple[Place, ...] = ("scores", "evaluation")
_EVALUATED: tuple[Place, ...] = ("evaluation",)

_ALL = (
    Quantity(
        "d_loss",
        "discriminator's loss",
        "D's loss, without its penalty, before each of its updates",
        _TRAINING,
        "Losses",
        "D",
    ),
    Quantity(
        "g_loss",
        "generator's loss",
        "G's loss before its update and after D's",
        _TRAINING,
        "Losses",
        "G",
    ),
    Quantity(
        "d_real",
        "D(x)",
        "D's mean output on real samples",
        _TRAINING,
        "Output of D",
        unit="probability, or a critic's output",
    ),
    Quantity(
        "d_fake_before",
        "D(G(z)) before D's update",
        "D's mean output on the samples of its updates, before each",
        _TRAINING,
        "Output of D",
        unit="probability, or a critic's output",
    ),
    Quantity(
        "d_fake_after",
        "D(G(z)) after",
        "D's mean output on the samples of G's update, after D's updates",
        _TRAINING,
        "Output of D",
        unit="probability, or a critic's output",
    ),
    Quantity(
        "value",
        "value of the game",
        "V(D, G), where D's outputs are probabilities",
        _TRAINING,
        unit="nats",
    ),
    Quantity(
        "fid",
        "FID",
        "Frechet distance of the features of generated and of real images",
        _SCORED,
        "FID",
        better="lower",
    ),
    Quantity(
        "kid",
        "KID",
        "squared kernel distance of the features of generated and of real images",
        _SCORED,
        "KID",
        better="lower",
        decimals=5,
    ),
    Quantity(
        "precision",
        "precision",
        "share of generated images within the real ones' manifold: quality",
        _SCORED,
        "Quality and variety",
        better="higher",
    ),
    Quantity(
        "recall",
        "recall",
        "share of real images within the generated ones' manifold: variety",
        _SCORED,
        "Quality and variety",
        better="higher",
    ),
    Quantity(
        "density",
        "density",
        "how densely real images surround the generated ones: quality",
        _SCORED,
        "Quality and variety",
        better="higher",
    ),
    Quantity(
        "coverage",
        "coverage",
        "share of real samples with a generated one nearby: variety",
        _SCORED,
        "Quality and variety",
        better="higher",
    ),
    Quantity(
        "high_quality",
        "high-quality samples",
        "share of generated points within three standard deviations of the data's",
        ("samples", *_SCORED),
        "Quality and variety",
        better="higher",
    ),
    Quantity(
        "modes",
        "modes covered",
        "modes of the data with a high-quality point",
        ("samples", *_SCORED),
        "Modes covered",
        "modes",
        better="higher",
        decimals=1,
    ),
    Quantity(
        "inception_score",
        "Inception score",
        "how certain each image's class is, and how varied those of all are",
        _SCORED,
        "Inception score",
        better="higher",
    ),
    Quantity(
        "classes_hit",
        "classes hit",
        "classes that occur among the generated images",
        _SCORED,
        "Classes hit",
        "classes",
        better="higher",
        decimals=1,
    ),
    Quantity(
        "class_kl",
        "KL of classes",
        "KL divergence of the generated images' classes from those of the data",
        _SCORED,
        "KL divergence of the classes",
        "from those of the data",
        "nats",
        better="lower",
        decimals=4,
    ),
    Quantity(
        "wasserstein_estimate",
        "Wasserstein estimate",
        "difference of the critic's mean outputs on real and on generated samples",
        _TRAINING,
        "Wasserstein estimate",
        "E D(x) - E D(G(z))",
        "the critic's own",
        better="lower",
    ),
    Quantity(
        "penalty",
        "penalty",
        "D's penalty, before its weight",
        _TRAINING,
        "Penalty",
    ),
    Quantity(
        "gradient_norm",
        "norm of D's gradient in its input",
        "mean norm of D's gradient in its input, where the penalty looks",
        _TRAINING,
        "Penalty",
    ),
    Quantity(
        "d_grad_norm",
        "norm of D's gradient",
        "global norm of the gradient of D's weights, before clipping",
        _TRAINING,
        "Gradients of the weights",
        "D",
    ),
    Quantity(
        "g_grad_norm",
        "norm of G's gradient",
        "global norm of the gradient of G's weights, before clipping",
        _TRAINING,
        "Gradients of the weights",
        "G",
    ),
    Quantity(
        "diversity",
        "diversity",
        "mean distance of two generated images of a row of the grid",
        ("samples",),
        "Samples",
        unit="share of that of real images",
        better="higher",
    ),
    Quantity(
        "batch_norm_gap",
        "batch-norm gap",
        "mean difference of a latent's images in evaluation and in training mode",
        ("samples", "evaluation"),
        "Samples",
        "gap between batch norm's modes",
        "share of the distance of real images; of `evaluate`: grey levels of 255",
        better="lower",
        decimals=2,
    ),
    Quantity(
        "feature_gap",
        "feature matching",
        "squared distance of D's mean features of real and of generated samples",
        _TRAINING,
        "Further terms",
        better="lower",
    ),
    Quantity(
        "d_class_loss",
        "discriminator's class loss",
        "cross-entropy of D's classifier on real and on generated samples",
        _TRAINING,
        "Further terms",
        "classes, D",
        "nats",
    ),
    Quantity(
        "g_class_loss",
        "generator's class loss",
        "cross-entropy of D's classifier on the samples that G is updated on",
        _TRAINING,
        "Further terms",
        "classes, G",
        "nats",
        better="lower",
    ),
    Quantity(
        "augment_p",
        "probability of ADA",
        "probability of each of ADA's transformations, where it adapts",
        _TRAINING,
        "Augmentation",
        "probability p",
    ),
    Quantity(
        "real_sign",
        "sign of D(x)",
        "mean sign of D's output on real samples, as D sees them",
        _TRAINING,
        "Augmentation",
        "mean sign of D(T(x))",
    ),
    Quantity(
        "g_overlap",
        "overlap of G's weights",
        "how much the outputs of G's weights have in common, before its multiplier",
        _TRAINING,
        "Overlap of the weights",
        "G",
    ),
    Quantity(
        "path_length",
        "path length",
        "how far G's images move with the style, on average over the last steps",
        _TRAINING,
        "Path length",
        "G",
    ),
    Quantity(
        "images_per_second",
        "images per second",
        "real images that D is trained on in a second",
        _TRAINING,
        "Images per second",
        "seen by D",
        "images/s",
    ),
    Quantity(
        "seconds",
        "seconds",
        "training time since the record before, without that of grids and scores",
        _TRAINING,
        unit="s",
    ),
    Quantity(
        "wait_share",
        "waiting for the host",
        "share of the training time in which the device had nothing to do",
        _TRAINING,
        "Waiting for the host",
        "share of the time",
    ),
    Quantity(
        "diverged",
        "diverged",
        "1 at the step after which training could not go on",
        _TRAINING,
    ),
    Quantity(
        "fid_training_mode",
        "FID in training mode",
        "FID of images for which batch norm uses their own batch",
        _EVALUATED,
        better="lower",
    ),
    Quantity(
        "high_quality_training_mode",
        "high-quality samples in training mode",
        "the same of points for which batch norm uses their own batch",
        _EVALUATED,
        better="higher",
    ),
    Quantity(
        "nearest_distance",
        "distance to data",
        "median distance of a generated image to the nearest training image",
        _EVALUATED,
        unit="grey levels of 255",
        decimals=2,
    ),
    Quantity(
        "nearest_distance_real",
        "distance within data",
        "median distance of a training image to the nearest other one",
        _EVALUATED,
        unit="grey levels of 255",
        decimals=2,
    ),
    Quantity(
        "nearest_distance_moved",
        "distance to data, moved",
        "the same to the nearest training image, shifted or mirrored",
        _EVALUATED,
        unit="grey levels of 255",
        decimals=2,
    ),
    Quantity(
        "copies",
        "copies",
        "share of generated images that a training image is, shifted or mirrored",
        _EVALUATED,
        better="lower",
    ),
)

QUANTITIES: dict[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
"""By name; those of a group in the order of its chart's legend."""

GROUPS = (
    Group("Losses"),
    Group("Output of D", "Probabilities, or a critic's scores."),
    Group("FID", "Of --evaluate-every; smaller is better."),
    Group("KID", "Smaller is better."),
    Group(
        "Quality and variety",
        "Larger is better. Precision and density are of quality, recall and coverage of"
        " variety.",
    ),
    Group("Modes covered"),
    Group("Inception score"),
    Group("Classes hit"),
    Group(
        "KL divergence of the classes",
        "0 where all are as frequent as in the data, log 2 where half are missing.",
    ),
    Group(
        "Wasserstein estimate",
        "Falls as G gets better; its scale is the critic's own.",
    ),
    Group("Penalty", "Before its weight; the norm is of D's gradient in its input."),
    Group("Gradients of the weights", "Global norms, before clipping.", log_scale=True),
    Group(
        "Samples",
        "Diversity is the mean distance of two images of a row of the grid; both are"
        " shares of that distance among real images.",
    ),
    Group("Further terms"),
    Group("Overlap of the weights", "0 where all are orthogonal.", log_scale=True),
    Group("Path length", "0 at first: of the running mean 0.01 is new at a time."),
    Group("Augmentation", "ADA raises p while the mean sign is above 0.6."),
    Group("Images per second"),
    Group(
        "Waiting for the host",
        "The device waits from the end of one training call to the start of the next.",
    ),
)
"""In the order of the report's charts."""

LOG_LINE = (
    "D loss {d_loss:.3f}  G loss {g_loss:.3f}  D(x) {d_real:.2f}"
    "  D(G(z)) {d_fake_before:.2f}/{d_fake_after:.2f}  {images_per_second:.0f} images/s"
)
"""What the log and the progress bar say of a step, by `log_line`."""

DECIDING = ("fid", "coverage")
"""The best checkpoint is that of the best value of the first of these that there is."""


def members(group: str) -> dict[str, str]:
    """Labels of the quantities of a group, by name.

    Args:
        group: the title of one of `GROUPS`.
    """
    return {
        quantity.name: quantity.label or quantity.title
        for quantity in QUANTITIES.values()
        if quantity.group == group
    }


def log_line(record: Mapping[str, Any]) -> str:
    """What the log and the progress bar say of a step.

    Args:
        record: a line of metrics.jsonl.
    """
    return _Short().vformat(LOG_LINE, (), record)


class _Short(string.Formatter):
    """Has no digits after the point where a number, as of a sick run, is huge."""

    def format_field(self, value: Any, format_spec: str) -> str:
        text = super().format_field(value, format_spec)
        return f"{value:.4g}" if "." in text and abs(value) >= 1e5 else text


def numbers(record: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a record, by name: no step, no protocol, nothing that is missing.

    Args:
        record: a line of one of the three files.
    """
    return {
        name: value
        for name, value in record.items()
        if name not in ("step", "protocol") and value is not None
    }


def series(records: Iterable[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    """Steps and values of a quantity, where it was recorded.

    Of two values of a step it has the later: scores come after what grids were
    measured by.

    Args:
        records: lines of the three files.
        name: of the quantity.
    """
    found = {r["step"]: r[name] for r in records if r.get(name) is not None}
    return list(found.items())
