"""Evaluation: scores mean what they say, are repeatable, and change no training."""

import functools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import Twin
from shared import checkpoint, classifier, datasets, evaluation, image_sources
from shared.backend import ImageData
from shared.config import TrainConfig
from shared.errors import UsageError
from shared.run_dir import RunDir

SMALL = ("--image-size", "8", "--width", "4", "--batch-size", "16", "--z-dim", "8")
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def train(twin: Twin, run: Path, data_dir: Path, *flags: object) -> Path:
    where = ["--resume", run] if run.exists() else ["--run-dir", run, *SMALL]
    flags = ("--data-dir", data_dir, "--save-every", 100, *flags)
    twin.main("train")(list(map(str, [*where, *flags])))
    return run


def scores(run: Path) -> list[dict[str, Any]]:
    return list(map(json.loads, (run / "scores.jsonl").read_text().splitlines()))


def test_evaluate_states_each_score_with_its_protocol(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 3)
    command = [str(run), "--num", "64", "--draws", "2", "--data-dir", str(data_dir)]
    capsys.readouterr()
    twin.main("evaluate")(command)
    table = capsys.readouterr().out
    file = run / "evaluation-000003.json"
    report = json.loads(file.read_text())
    assert report["step"] == 3
    assert report["protocol"]["samples"] == 64
    assert "classifier of digits" in report["protocol"]["features"]
    assert {"fid", "kid", "coverage", "classes_hit", "batch_norm_gap"} < set(
        report["scores"]
    )
    for name, score in report["scores"].items():
        assert np.isfinite(score["value"]), name
        assert score["value"] == pytest.approx(np.mean(score["draws"])), name
        assert (score["interval_95"] is None) == (len(score["draws"]) == 1), name
        assert "64" in score["protocol"], name
        assert score["protocol"] in table
    assert (run / "nearest-000003.png").is_file()
    before = file.read_bytes()
    twin.main("evaluate")(command)
    assert file.read_bytes() == before
    twin.main("evaluate")([*command, "--seed", "1", "--out", str(tmp_path / "other")])
    other = (tmp_path / "other" / file.name).read_bytes()
    assert json.loads(other)["scores"]["fid"] != report["scores"]["fid"]


def test_evaluating_changes_no_number_of_the_training(
    twin: Twin, tmp_path: Path, data_dir: Path
) -> None:
    plain = train(twin, tmp_path / "plain", data_dir, "--steps", 6)
    every = ("--evaluate-every", 2)
    scored = train(twin, tmp_path / "scored", data_dir, "--steps", 6, *every)
    name = "checkpoints/000006.safetensors"
    first, second = (checkpoint.load(run / name).arrays for run in (plain, scored))
    assert first.keys() == second.keys()
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)
    records = scores(scored)
    assert [record["step"] for record in records] == [2, 4, 6]
    best = json.loads((scored / "best.json").read_text())
    assert best == min(records, key=lambda record: record["fid"])
    assert RunDir(scored).checkpoint_steps() == [2, 4, 6]
    # In two parts, of which the second begins between two evaluations.
    parts = train(twin, tmp_path / "parts", data_dir, "--steps", 3, *every)
    assert scores(train(twin, parts, data_dir, "--steps", 6)) == records


