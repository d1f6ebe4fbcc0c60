"""Scores from Python: those of the command, and of any images."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from shared.config import choices
from shared.data import datasets, points
from shared.data.arrays import from_arrays
from shared.data.image_data import ImageData
from shared.errors import UsageError
from shared.evaluation import classifier
from support import Twin, stopped


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageData:
    return datasets.load("digits", 16, data_dir)


def test_a_run_is_scored_as_by_the_command(
    twin: Twin,
    finished: Path,
    digits: ImageData,
    data_dir: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    classifier = {"device": "cpu", "data_dir": data_dir}  # trained once
    found = twin.library.evaluate(
        finished, digits, num=np.int64(20), draws=2, seed=1, step=3, **classifier
    )
    assert capfd.readouterr() == ("", "")
    assert not list(finished.glob("evaluation-*"))
    words = [finished, "--num", 20, "--draws", 2, "--seed", 1, "--step", 3]
    words += ["--device", "cpu", "--data-dir", data_dir, "--out", tmp_path]
    twin.main("evaluate")(list(map(str, words)))
    stored = json.loads((tmp_path / "evaluation-000003.json").read_text())
    assert found.scores == stored["scores"]
    assert found.protocol == stored["protocol"]
    assert found.values["fid"] == stored["scores"]["fid"]["value"]
    assert found.nearest is not None


def test_images_from_anywhere_are_scored(twin: Twin, digits: ImageData) -> None:
    options: dict[str, Any] = {"features": "none", "device": "cpu"}
    copies = twin.library.evaluate(np.array(digits.images[:64]), digits, **options)
    assert copies.values["nearest_distance"] == 0
    assert copies.protocol["samples"] == 64
    assert "seed" not in copies.protocol
    for given in (twin.array(digits.images[:64]), list(digits.images[:64])):
        again = twin.library.evaluate(given, digits, **options)
        assert again.values == copies.values
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 16, 16, 1), np.uint8)
    found = twin.library.evaluate(noise, digits, **options)
    assert found.values["nearest_distance"] > 50


def test_samples_are_compared_with_other_images_than_the_classifier_learns(
    twin: Twin, digits: ImageData, data_dir: Path
) -> None:
    pixels, labels = np.array(digits.images), np.array(digits.labels)
    options: dict[str, Any] = {"device": "cpu", "data_dir": data_dir}
    other = from_arrays(pixels[:300, :, ::-1].copy(), labels[:300])
    plain, found = (
        twin.library.evaluate(np.array(other.images), digits, against=x, **options)
        for x in (None, other)
    )
    assert found.values["fid"] == pytest.approx(0, abs=1e-6)
    assert found.values["coverage"] == 1
    assert plain.values["fid"] > 0.1
    # Both are judged by the classifier of the digits, in which copies are looked for.
    assert found.protocol["features"] == plain.protocol["features"]
    assert found.values["nearest_distance"] == plain.values["nearest_distance"]
    assert plain.protocol["reference"] == "as given"
    assert found.protocol["reference"] == "300 images, as given"
    assert "300 reference images" in found.scores["fid"]["protocol"]
    assert "180 real images, held out" in found.sanity


def test_the_judge_is_kept_where_it_is_asked_for(
    twin: Twin, digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(judge: Any, *_: Any) -> float:
        judge.load(classifier.initial_weights(judge.statements()))
        return 0.5

    monkeypatch.setattr(classifier, "train", begin)
    given = np.array(digits.images[:16])
    twin.library.evaluate(given, digits, device="cpu", data_dir=tmp_path)
    assert list((tmp_path / "cache").glob("classifier-*"))


def test_a_run_is_compared_with_the_test_split(
    twin: Twin,
    finished: Path,
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate = twin.main("evaluate")
    words = [str(finished), "--data-dir", str(data_dir), "--out", str(tmp_path)]
    words += ["--device", "cpu", "--num", "20", "--draws", "1", "--split", "test"]
    stopped(2, lambda: evaluate(words))
    refusal = capsys.readouterr().err
    assert "--split test: of mnist, fashion-mnist, cifar10, stacked-mnist" in refusal
    # As if the digits' test split were the digits.
    monkeypatch.setattr(choices, "TESTED", ("digits",))
    stopped(2, lambda: evaluate([*words, "--features", "none"]))
    assert "--split test: needs features" in capsys.readouterr().err
    evaluate(words)
    stored = json.loads((tmp_path / "evaluation-000006-test.json").read_text())
    assert stored["protocol"]["reference"] == "test split"
    assert "1797 reference images" in stored["scores"]["fid"]["protocol"]
    assert "test split" in capsys.readouterr().out


def test_images_of_a_size_that_one_architecture_has_are_scored(twin: Twin) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 28, 28, 3), np.uint8)
    reference = from_arrays(pixels)
    found = twin.library.evaluate(pixels, reference, features="none", device="cpu")
    assert found.values["nearest_distance"] == 0


def test_what_does_not_fit_is_refused(
    twin: Twin, finished: Path, digits: ImageData, tmp_path: Path
) -> None:
    pictures = np.array(digits.images[:20])
    other = digits._replace(info=digits.info._replace(sha256="0" * 64))
    without = digits._replace(
        labels=None, info=digits.info._replace(num_classes=0), class_names=()
    )
    run: Any = shutil.copytree(finished, tmp_path / "run")
    unnamed = from_arrays(pictures)
    few = pictures[:15]
    small = pictures[:, :8, :8].copy()
    ring = points.load("ring")._replace(name="ring")
    floats = digits._replace(images=digits.images.astype(np.float32))
    for samples, reference, options, message in (
        (run, other, {}, "^reference: must be the images that the run was trained on"),
        (run, digits, {"num": 15}, "^num 15: must be 16 or more"),
        (run, digits, {"draws": 0}, "^draws 0: must be 1 or more"),
        (run, digits, {"seed": -1}, "^seed -1: must be 0 or more"),
        (run, digits, {"seed": 2**63}, "^seed 9.*808: must be 0 or more, below 2"),
        (run, digits, {"device": "nonsense"}, "^device nonsense: no such device"),
        (run, digits, {"step": 5}, "^step 5: .* has no such checkpoint"),
        (pictures, without, {}, "^dataset digits: .* use features none or inception"),
        (pictures, unnamed, {}, "; give from_arrays the labels, or use features none"),
        (pictures, digits, {"features": "bogus"}, "^features 'bogus': must be one of"),
        (pictures, without, {"features": "bogus"}, "^features 'bogus': must be one"),
        ("nowhere", digits, {}, "^samples nowhere: no such folder"),
        (3, digits, {}, "^samples 3: must be a path, what fit has returned, an array"),
        (
            pictures.tolist(),
            digits,
            {},
            "^samples of type int64 and shape .20, 16, 16,",
        ),
        ([[1], [1, 2]], digits, {}, "^samples: cannot be made an array: setting an"),
        (np.ma.masked_less(pictures, 9), digits, {}, "^samples: must have no masked"),
        (pictures, pictures, {}, "^reference of type ndarray: must be ImageData"),
        (pictures, digits, {"against": 3}, "^against 3: must be None or ImageData"),
        (run, digits, {"step": "last"}, "^step 'last': must be None, a whole number"),
        (pictures, digits, {"num": 18}, "^num 18: is for a run; images are scored"),
        (pictures, digits, {"step": 3}, "^step 3: images have none"),
        (pictures, digits, {"device": "nonsense"}, "^device nonsense: no such device"),
        (pictures, digits, {"standing_stats": 3}, "^standing_stats 3: images have no"),
        (run, digits, {"standing_stats": 0}, "^standing_stats 0: must be 1 or more"),
        (pictures[:15], digits, {}, "must be uint8 .16 or more, 16, 16, 1."),
        (pictures[:, :8], digits, {}, "shape .20, 8, 16, 1.: must be uint8"),
        (pictures / 255, digits, {}, "^samples of type float64"),
        (
            pictures,
            digits,
            {"against": digits, "features": "none"},
            "^against: needs features",
        ),
        (run, digits, {"against": from_arrays(small)}, "^against: images of shape"),
        (
            run,
            digits,
            {"against": floats},
            "must be uint8",
        ),
        (run, digits, {"against": from_arrays(few)}, "^against: 15 images: must be"),
        (pictures, ring, {}, "^reference: of points in the plane only a run"),
        (pictures, ring, {"against": digits}, "^against: needs features"),
    ):
        with pytest.raises((UsageError, TypeCheckError), match=message):
            twin.library.evaluate(samples, reference, **{"device": "cpu", **options})
