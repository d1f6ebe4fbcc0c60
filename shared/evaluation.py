"""Scores of a run's samples, from either twin, each with its protocol."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shared import checkpoint, classifier, datasets, images, metrics, noise
from shared.backend import Backend, Classifier, DataInfo, ImageData
from shared.cli import EvaluateOptions
from shared.config import TrainConfig
from shared.errors import UsageError
from shared.files import write_atomically
from shared.pictures import draw_images
from shared.run_dir import resolve_checkpoint, root_of
from shared.sampling import load_backend
from shared.training import MakeBackend

_NUM = 2048
# As in the literature on stacked MNIST: Metz et al. 2017, arXiv:1611.02163.
_NUM_STACKED = 26_000
# Enough for moments; and for what needs all pairs.
_MOST_REFERENCES = 10_000
_MOST_COMPARED = 2048
_FEWEST = 16
_NEAREST_QUERIES = 64
_NEAREST_COLUMNS = 12
_NEAREST_ROWS = 3


class Judged(NamedTuple):
    """What the classifier says of images."""

    features: NDArray[np.float32]
    """Shape [count, features]."""
    probabilities: NDArray[np.float32]
    """Shape [count, classes]."""


class Score(NamedTuple):
    """One number about a run, and how it came about."""

    title: str
    """As the table shows it, with an arrow to where it is better, if that is clear."""
    values: list[float]
    """One for each independent draw of the samples."""
    decimals: int
    """Shown."""
    protocol: str
    """What was compared with what."""


def evaluate(options: EvaluateOptions, make_backend: MakeBackend) -> None:
    """Score a checkpoint: print a table; write the scores and a picture into the run.

    Args:
        options: what the user asked for.
        make_backend: the twin's backend class.

    Raises:
        UsageError: there is no such checkpoint or device, or the data are others than
            the run's, or have no labels.
    """
    path = resolve_checkpoint(options.run, options.step)
    stored = checkpoint.load(path)
    config = stored.config
    data = datasets.load(config.dataset, config.image_size, options.data_dir)
    if data.info != stored.data:
        raise UsageError(
            f"{path}: was trained on other images than those of --dataset"
            f" {config.dataset} in --data-dir {options.data_dir}"
        )
    check_data(config, data.info)
    backend = load_backend(stored, path, make_backend, options.device)
    evaluator = Evaluator(backend, config, data, options.data_dir)
    num = options.num or evaluator.default_num()
    scores = evaluator.scores(num, options.draws, options.seed)
    scores |= evaluator.batch_norm_scores(num, options.seed)
    nearest, picture = evaluator.nearest(options.seed)
    scores |= nearest
    folder = options.out or root_of(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
        raise UsageError(f"--out {folder}: cannot be used: {reason}") from error
    protocol = evaluator.protocol(num, options.draws, options.seed)
    out = folder / f"evaluation-{stored.step:06d}.json"
    report = {
        "step": stored.step,
        "checkpoint": path.name,
        "protocol": protocol,
        "scores": {name: _to_json(score) for name, score in scores.items()},
    }
    write_atomically(out, (json.dumps(report, indent=2) + "\n").encode())
    images.save_png(folder / f"nearest-{stored.step:06d}.png", picture)
    sys.stdout.write(_table(stored, protocol, scores))
    sys.stderr.write(f"written: {out}\n")


def check_data(config: TrainConfig, data: DataInfo) -> None:
    """Refuse data that no classifier can be trained on.

    Raises:
        UsageError: they are points, have no labels, or are too few.
    """
    problem = None
    if config.dataset in datasets.POINTS:
        problem = "compares images, not points"
    elif data.num_classes < 2:
        problem = (
            "needs labels of two classes or more, to train its classifier on; make"
            " each class a subfolder"
        )
    elif data.count < _FEWEST:
        problem = f"needs {_FEWEST} images or more, there are {data.count}"
    if problem:
        raise UsageError(f"--dataset {config.dataset}: evaluation {problem}")


class Evaluator:
    """Compares a backend's samples with the data; what they share is made once.

    Args:
        backend: with the state to be judged, which may change between the calls.
        config: the run's configuration.
        data: its training images.
        data_dir: where the classifier is cached.

    Raises:
        UsageError: as `check_data`.
    """

    def __init__(
        self, backend: Backend, config: TrainConfig, data: ImageData, data_dir: Path
    ) -> None:
        check_data(config, data.info)
        assert data.labels is not None, "there are classes, so there are labels"
        self._backend = backend
        self._config = config
        self._info = data.info
        self._images = classifier.pixels(data)
        self._labels = data.labels
        self._judge = Judge(backend, config, data, data_dir)
        references = min(data.info.count, _MOST_REFERENCES)
        # Shuffled, so that any first part of them is a fair sample.
        self._order = noise.batch_indices(0, 0, references, data.info.count)
        real = self._judge(self._images[self._order]).features
        # Else the scale of FID and KID would depend on the classifier's training.
        self._scale = np.sqrt(np.square(real).mean())
        self._real = real / self._scale

    def default_num(self) -> int:
        """As many samples as is usual for the data set."""
        if self._config.dataset == datasets.STACKED:
            return _NUM_STACKED
        return min(_NUM, self._info.count)

    def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
        """Scores of ``draws`` independent sets of ``num`` samples, by name."""
        compared = min(num, len(self._real), _MOST_COMPARED)
        drawn = [self._judge_scaled(self._draw(num, seed, i)) for i in range(draws)]

        def each(score: Callable[[Judged], float]) -> list[float]:
            return [score(one) for one in drawn]

        def pairs(
            score: Callable[[metrics.Features, metrics.Features], float],
        ) -> list[float]:
            real = self._real[:compared]
            return each(lambda one: score(real, one.features[:compared]))

        sets = f"{num} samples, {len(self._real)} training images"
        few = f"{compared} samples, {compared} training images"
        all_labels = f"{num} samples by their most probable class"
        classes = [one.probabilities.argmax(axis=1) for one in drawn]
        return {
            "fid": Score(
                "FID ↓",
                each(lambda x: metrics.frechet_distance(self._real, x.features)),
                3,
                sets,
            ),
            "kid": Score("KID ↓", pairs(metrics.kernel_distance), 5, few),
            "inception_score": Score(
                "Inception score ↑",
                each(lambda x: metrics.inception_score(x.probabilities)),
                3,
                f"{num} samples, no splits",
            ),
            "precision": Score(
                "precision ↑", pairs(metrics.precision), 3, f"{few}, k=3"
            ),
            "recall": Score("recall ↑", pairs(metrics.recall), 3, f"{few}, k=3"),
            "density": Score("density ↑", pairs(metrics.density), 3, f"{few}, k=5"),
            "coverage": Score("coverage ↑", pairs(metrics.coverage), 3, f"{few}, k=5"),
            "classes_hit": Score(
                f"classes hit of {self._info.num_classes} ↑",
                [float(len(np.unique(ids))) for ids in classes],
                1,
                all_labels,
            ),
            "class_kl": Score(
                "KL of classes ↓",
                [metrics.class_divergence(self._labels, ids) for ids in classes],
                4,
                f"{all_labels}, from the training labels, nats",
            ),
        }

    def record(self) -> dict[str, float]:
        """The scores of one draw, small enough to be repeated while training."""
        num = min(_NUM, self._info.count)
        scores = self.scores(num, draws=1, seed=0)
        return {name: score.values[0] for name, score in scores.items()}

    def batch_norm_scores(self, num: int, seed: int) -> dict[str, Score]:
        """How samples change when batch norm uses their batch; empty without it."""
        if "batch" not in self._config.g_norm:
            return {}
        evaluated, trained = (self._draw(num, seed, 0, mode) for mode in (False, True))
        gap = np.abs(evaluated.astype(np.int16) - trained.astype(np.int16)).mean()
        fid = metrics.frechet_distance(self._real, self._judge_scaled(trained).features)
        how = f"{num} samples in training mode, batches of 64"
        return {
            "fid_training_mode": Score(
                "FID in training mode ↓", [fid], 3, f"{how}; else as FID"
            ),
            "batch_norm_gap": Score(
                "batch-norm gap ↓",
                [float(gap)],
                2,
                f"{how}, against evaluation mode: mean difference, grey levels of 255",
            ),
        }

    def nearest(self, seed: int) -> tuple[dict[str, Score], NDArray[np.uint8]]:
        """Whether samples are copies: distances, and a picture.

        Returns:
            Scores, and a grid: samples above their nearest training images.
        """
        queries = min(_NEAREST_QUERIES, self._info.count)
        fake = self._draw(queries, seed, 0)
        # k = 2: the nearest to a training image is itself.
        found, places = metrics.nearest_images(fake, self._images, _NEAREST_ROWS)
        real = self._images[self._order[:queries]]
        between, _ = metrics.nearest_images(real, self._images, 2)
        how = "median over {} to the nearest {}, root mean square, grey levels of 255"
        scores = {
            "nearest_distance": Score(
                "distance to data",
                [float(np.median(found[:, 0]))],
                2,
                how.format(f"{queries} samples", "training image"),
            ),
            "nearest_distance_real": Score(
                "distance within data",
                [float(np.median(between[:, 1]))],
                2,
                how.format(f"{queries} training images", "other one"),
            ),
        }
        columns = min(_NEAREST_COLUMNS, queries)
        neighbours = self._images[places[:columns].T.reshape(-1)]
        above, below = (images.grid(x, columns) for x in (fake[:columns], neighbours))
        line = np.full_like(above[:2], 255)
        return scores, np.concatenate([above, line, below])

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        """What holds for all scores."""
        config, size = self._config, self._config.image_size
        average = f"average of G, decay {config.ema_decay}" if config.ema_decay else "G"
        return {
            "dataset": config.dataset,
            "reference": "training split",
            "features": self._judge.description,
            "scale": "features have mean square 1 over the reference",
            "resizing": f"none: data cached at {size}x{size}, samples of that size",
            "weights": f"{average}, in evaluation mode, samples rounded to 8 bits",
            "samples": num,
            "draws": draws,
            "interval": "95%, Student's t, over the draws",
            "seed": seed,
        }

    def _judge_scaled(self, pixels: NDArray[np.uint8]) -> Judged:
        judged = self._judge(pixels)
        return judged._replace(features=judged.features / self._scale)

    def _draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        z = noise.normal(seed, "evaluated samples", number, num, self._config.z_dim)
        labels = None
        if self._config.conditional:
            chosen = noise.uniform(seed, "evaluated labels", number, num)[:, 0]
            labels = self._labels[(chosen * len(self._labels)).astype(np.int64)]
        return draw_images(self._backend, z, labels, training)


class Judge:
    """Features and class probabilities of images, by a data set's classifier.

    Three stacked digits are judged one by one, by the classifier of single digits.

    Args:
        backend: of the twin that computes.
        config: names the data set.
        data: with labels.
        data_dir: where the classifier is cached.
    """

    def __init__(
        self, backend: Backend, config: TrainConfig, data: ImageData, data_dir: Path
    ) -> None:
        name = config.dataset
        self._stacked = name == datasets.STACKED
        if self._stacked:
            name = "mnist"
            data = datasets.load(name, config.image_size, data_dir)
        self._classifier: Classifier = backend.classifier(data.info, config.image_size)
        accuracy = classifier.prepare(self._classifier, data, data_dir)
        self.description = (
            f"{classifier.FEATURES} of the layer before the last of a classifier of"
            f" {name} (version {classifier.VERSION}, right on {accuracy:.1%} of the"
            " held-out tenth)" + (", for each channel" if self._stacked else "")
        )

    def __call__(self, pixels: NDArray[np.uint8]) -> Judged:
        """Judge images of shape [count, height, width, channels]."""
        if not self._stacked:
            return self._judge(pixels)
        parts = [self._judge(pixels[..., [channel]]) for channel in range(3)]
        p = [part.probabilities for part in parts]
        # The class of a stack is its three digits, as in shared.image_sources.
        joint = np.einsum("ni,nj,nk->nijk", *p).reshape(len(pixels), -1)
        return Judged(np.concatenate([x.features for x in parts], axis=1), joint)

    def _judge(self, pixels: NDArray[np.uint8]) -> Judged:
        features, logits = classifier.predict(self._classifier, pixels)
        return Judged(features, softmax(logits, axis=1))


def _to_json(score: Score) -> dict[str, Any]:
    mean, interval = metrics.mean_interval(score.values)
    return {
        "value": mean,
        "interval_95": interval,
        "draws": score.values,
        "protocol": score.protocol,
    }


def _table(
    stored: checkpoint.Checkpoint,
    protocol: dict[str, str | int],
    scores: dict[str, Score],
) -> str:
    lines = [f"{stored.config.preset}, step {stored.step}"]
    lines += [f"{name:<11}{value}" for name, value in protocol.items()]
    lines.append("")
    for score in scores.values():
        mean, interval = metrics.mean_interval(score.values)
        shown = f"{mean:.{score.decimals}f}"
        if interval is not None:
            shown += f" ± {interval:.{score.decimals}f}"
        lines.append(f"{score.title:<24}{shown:<22}{score.protocol}")
    return "\n".join(lines) + "\n"
