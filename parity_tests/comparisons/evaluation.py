"""The classifier behind the scores, and both twins' scores of one checkpoint."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch

import gans_jax.arrays
import gans_jax.classifier
import gans_torch.classifier
from parity_tests.certificate.registry import Finding, Worst, check
from parity_tests.harness.trajectories import (
    make_data,
    make_pair,
    run_singly,
    shrink,
)
from shared.config.presets import PRESETS
from shared.evaluation import classifier
from shared.evaluation.evaluators import make_evaluator
from shared.files.arrays import Arrays
from shared.sizes import ImageSize, text

_COVERS = ("classifier.Classifier", "classifier.ClassifierNetwork")
_SIZE = 16
_STEPS = 20

Twins = tuple[gans_torch.classifier.Classifier, gans_jax.classifier.Classifier]


def _twins(channels: int, dtype: str, size: ImageSize = _SIZE) -> Twins:
    """Both twins' classifiers with the same initial weights."""
    options = (channels, 10, size)
    twins = (
        gans_torch.classifier.Classifier(*options, torch.device("cpu"), dtype),
        gans_jax.classifier.Classifier(*options, jax.devices("cpu")[0], dtype),
    )
    assert twins[0].shapes() == twins[1].shapes(), "the twins' weights differ"
    for one in twins:
        one.load(classifier.initial_weights(one.statements()))
    return twins


@check("evaluation/classifier", "network", _COVERS)
def _compare_classifiers() -> list[Finding]:
    """Loss, gradients, features and logits, for grey and for colour images.

    And for images that double from 7 pixels, or from 4x5, not from 4.
    """
    worst = Worst()
    cases: tuple[tuple[int, ImageSize], ...]
    cases = ((1, _SIZE), (3, _SIZE), (1, 14), (1, (8, 10)))
    for channels, size in cases:
        case = f"{channels} channels, {text(size)} pixels"
        data = make_data(size, channels)
        assert data.labels is not None, "the data must have labels"
        images, labels = data.pixels[:32], data.labels[:32]
        first, second = _twins(channels, "float32", size)
        outputs = zip(first.predict(images), second.predict(images), strict=True)
        for aspect, pair in zip(("features", "logits"), outputs, strict=True):
            worst.compare(aspect, *pair, "network, float32", case)
        first, second = _twins(channels, "float64", size)
        loss, other = (one.train(images, labels, lr=1e-3) for one in (first, second))
        worst.compare("value", loss, other, "network, float64", case)
        gradients = _torch_gradients(first), _jax_gradients(second)
        assert gradients[0].keys() == gradients[1].keys(), "the parameters differ"
        for name, gradient in gradients[0].items():
            where = f"{case}, {name}"
            other = gradients[1][name]
            assert gradient.any(), f"{where}: the gradient is zero"
            worst.compare(
                "parameter gradient", gradient, other, "network, float64", where
            )
    return worst.findings()


@check("evaluation/classifier's training", "trajectory", _COVERS)
def _compare_trainings() -> list[Finding]:
    """All weights after some steps of Adam in float64, by the shared driver."""
    worst = Worst()
    twins = _twins(1, "float64")
    for one in twins:
        classifier.train(one, make_data(_SIZE), _STEPS)
    arrays, others = (one.arrays() for one in twins)
    untrained = classifier.initial_weights(twins[0].statements())
    for name, array in arrays.items():
        assert not np.array_equal(array, untrained[name]), f"{name}: was not trained"
        case = f"{name} after {_STEPS} steps"
        worst.compare("state", array, others[name], "trajectory, float64", case, 1.0)
    return worst.findings()


@check("evaluation/scores", "network", ("backend.Backend",))
def _compare_scores() -> list[Finding]:
    """Every score of one checkpoint, with the classifier that one twin trained."""
    config = shrink(PRESETS["dcgan"], precision="float32", image_size=_SIZE)
    pair = make_pair(config)
    pair.torch.start()
    pair.jax.restore(run_singly(pair.torch, 4), 4)
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cache").mkdir()
        for session in pair:
            evaluator = make_evaluator(
                session.backend, config, make_data(_SIZE), Path(folder)
            )
            found = evaluator.scores(num=48, draws=2, seed=3)
            scores.append(found | evaluator.further(num=48, seed=3)[0])
    assert scores[0].keys() == scores[1].keys(), "the scores differ in name"
    worst = Worst()
    for name, score in scores[0].items():
        other = scores[1][name].values
        worst.compare("value", score.values, other, "scores", name)
    return worst.findings()


def _torch_gradients(one: gans_torch.classifier.Classifier) -> Arrays:
    """Those of the last step."""
    return {
        f"classifier.{name}": np.asarray(parameter.grad)
        for name, parameter in one._network.named_parameters()
    }


def _jax_gradients(one: gans_jax.classifier.Classifier) -> Arrays:
    """Those of the first step, from Adam's first average: (1 - 0.9) times them."""
    moments: Any = one._moments
    averages = replace(one._network, params=moments.mu)
    arrays = gans_jax.arrays.network_to_arrays(averages, "classifier")
    return {name: array / (1 - 0.9) for name, array in arrays.items()}