def test_taking_a_run_back_takes_back_scores_and_the_best(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for step, fid in ((10, 3.0), (20, 2.0), (30, 1.0)):
        run.append_scores({"step": step, "fid": fid})
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 30
    run.truncate_after(25)
    assert [record["step"] for record in run.read_scores()] == [10, 20]
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 20
    run.truncate_after(0)
    assert not (tmp_path / "best.json").exists()


@pytest.mark.parametrize(
    ("dataset", "size", "rule"),
    [("ring", 1, "images, not points"), ("folder:photos", 8, "needs labels")],
)
def test_data_that_cannot_be_scored_are_refused(
    dataset: str, size: int, rule: str
) -> None:
    config = SimpleNamespace(dataset=dataset, image_size=size)
    info = SimpleNamespace(num_classes=0, count=100)
    with pytest.raises(UsageError, match=rule) as caught:
        evaluation.check_data(config, info)  # type: ignore
    assert str(caught.value).startswith(f"--dataset {dataset}: ")


def test_a_run_of_other_images_is_refused(
    twin: Twin,
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 1)
    data = datasets.load("digits", 8, data_dir)
    other = data._replace(info=data.info._replace(sha256="other"))
    monkeypatch.setattr(datasets, "load", lambda *_: other)
    with pytest.raises(SystemExit, match="2"):
        twin.main("evaluate")([str(run), "--data-dir", str(data_dir)])
    assert "trained on other images" in capsys.readouterr().err


class Copier:
    """A backend whose generator hands out given images, the classifier being real."""

    def __init__(self, twin: Twin, pictures: Pixels) -> None:
        self.pictures = pictures
        config = TrainConfig(image_size=8, width=4)
        self.classifier = functools.partial(_classifier, twin, config)

    def sample(self, z: NDArray, labels: Any, training: bool = False) -> NDArray:
        # Latents that differ give other images, and the same always the same.
        chosen = (np.abs(z[:, 0]) * 1e4).astype(int) % len(self.pictures)
        return self.pictures[chosen].astype(np.float32) / 127.5 - 1


def _classifier(twin: Twin, config: TrainConfig, info: Any, size: int) -> Any:
    make = __import__(f"gans_{twin.name}.train", fromlist=["train"]).make_backend
    return make(config, info, "cpu").classifier(info, size)


def evaluator(
    twin: Twin, pictures: Pixels, data: ImageData, folder: Path
) -> evaluation.Evaluator:
    config = TrainConfig(image_size=8, width=4)
    backend: Any = Copier(twin, pictures)
    return evaluation.Evaluator(backend, config, data, folder)


def test_copies_of_the_data_score_best_and_are_found_out(
    twin: Twin, data_dir: Path
) -> None:
    data = datasets.load("digits", 8, data_dir)
    judge = evaluator(twin, classifier.pixels(data), data, data_dir)
    found = {k: v.values[0] for k, v in judge.scores(1797, draws=1, seed=0).items()}
    assert found["fid"] < 1
    assert abs(found["kid"]) < 0.1
    assert found["inception_score"] > 9
    assert found["precision"] == 1
    assert found["density"] > 0.95
    # Drawn with repetition: some 63% of the images, and neighbours of the others.
    assert min(found["recall"], found["coverage"]) > 0.9
    assert found["classes_hit"] == 10
    assert found["class_kl"] < 0.02
    nearest, picture = judge.nearest(seed=0)
    assert nearest["nearest_distance"].values == [0]
    assert nearest["nearest_distance_real"].values[0] > 10
    # Twelve samples above three rows, with a white line between.
    assert picture.shape == (12 + 2 + 32, 122, 1)
    np.testing.assert_array_equal(picture[2:10], picture[16:24])


def test_a_collapsed_generator_scores_worst(twin: Twin, data_dir: Path) -> None:
    data = datasets.load("digits", 8, data_dir)
    judge = evaluator(twin, classifier.pixels(data)[:1], data, data_dir)
    found = {k: v.values[0] for k, v in judge.scores(256, draws=1, seed=0).items()}
    assert found["fid"] > 10
    assert found["inception_score"] == pytest.approx(1, abs=1e-6)
    assert found["recall"] < 0.05
    assert found["coverage"] < 0.1
    assert found["classes_hit"] == 1
    assert found["class_kl"] == pytest.approx(np.log(10), abs=0.05)


def test_the_classifier_is_trained_once_and_again_when_damaged(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datasets.load("digits", 8, tmp_path)
    config = TrainConfig(image_size=8, width=4)
    trained = []
    train_once = functools.partial(classifier.train, steps=200)

    def note(*arguments: Any) -> float:
        trained.append(1)
        return train_once(*arguments)

    monkeypatch.setattr(classifier, "train", note)
    one, other = (_classifier(twin, config, data.info, 8) for _ in range(2))
    accuracy = classifier.prepare(one, data, tmp_path)
    assert accuracy > 0.9
    assert classifier.prepare(other, data, tmp_path) == accuracy
    assert len(trained) == 1
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])
    (path,) = (tmp_path / "cache").glob("classifier-*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    classifier.prepare(other, data, tmp_path)
    assert len(trained) == 2


def test_stacked_digits_spell_their_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = datasets.load("digits", 8, tmp_path)
    assert digits.labels is not None
    fetched = digits.images[:100, :, :, 0], digits.labels[:100], digits.class_names
    monkeypatch.setattr(image_sources, "_fetch", lambda *_: fetched)
    data = datasets.load("stacked-mnist", 8, tmp_path)
    assert data.images.shape == (100, 8, 8, 3)
    assert data.labels is not None
    by_content = {x.tobytes(): int(y) for x, y in zip(*fetched[:2], strict=True)}
    for image, label in zip(data.images, data.labels, strict=True):
        spelled = [by_content[image[:, :, channel].tobytes()] for channel in range(3)]
        assert data.class_names[label] == "".join(map(str, spelled))
    # Each digit once in each channel.
    for channel in range(3):
        assert {x.tobytes() for x in data.images[..., channel]} == set(by_content)


def test_stacks_are_judged_digit_by_digit(
    twin: Twin, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = datasets.load("digits", 8, data_dir)
    assert digits.labels is not None
    monkeypatch.setattr(datasets, "load", lambda *_: digits)
    config = TrainConfig(dataset="stacked-mnist", image_size=8, width=4)
    backend: Any = Copier(twin, classifier.pixels(digits))
    judge = evaluation.Judge(backend, config, digits, data_dir)
    thirds = np.arange(300).reshape(3, 100)
    stacks = np.concatenate(
        [classifier.pixels(digits)[third] for third in thirds], axis=3
    )
    judged = judge(stacks)
    assert judged.features.shape == (100, 3 * classifier.FEATURES)
    assert judged.probabilities.shape == (100, 1000)
    np.testing.assert_allclose(judged.probabilities.sum(axis=1), 1, rtol=1e-5)
    spelled = digits.labels[thirds].T @ [100, 10, 1]
    assert np.mean(judged.probabilities.argmax(axis=1) == spelled) > 0.9


def test_compare_shows_what_differs_and_draws_curves(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ("--steps", 2, "--log-every", 1, "--evaluate-every", 1)
    first = train(twin, tmp_path / "first", data_dir, *every)
    second = train(twin, tmp_path / "second", data_dir, *every, "--seed", 7)
    twin.main("evaluate")(
        [str(second), "--num", "32", "--draws", "1", "--data-dir", str(data_dir)]
    )
    capsys.readouterr()
    out = tmp_path / "curves.png"
    twin.main("compare")([str(first), str(second), "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
    assert lines[0].split() == ["first", "second"]
    assert rows["seed"] == ["0", "7"]
    assert "width" not in rows
    assert rows["step"] == ["2", "2"]
    report = json.loads((second / "evaluation-000002.json").read_text())
    assert rows["fid"] == ["-", f"{report['scores']['fid']['value']:.4g}"]
    assert out.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="2"):
        twin.main("compare")([str(tmp_path / "none")])
    assert "no such folder" in capsys.readouterr().err
