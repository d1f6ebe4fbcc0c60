"""Evaluation: scores mean what they say, are repeatable, and change no training."""

import base64
import functools
import hashlib
import json
import re
import sys
import tracemalloc
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.commands import command_line, evaluate
from shared.config import choices
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data import datasets, image_sources, points
from shared.data.arrays import from_arrays
from shared.data.image_data import DataInfo, ImageData
from shared.data.reading import Reading
from shared.drawing import images
from shared.errors import UsageError
from shared.evaluation import classifier, evaluation, features
from shared.evaluation.image_evaluator import ImageEvaluator
from shared.evaluation.pixel_evaluator import PixelEvaluator
from shared.evaluation.point_evaluator import PointEvaluator
from shared.evaluation.samples import GivenSamples
from shared.evaluation.score import Evaluator, Score
from shared.files import locks
from shared.library import evaluating
from shared.randomness import noise
from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import Twin, stopped

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


def make_pictures(folder: Path, count: int) -> None:
    """Of 8x8 pixels, each of the grey of its number."""
    folder.mkdir()
    for number in range(count):
        picture = np.full((8, 8, 1), number, np.uint8)
        images.save_png(folder / f"{number:02d}.png", picture)


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
    assert report["checkpoint"] == "000003.safetensors"  # wherever the run is
    assert report["protocol"]["samples"] == 64
    assert "over the draws" in report["protocol"]["interval"]
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


def test_scores_that_cannot_be_written_are_shown(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 3)
    (run / "evaluation-000003-none.json").mkdir()
    words = ["--features", "none", "--num", "16", "--data-dir", str(data_dir)]
    stopped(2, lambda: twin.main("evaluate")([str(run), *words]))
    table, told = capsys.readouterr()
    assert "evaluation-000003-none.json: cannot be written" in told
    assert "distance to data" in table


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
    protocol = records[0]["protocol"]
    assert (protocol["samples"], protocol["draws"], protocol["seed"]) == (1797, 1, 0)
    assert "classifier of digits" in protocol["features"]
    assert "interval" not in protocol
    page = (scored / "report.html").read_text()
    assert "Scores while training: dataset: digits; reference: training" in page
    best = json.loads((scored / "best.json").read_text())
    assert best == min(records, key=lambda record: record["fid"])
    assert RunDir(scored).checkpoint_steps() == [2, 4, 6]
    # In two parts, of which the second begins between two evaluations.
    parts = train(twin, tmp_path / "parts", data_dir, "--steps", 3, *every)
    assert scores(train(twin, parts, data_dir, "--steps", 6)) == records


def test_a_run_that_ends_before_its_first_score_says_so(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ("--evaluate-every", 5, "--steps", 3)
    run = train(twin, tmp_path / "run", data_dir, *every)
    told = "--evaluate-every 5: nothing is scored, step 3 is the last"
    assert told in capsys.readouterr().err.splitlines()
    assert not (run / "scores.jsonl").exists()


def test_the_best_checkpoint_can_be_chosen(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ("--evaluate-every", 2, "--steps", 4)
    run = train(twin, tmp_path / "run", data_dir, *every)
    # The first is the best.
    lines = [json.dumps({"step": step, "fid": step}) for step in (2, 4)]
    (run / "scores.jsonl").write_text("\n".join(lines))
    place = ["--data-dir", str(data_dir), "--num", "16", "--draws", "1"]
    twin.main("evaluate")([str(run), "--step", "best", *place])
    assert [path.name for path in run.glob("evaluation-*")] == [
        "evaluation-000002.json"
    ]
    for step in ("best", "2"):
        out = str(tmp_path / f"{step}.png")
        twin.main("sample")([str(run), "--step", step, "--out", out])
    best, second = ((tmp_path / f"{step}.png").read_bytes() for step in ("best", "2"))
    assert best == second
    (run / "scores.jsonl").unlink()
    capsys.readouterr()
    for command in ("sample", "evaluate"):
        with pytest.raises(SystemExit, match="2"):
            twin.main(command)([str(run), "--step", "best"])
        error = capsys.readouterr().err
        assert error.endswith(
            f"--step best: {run} has no scores; it has not come to --evaluate-every 2\n"
        )


def test_evaluating_shows_in_the_report(
    twin: Twin, tmp_path: Path, data_dir: Path
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 2, "--device", "cpu")
    page = run / "report.html"
    before = page.read_text()
    command = [str(run), "--num", "16", "--draws", "1", "--data-dir", str(data_dir)]
    twin.main("evaluate")([*command, "--out", str(tmp_path / "elsewhere")])
    assert page.read_text() == before
    assert "Scores after step" not in before
    twin.main("evaluate")(command)
    after = page.read_text()
    nearest = base64.b64encode((run / "nearest-000002.png").read_bytes()).decode()
    assert "Scores after step 2" in after
    assert f'src="data:image/png;base64,{nearest}"' in after
    # All else but the tile of the score is as it was, such as how to go on.
    lines = set(after.splitlines())
    gone = "".join(x for x in before.splitlines() if x not in lines)
    for words in ("none yet", f"python -m gans_{twin.name}.evaluate RUN", "Score"):
        gone = gone.replace(words, "")
    assert re.sub(r"<[^>]*>", "", gone) == ""
    place = f"--data-dir PATH/{data_dir.name}"
    assert f"gans_{twin.name}.train --resume RUN {place}" in before
    # Another evaluation has pictures of its own; where it is written is the same.
    twin.main("evaluate")(
        [*command, "--features", "none", "--seed", "1", "--out", str(run)]
    )
    both = page.read_text()
    assert both.count("Scores after step 2") == 2
    for name in ("nearest-000002.png", "nearest-000002-none.png"):
        picture = base64.b64encode((run / name).read_bytes()).decode()
        assert both.count(f'src="data:image/png;base64,{picture}"') == 1
    page.unlink()
    twin.main("evaluate")(command)
    assert not page.exists()


# Within three deviations of a centre: 1 - exp(-9/2); of a line: 1 - 0.0027.
@pytest.mark.parametrize(
    ("name", "modes", "quality"), [("ring", 8, 0.989), ("swiss-roll", None, 0.997)]
)
def test_points_are_scored_by_the_formula_of_their_distribution(
    name: str, modes: int | None, quality: float
) -> None:
    config = PRESETS[name]
    data = points.load(name)

    class Real:
        """Hands out real points, those of a ring from three of its modes."""

        labels = np.arange(points.COUNT) % 8
        chosen = data.images[np.isin(labels, (0, 1, 2))] if modes else data.images

        def sample(self, z: NDArray, labels: Any, training: bool = False) -> NDArray:
            return self.chosen[: len(z)]

    backend: Any = Real()
    evaluator = evaluate.make_evaluator(backend, config, data, Path())
    found = evaluator.scores(evaluator.usual_num, draws=2, seed=0)
    assert evaluator.usual_num == 2500
    assert found["high_quality"].values == pytest.approx([quality] * 2, abs=0.004)
    if modes:
        assert found["modes"].values == [3, 3]
        assert found["coverage"].values == pytest.approx([3 / 8] * 2, abs=0.03)
    else:
        assert "modes" not in found
        assert found["coverage"].values == [1, 1]
    assert evaluator.further(100, seed=0) == ({}, None)


def test_a_run_of_points_is_scored_and_its_best_kept(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = "ring --width 8 --batch-size 16 --g-norm batch --device cpu --steps 6"
    twin.main("train")([*flags.split(), "--evaluate-every", "2", "--run-dir", str(run)])
    records = scores(run)
    assert [record["step"] for record in records] == [2, 4, 6]
    names = {"step", "modes", "high_quality", "coverage", "protocol"}
    assert records[0].keys() == names
    best = json.loads((run / "best.json").read_text())
    assert best == max(records, key=lambda record: record["coverage"])
    capsys.readouterr()
    twin.main("evaluate")([str(run), "--step", "best", "--draws", "3"])
    table = capsys.readouterr().out
    report = json.loads((run / f"evaluation-{best['step']:06d}.json").read_text())
    assert report["protocol"]["samples"] == 2500
    for name, score in report["scores"].items():
        assert (score["interval_95"] is None) == name.endswith("training_mode")
        assert score["protocol"] in table
    assert len(report["scores"]["modes"]["draws"]) == 3
    assert report["scores"]["high_quality"]["draws"][0] == best["high_quality"]
    assert not list(run.glob("nearest-*"))
    assert f"Scores after step {best['step']}" in (run / "report.html").read_text()


class Stub:
    """Stands for Inception v3: three features, of which two are the mean colour."""

    def predict(self, images: NDArray) -> tuple[NDArray, NDArray]:
        assert images.shape[3] == 3
        assert len(images) <= 64
        mean = images.astype(np.float32).mean(axis=(1, 2))
        features = np.stack([mean[:, 0], mean[:, 2], mean.std(axis=1)], axis=1)
        return features, np.eye(1008, dtype=np.float32)[:1].repeat(len(images), axis=0)


def test_inception_needs_no_labels_and_is_used_as_it_is(
    twin: Twin, data_dir: Path
) -> None:
    data = datasets.load("digits", 8, data_dir)._replace(labels=None)
    data = data._replace(info=data.info._replace(num_classes=0))
    pictures = data.pixels
    backend: Any = Copier(twin, pictures // 2)
    backend.inception = Stub
    config = TrainConfig(image_size=8, width=4)
    evaluator = evaluate.make_evaluator(backend, config, data, Path(), "inception")
    assert evaluator.usual_num == 10_000
    found = {k: v.values[0] for k, v in evaluator.scores(1797, 1, 0).items()}
    assert "classes_hit" not in found
    assert found["inception_score"] == pytest.approx(1)
    # Unscaled: the two means differ by half the mean grey level, which is 78.
    means = pictures.mean(axis=(1, 2, 3))
    expected = 2 * (means.mean() / 2) ** 2 + 2 * (means.std() / 2) ** 2
    assert found["fid"] == pytest.approx(expected, rel=0.05)
    assert "Inception v3" in str(evaluator.protocol(1797, 1, 0)["features"])


def test_where_inception_cannot_be_had_one_line_says_what_to_do(
    twin: Twin,
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 1)

    def refusal() -> str:
        capsys.readouterr()
        place = ["--data-dir", str(data_dir), "--device", "cpu"]
        with pytest.raises(SystemExit, match="2"):
            twin.main("evaluate")([str(run), "--features", "inception", *place])
        (line,) = capsys.readouterr().err.splitlines()
        prefix = f"gans_{twin.name}.evaluate: error: --features inception: "
        assert line.startswith(prefix)
        return line.removeprefix(prefix)

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no route\nto host")

    if twin.name == "jax":
        assert "gans_torch.evaluate takes the same runs and images" in refusal()
        return
    library = types.ModuleType("torch_fidelity")
    monkeypatch.setitem(sys.modules, "torch_fidelity", library)
    assert "pip install torch-fidelity" in refusal()
    library.feature_extractor_inceptionv3 = SimpleNamespace(  # type: ignore
        FeatureExtractorInceptionV3=unreachable, URL_INCEPTION_V3="https://x/y.pth"
    )
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    found = refusal()
    place = tmp_path / "hub" / "checkpoints"
    assert found == (
        "the network's weights cannot be fetched (no route to host); put"
        f" https://x/y.pth into {place}"
    )
    (place / "y.pth").write_bytes(b"other weights")
    assert f"{place / 'y.pth'} is not the published file: its SHA-256" in refusal()


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (self.path.write_text, ("!",))


@pytest.mark.needs("torch")
def test_replaced_weights_run_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from gans_torch import _inception

    class Network(torch.nn.Module):
        def __init__(self, *_: Any, feature_extractor_weights_path: Any) -> None:
            super().__init__()
            # As torch-fidelity 0.4 does.
            torch.load(feature_extractor_weights_path, weights_only=False)

    executed, place = tmp_path / "executed", tmp_path / "hub" / "checkpoints" / "y.pth"
    place.parent.mkdir(parents=True)
    torch.save(Trap(executed), place)
    library = types.ModuleType("torch_fidelity")
    library.feature_extractor_inceptionv3 = SimpleNamespace(  # type: ignore
        FeatureExtractorInceptionV3=Network, URL_INCEPTION_V3="https://x/y.pth"
    )
    monkeypatch.setitem(sys.modules, "torch_fidelity", library)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(UsageError, match="is not the published file"):
        _inception.Inception(torch.device("cpu"))
    assert not executed.exists()
    # It is the digest that keeps it out.
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    monkeypatch.setattr(_inception, "_SHA256", digest)
    _inception.Inception(torch.device("cpu"))
    assert executed.exists()


@pytest.mark.needs("torch")
def test_inception_sees_bytes_with_channels_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from gans_torch import _inception

    switches: Any = torch.backends.cuda

    class Network(torch.nn.Module):
        def __init__(
            self, name: str, features: list[str], feature_extractor_weights_path: Any
        ) -> None:
            super().__init__()
            assert features == ["2048", "logits_unbiased"]
            assert feature_extractor_weights_path.read() == b"weights"

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            assert x.dtype == torch.uint8
            assert switches.matmul.fp32_precision == "ieee"
            return x.float().mean(dim=(2, 3)), x[:, :, 0, 1].float()

    library = types.ModuleType("torch_fidelity")
    library.feature_extractor_inceptionv3 = SimpleNamespace(  # type: ignore
        FeatureExtractorInceptionV3=Network, URL_INCEPTION_V3=""
    )
    monkeypatch.setitem(sys.modules, "torch_fidelity", library)
    monkeypatch.setattr(_inception, "_weights", lambda address: b"weights")
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    network = _inception.Inception(torch.device("cpu"))
    features, logits = network.predict(images)
    np.testing.assert_allclose(features, images.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(logits, images[:, 0, 1])


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
    ("dataset", "count", "features", "rule"),
    [
        ("ring", 100, "inception", "--features inception: not of --dataset ring"),
        ("ring", 100, "none", "--features none: not of --dataset ring"),
        ("folder:photos", 100, "classifier", "folder:photos: .* labels .* --features"),
        ("folder:photos", 100, None, "--evaluate-every 2: needs labels .* when it is"),
        ("folder:photos", 15, "inception", "--dataset folder:photos: .* needs 16"),
    ],
)
def test_data_that_cannot_be_scored_are_refused(
    dataset: str, count: int, features: Any, rule: str
) -> None:
    config: Any = SimpleNamespace(dataset=dataset, evaluate_every=2)
    info: Any = SimpleNamespace(num_classes=0, count=count)
    with pytest.raises(UsageError, match=rule):
        evaluate.check_features(config, info, features)


@pytest.mark.parametrize(
    ("dataset", "features"),
    [
        ("folder:x", "inception"),
        ("folder:x", "none"),
        ("swiss-roll", "classifier"),
        ("swiss-roll", None),
    ],
)
def test_unlabelled_images_and_points_can_be_scored(
    dataset: str, features: Any
) -> None:
    config: Any = SimpleNamespace(dataset=dataset)
    info: Any = SimpleNamespace(num_classes=0, count=100)
    evaluate.check_features(config, info, features)


def test_without_features_there_is_what_pixels_tell(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
    for number, picture in enumerate(pixels):
        images.save_png(tmp_path / "photos" / f"{number}.png", picture)
    flags = ("--dataset", f"folder:{tmp_path / 'photos'}", "--steps", 1)
    run = train(twin, tmp_path / "run", tmp_path, *flags)
    command = [str(run), "--data-dir", str(tmp_path), "--device", "cpu"]
    capsys.readouterr()
    twin.main("evaluate")([*command, "--features", "none"])
    assert "distance to data" in capsys.readouterr().out
    report = json.loads((run / "evaluation-000001-none.json").read_text())
    names = {"batch_norm_gap", "nearest_distance", "nearest_distance_real"}
    names |= {"nearest_distance_moved", "copies"}
    assert report["scores"].keys() == names
    assert report["scores"]["nearest_distance_real"]["value"] > 10
    assert report["protocol"]["features"] == "none"
    assert report["protocol"]["draws"] == 1
    assert (run / "nearest-000001-none.png").is_file()


def test_scores_while_training_are_of_as_many_samples_as_later() -> None:
    class Five:
        usual_num = 5

        def scores(self, num: int, draws: int, seed: int) -> dict[str, Score]:
            return {"drawn": Score("fid", [num + i for i in range(draws)], "")}

        def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
            return {"samples": num, "draws": draws, "seed": seed}

    protocol = {"samples": 5, "draws": 1, "seed": 0}
    five: Any = Five()
    assert Evaluator.record(five) == {"drawn": 5, "protocol": protocol}


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
    monkeypatch.setattr(datasets, "load_for", lambda *_, **__: other)
    with pytest.raises(SystemExit, match="2"):
        twin.main("evaluate")([str(run), "--data-dir", str(data_dir)])
    assert "trained on other images" in capsys.readouterr().err
    monkeypatch.undo()
    (tmp_path / "file").touch()
    arguments = [str(run), "--data-dir", str(data_dir), "--out", str(tmp_path / "file")]
    with pytest.raises(SystemExit, match="2"):
        twin.main("evaluate")(arguments)
    assert "file: cannot be used: File exists" in capsys.readouterr().err
    arguments[-1] = str(tmp_path / "new")
    with pytest.raises(SystemExit, match="2"):
        twin.main("evaluate")([*arguments, "--device", "nonsense"])
    assert "nonsense: no such device" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


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

    def sample_batches(
        self, batches: Sequence[Any], training: bool = False
    ) -> list[NDArray]:
        return [self.sample(z, labels, training) for z, labels in batches]


def _classifier(twin: Twin, config: TrainConfig, info: Any, size: int) -> Any:
    make = __import__(f"gans_{twin.name}.train", fromlist=["train"]).make_backend
    return make(config, info, "cpu").classifier(info, size)


def make_evaluator(
    twin: Twin, pictures: Pixels, data: ImageData, folder: Path
) -> Evaluator:
    config = TrainConfig(image_size=8, width=4)
    backend: Any = Copier(twin, pictures)
    return evaluate.make_evaluator(backend, config, data, folder)


def test_copies_of_the_data_score_best_and_are_found_out(
    twin: Twin, data_dir: Path
) -> None:
    data = datasets.load("digits", 8, data_dir)
    evaluator = make_evaluator(twin, data.pixels, data, data_dir)
    found = {k: v.values[0] for k, v in evaluator.scores(1797, draws=1, seed=0).items()}
    assert found["fid"] < 1
    assert abs(found["kid"]) < 0.1
    assert found["inception_score"] > 9
    assert found["precision"] == 1
    assert found["density"] > 0.95
    # Drawn with repetition: some 63% of the images, and neighbours of the others.
    assert min(found["recall"], found["coverage"]) > 0.9
    assert found["classes_hit"] == 10
    assert found["class_kl"] < 0.02
    further, picture = evaluator.further(64, seed=0)
    assert further["nearest_distance"].values == [0]
    assert further["nearest_distance_real"].values[0] > 10
    assert further["batch_norm_gap"].values == [0]
    # Twelve samples above three rows, with a white line between.
    assert picture is not None
    assert picture.shape == (12 + 2 + 32, 122, 1)
    np.testing.assert_array_equal(picture[2:10], picture[16:24])


def test_what_chance_makes_of_classes_is_told_where_it_is_small(
    twin: Twin, data_dir: Path
) -> None:
    data = datasets.load("digits", 8, data_dir)
    evaluator = make_evaluator(twin, data.pixels, data, data_dir)
    for num, words in ((50, "; of real images about 0.0900"), (49, ", nats")):
        protocol = evaluator.scores(num, draws=1, seed=0)["class_kl"].protocol
        assert protocol.endswith(words)


def test_a_protocol_names_no_place_of_its_author(twin: Twin, data_dir: Path) -> None:
    data = datasets.load("digits", 8, data_dir)
    config = TrainConfig(image_size=8, width=4, dataset="folder:/home/me/photos")
    backend: Any = Copier(twin, data.pixels)
    evaluator = evaluate.make_evaluator(backend, config, data, None)
    protocol = evaluator.protocol(64, 1, 0)
    assert protocol["dataset"] == "folder:photos"
    assert "a classifier of folder:photos (version" in str(protocol["features"])
    assert "/home" not in str(protocol)


def test_a_collapsed_generator_scores_worst(twin: Twin, data_dir: Path) -> None:
    data = datasets.load("digits", 8, data_dir)
    evaluator = make_evaluator(twin, data.pixels[:1], data, data_dir)
    found = {k: v.values[0] for k, v in evaluator.scores(256, draws=1, seed=0).items()}
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
    monkeypatch.setattr(datasets, "read", lambda *_, **__: digits)
    config = TrainConfig(dataset="stacked-mnist", image_size=8, width=4)
    backend: Any = Copier(twin, digits.pixels)
    extractor = features.ClassifierExtractor(backend, config, digits, data_dir)
    thirds = np.arange(300).reshape(3, 100)
    stacks = np.concatenate([digits.pixels[third] for third in thirds], axis=3)
    found = extractor(stacks)
    assert found.features.shape == (100, 3 * classifier.FEATURES)
    assert found.probabilities.shape == (100, 1000)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    spelled = digits.labels[thirds].T @ [100, 10, 1]
    assert np.mean(found.probabilities.argmax(axis=1) == spelled) > 0.9
    # With fewer samples even a perfect generator would seem to lack modes.
    info = digits.info._replace(channels=3, num_classes=1000, count=100)
    data = ImageData(stacks, spelled.astype(np.int32), (), info)
    found = evaluate.make_evaluator(backend, config, data, data_dir)
    assert found.usual_num == 26_000


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
    # Evaluated in another way: the table says so.
    assert "samples" not in rows
    twin.main("evaluate")(
        [str(first), "--num", "16", "--draws", "1", "--data-dir", str(data_dir)]
    )
    capsys.readouterr()
    twin.main("compare")([str(first), str(second), "--out", str(out)])
    lines = capsys.readouterr().out.splitlines()
    assert ["samples", "16", "32"] in [line.split() for line in lines]
    with pytest.raises(SystemExit, match="2"):
        twin.main("compare")([str(tmp_path / "none")])
    assert "no such folder" in capsys.readouterr().err


class Judge:
    """Sees of an image what it is told to: an extractor that is easily fooled."""

    description = "means"
    knows_classes = True
    weakness = "the judge is weak: right on 53% of 32 held-out images"

    def __init__(self, see: Callable[[Pixels], NDArray]) -> None:
        self._see = see

    def __call__(self, pixels: Pixels) -> features.ExtractedFeatures:
        seen = self._see(pixels).astype(np.float32)
        classes = np.eye(10, dtype=np.float32)[np.arange(len(pixels)) % 10]
        return features.ExtractedFeatures(seen, classes)


def judged(see: Callable[[Pixels], NDArray], given: Pixels, data: ImageData) -> Any:
    config = TrainConfig(image_size=8, width=4)
    samples = GivenSamples(given)
    evaluator = ImageEvaluator(samples, config, data, cast("Any", Judge(see)))
    return evaluation.evaluate(evaluator, len(given), 1, 0)


def flat(pixels: Pixels) -> NDArray:
    return pixels.reshape(len(pixels), -1)[:, ::3] / 255 + 0.01


def test_scores_of_known_sets_give_the_scale(data_dir: Path) -> None:
    data = datasets.load("digits", 8, data_dir)
    pixels = data.pixels
    found = judged(flat, np.array(pixels[:320]), data)
    assert found.warnings == (Judge.weakness,)
    real, noise_, copies = found.sanity.values()
    assert list(found.sanity) == [
        "180 real images, held out",
        "320 images of noise",
        "320 copies of training images",
    ]
    assert real["fid"] < noise_["fid"] / 20
    assert copies["precision"] > 0.9
    assert noise_["precision"] < 0.1
    assert min(real["coverage"], copies["coverage"]) > 0.8
    assert float(found.scores["precision"]["shown"]) > 0.9
    assert found.values["copies"] == 1


def test_noise_takes_little_memory_and_is_the_same_in_parts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 128, 128, 3), np.uint8)
    seen = []

    def see(pixels: Pixels) -> NDArray:
        seen.append(pixels)
        return flat(pixels[:, :4, :4])

    judge: Any = Judge(see)
    config, data = TrainConfig(image_size=128, width=4), from_arrays(pixels)
    evaluator = ImageEvaluator(GivenSamples(pixels), config, data, judge)
    tracemalloc.start()
    try:
        evaluator.sanity(200)
        assert tracemalloc.get_traced_memory()[1] < 12 * pixels.nbytes
    finally:
        tracemalloc.stop()
    unit = noise.uniform(0, "noise images", 0, 200, 128 * 128 * 3)
    expected = (256 * unit).astype(np.uint8).reshape(200, 128, 128, 3)
    assert any(np.array_equal(x, expected) for x in seen)


def test_the_scale_is_that_of_all_classes(data_dir: Path) -> None:
    """Folders come class by class, and there are more held-out images than samples."""
    digits = datasets.load("digits", 8, data_dir)
    pixels = digits.pixels
    assert digits.labels is not None
    by_class = np.argsort(digits.labels, kind="stable")
    data = from_arrays(pixels[by_class], digits.labels[by_class])
    found = judged(flat, np.array(pixels[:64]), data)
    assert found.sanity["64 real images, held out"]["recall"] > 0.9


@pytest.mark.parametrize("again", [slice(None), slice(None, None, -1)])
def test_copies_are_found_among_images_that_come_twice(
    again: slice, data_dir: Path
) -> None:
    pixels = datasets.load("digits", 8, data_dir).pixels[:200]
    both = np.concatenate([pixels, pixels[:, :, again]])
    data = from_arrays(both, np.arange(len(both)) % 2)
    found = judged(flat, np.array(pixels[:64]), data)
    assert found.values["copies"] == 1


@pytest.mark.parametrize(("count", "held_out"), [(36, 0), (45, 0), (60, 6)])
def test_few_images_have_a_scale_where_there_are_neighbours(
    count: int, held_out: int, data_dir: Path
) -> None:
    """A tenth of 45 is five, of which none has a fifth neighbour."""
    all_of_them = datasets.load("digits", 8, data_dir).pixels
    pixels = np.array(all_of_them[:count])
    data = from_arrays(pixels, np.arange(count, dtype=np.int32) % 2)
    found = judged(flat, np.array(all_of_them[100:120]), data)
    names = [name for name in found.sanity if name.endswith("held out")]
    assert names == [f"{held_out} real images, held out"] * bool(held_out)
    assert all(np.isfinite([*x.values()]).all() for x in found.sanity.values())


def test_the_order_of_given_images_does_not_matter(data_dir: Path) -> None:
    """2,048 of them are compared in pairs, and come here class by class."""
    data = datasets.load("digits", 8, data_dir)
    assert data.labels is not None
    pixels = data.pixels
    twice = np.concatenate([pixels, pixels])
    order = np.argsort(np.concatenate([data.labels, data.labels]), kind="stable")
    found = judged(flat, twice[order], data).values
    assert found["coverage"] > 0.9
    assert found["recall"] > 0.9
    assert abs(found["kid"]) < 0.01


@pytest.mark.parametrize("classes", [2, 5, 10, 20])
def test_the_judge_learns_all_classes_where_they_come_in_turn(classes: int) -> None:
    labels = np.arange(100 * classes, dtype=np.int32) % classes
    data = from_arrays(np.zeros((len(labels), 8, 8), np.uint8), labels)
    unseen = classifier.held_out(data)
    np.testing.assert_array_equal(np.bincount(labels[unseen]), [10] * classes)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_of_classes_by_chance_every_tenth_is_held_out(classes: int) -> None:
    labels = np.random.default_rng(0).integers(0, classes, 60 * classes, np.int32)
    data = from_arrays(np.zeros((len(labels), 8, 8), np.uint8), labels)
    every_tenth = np.arange(len(labels)) % 10 == 0
    np.testing.assert_array_equal(classifier.held_out(data), every_tenth)


def test_noise_is_not_precise_whatever_a_weak_judge_sees(data_dir: Path) -> None:
    data = datasets.load("digits", 8, data_dir)
    pictures = data.pixels
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (320, 8, 8, 1), np.uint8)

    def see(pixels: Pixels) -> NDArray:
        """All noise looks alike, and like one of the digits."""
        seen = flat(pixels)
        has_no_paper = (pixels == 0).mean(axis=(1, 2, 3)) < 0.1
        seen[has_no_paper] = flat(pictures[:1])
        return seen

    found = judged(see, grey, data)
    assert found.values["precision"] > 0.9
    assert found.scores["precision"]["shown"] == "not meaningful"
    assert found.scores["density"]["shown"] == "not meaningful"
    assert found.scores["coverage"]["shown"] != "not meaningful"
    weak, fooled, corner = found.warnings
    assert weak == Judge.weakness
    assert fooled.startswith("the judge takes noise for real images, with precision ")
    assert corner.startswith("coverage is 0.0")


class Lagging(GivenSamples):
    """Images that suffer in evaluation mode, as by statistics of an earlier G.

    Args:
        pixels: what they are in training mode.
        share: of the way to grey that evaluation mode takes them.
        standing: what the protocol says of batch norm, if anything.
    """

    has_modes = True

    def __init__(
        self, pixels: Pixels, share: float, standing: str | None = None
    ) -> None:
        super().__init__(pixels)
        self._grey = (pixels * (1 - share) + 128 * share).astype(np.uint8)
        self._standing = standing

    def draw(
        self, num: int, seed: int, number: int, training: bool = False
    ) -> NDArray[np.uint8]:
        return (self._images if training else self._grey)[:num]

    def protocol(self, num: int, draws: int, seed: int) -> dict[str, str | int]:
        named = {} if self._standing is None else {"batch norm": self._standing}
        return super().protocol(num, draws, seed) | named


@pytest.mark.parametrize(
    ("share", "standing", "is_said"),
    [(0.4, None, True), (0.0, None, False), (0.4, "statistics of 16 batches", False)],
)
def test_running_statistics_that_lag_are_told_with_the_cure(
    share: float, standing: str | None, is_said: bool, data_dir: Path
) -> None:
    data = datasets.load("digits", 8, data_dir)
    samples = Lagging(data.pixels[:320], share, standing)
    config = TrainConfig(image_size=8, width=4)
    evaluator = ImageEvaluator(samples, config, data, cast("Any", Judge(flat)))
    found = evaluation.evaluate(evaluator, 320, 1, 0)
    _, *others = found.warnings
    assert [line.endswith("try --standing-stats 16") for line in others] == (
        [True] * is_said
    )
    assert all(found.scores["fid_training_mode"]["shown"] in line for line in others)


@pytest.mark.parametrize(
    ("accuracy", "count", "is_weak"),
    [(0.98, 1797, False), (0.53, 320, True), (0.6, 5000, True), (0.98, 320, True)],
)
def test_a_judge_that_learnt_little_or_was_hardly_tested_is_weak(
    accuracy: float, count: int, is_weak: bool
) -> None:
    images_ = np.zeros((count, 8, 8, 1), np.uint8)
    info = DataInfo(channels=1, num_classes=10, count=count, sha256="")
    data = ImageData(images_, np.zeros(count, np.int32), (), info)
    found = features.weakness(accuracy, data)
    assert bool(found) == is_weak
    if is_weak:
        fault = "is weak" if accuracy < 0.9 else "was hardly tested"
        assert found.startswith(f"the judge {fault}: ")
        assert f"right on {accuracy:.0%} of {count // 10} held-out" in found


def test_images_in_a_folder_are_scored_by_another(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = datasets.load("digits", 8, data_dir).pixels
    for name, some in (("given", pixels[100:140, :, ::-1]), ("known", pixels)):
        (tmp_path / name).mkdir()
        for number, image in enumerate(some[:200]):
            images.save_png(tmp_path / name / f"{number:04d}.png", image)
    words = ["--samples", tmp_path / "given", "--reference", tmp_path / "known"]
    words += ["--image-size", 8, "--features", "none", "--device", "cpu", "--num", 30]
    words += ["--data-dir", tmp_path / "data", "--out", tmp_path / "out"]
    twin.main("evaluate")(list(map(str, words)))
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["samples"] == "given"
    assert stored["scores"]["copies"]["value"] == 1
    distance = stored["scores"]["nearest_distance"]
    assert distance["value"] > 0
    assert distance["protocol"].startswith("median over 30 samples to the nearest")
    assert stored["protocol"]["samples"] == 30
    assert (tmp_path / "out" / "nearest.png").is_file()
    table = capsys.readouterr().out
    assert table.startswith(f"{tmp_path / 'given'}, 30 images\n")
    assert "copies" in table
    for path in sorted((tmp_path / "given").iterdir())[7:]:
        path.unlink()
    stopped(2, lambda: twin.main("evaluate")([*map(str, words), "--num", "30"]))
    told = f"--samples {tmp_path / 'given'}: holds 7 images; 16 or more are scored"
    assert told in capsys.readouterr().err
    for path in sorted((tmp_path / "given").iterdir())[1:]:
        path.unlink()
    stopped(2, lambda: twin.main("evaluate")(list(map(str, words))))
    told = f"--samples {tmp_path / 'given'}: holds 1 image; 16 or more are scored"
    assert told in capsys.readouterr().err


def test_what_becomes_of_given_images_is_said_of_each_folder(
    twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (20, 8, 16, 3), np.uint8)
    for name, some in (("given", drawn), ("known", drawn[:, :, :8, :1])):
        (tmp_path / name).mkdir()
        for number, image in enumerate(some):
            images.save_png(tmp_path / name / f"{number:04d}.png", image)
    given, known = (str(tmp_path / name) for name in ("given", "known"))
    words = ["--samples", given, "--reference", known, "--image-size", "8"]
    words += ["--features", "none", "--data-dir", str(tmp_path / "data")]
    words += ["--device", "cpu"]
    command = twin.main("evaluate")
    command(words)
    said = capsys.readouterr()
    (cut,) = [line for line in said.err.splitlines() if "cut by" in line]
    assert cut.startswith(f"--samples {given}: 20 of 20 images cut")
    assert "--crop" not in cut
    assert f"--samples {given}: made grey, as the reference is" in said.err
    assert re.search("^resizing +all cached at 8x8, 8 bits$", said.out, re.MULTILINE)
    # The same by the word that --reference takes.
    command(["--samples", f"folder:{given}", *words[2:]])
    for folder, inside in ((given, Path(given)), (known, Path(known) / "scores")):
        stopped(2, lambda inside=inside: command([*words, "--out", str(inside)]))
        told = f"--out {inside}: must not be in {folder}, whose images are scored"
        assert told in capsys.readouterr().err
    assert len(list(Path(given).iterdir())) == len(list(Path(known).iterdir())) == 20
    out = tmp_path / "new"
    stopped(2, lambda: command([*words, "--out", str(out), "--device", "nonsense"]))
    assert "--device nonsense: no such device" in capsys.readouterr().err
    assert not out.exists()


def test_what_a_single_draw_tells_is_not_drawn_twice(
    twin: Twin, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 2)
    words = [str(run), "--features", "none", "--data-dir", str(data_dir)]
    stopped(2, lambda: twin.main("evaluate")([*words, "--draws", "2"]))
    told = "--draws 2: without features a single draw tells all that there is"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "RUN: name a run, or images as --samples FOLDER"),
        ("--samples a", "--samples a: needs --reference"),
        ("run --samples a", "--samples a: give a run or images, not both"),
        ("run --reference a", "--reference a: is for --samples"),
        ("run --image-size 8", "--image-size 8: is for --samples"),
        ("--samples a --reference b --step 5", "--step 5: is for a run"),
    ],
)
def test_a_run_or_images_are_evaluated(words: str, expected: str) -> None:
    with pytest.raises(UsageError, match=re.escape(expected)):
        command_line.parse_evaluate(words.split(), "x.evaluate")


def test_standing_statistics_have_scores_and_a_file_of_their_own(
    twin: Twin, tmp_path: Path, data_dir: Path
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 2)
    command = [str(run), "--num", "16", "--draws", "1", "--data-dir", str(data_dir)]
    twin.main("evaluate")(command)
    twin.main("evaluate")([*command, "--standing-stats", "2"])
    usual, standing = (
        json.loads((run / f"evaluation-000002{name}.json").read_text())
        for name in ("", "-standing-stats")
    )
    words = "statistics of 2 batches of 16 new samples"
    assert standing["protocol"] == usual["protocol"] | {"batch norm": words}
    assert standing["scores"]["fid"]["value"] != usual["scores"]["fid"]["value"]


def test_the_gap_of_batch_norm_is_in_grey_levels(data_dir: Path) -> None:
    samples = Lagging(datasets.load("digits", 8, data_dir).pixels[:64], 0.4)
    data = datasets.load("digits", 8, data_dir)
    config = TrainConfig(image_size=8, width=4)
    found, _ = PixelEvaluator(samples, config, data).further(64, 0)
    grey, usual = (samples.draw(64, 0, 0, mode).astype(int) for mode in (False, True))
    assert found["batch_norm_gap"].values == [np.abs(grey - usual).mean()]


@pytest.mark.parametrize(("interval", "is_told"), [(None, 1), (1.0, 1), (6.0, 0)])
def test_only_what_is_beyond_the_interval_lags(
    interval: float | None, is_told: int
) -> None:
    fid = {"value": 10.0, "interval_95": interval}
    trained = {"value": 5.0, "shown": "5.0"}
    found = {"fid": fid, "fid_training_mode": trained}
    assert len(list(evaluation._lagging(found))) == is_told


class Pupil:
    """Notes what it learns: images whose first two pixels are their number."""

    def __init__(self) -> None:
        self.learnt: set[int] = set()

    def statements(self) -> dict[str, Any]:
        return {}

    def load(self, arrays: Any) -> None:
        pass

    def train(self, pixels: Pixels, labels: NDArray, rate: float) -> None:
        self.learnt |= set(pixels.reshape(len(pixels), -1)[:, :2] @ [256, 1])

    def predict(self, pixels: Pixels) -> tuple[NDArray, NDArray]:
        return np.zeros((len(pixels), 1)), np.zeros((len(pixels), 10))


def test_what_is_held_out_is_not_learnt() -> None:
    """In turn, as every tenth would be of one class."""
    number = np.arange(1000)
    pixels = np.zeros((1000, 8, 8), np.uint8)
    pixels[:, 0, 0], pixels[:, 0, 1] = divmod(number, 256)
    data = from_arrays(pixels, number % 10)
    pupil: Any = Pupil()
    classifier.train(pupil, data, steps=100)
    assert pupil.learnt == set(number[~classifier.held_out(data)])


def test_few_points_do_not_cover_the_data() -> None:
    data = points.load("ring")
    backend: Any = SimpleNamespace(sample=lambda z, *_: data.images[: len(z)])
    evaluator = PointEvaluator(backend, PRESETS["ring"], data)
    assert evaluator.scores(100, 1, 0)["coverage"].values[0] < 0.5


def test_a_classifier_is_of_its_data(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = datasets.load("digits", 8, tmp_path)
    assert digits.labels is not None
    trained = []
    monkeypatch.setattr(classifier, "train", lambda *_: trained.append(1) or 0.5)
    for pixels in (digits.pixels, digits.pixels[::-1].copy()):
        data = from_arrays(pixels, digits.labels)
        judge = _classifier(twin, TrainConfig(image_size=8), data.info, 8)
        classifier.prepare(judge, data, tmp_path)
    assert len(trained) == 2


def test_of_two_evaluations_at_once_one_trains_the_classifier(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datasets.load("digits", 8, tmp_path)
    trained = []

    def begin(judge: Any, *_: Any) -> float:
        judge.load(classifier.initial_weights(judge.statements()))
        trained.append(judge)
        return 0.5

    def prepare() -> float:
        judge = _classifier(twin, TrainConfig(image_size=8), data.info, 8)
        return classifier.prepare(judge, data, tmp_path)

    acquire = locks.acquire

    def wait(*args: Any) -> Any:
        """For the other one, which has the lock first."""
        monkeypatch.setattr(locks, "acquire", acquire)
        prepare()
        return acquire(*args)

    monkeypatch.setattr(classifier, "train", begin)
    monkeypatch.setattr(locks, "acquire", wait)
    assert prepare() == 0.5
    assert len(trained) == 1


def test_where_a_classifier_cannot_be_kept_is_said_before_it_is_trained(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = datasets.load("digits", 8, tmp_path / "data")
    judge = _classifier(twin, TrainConfig(image_size=8), data.info, 8)
    monkeypatch.setattr(classifier, "train", lambda *_: pytest.fail("it is trained"))
    (tmp_path / "file").touch()
    told = r"/file/classifier-v2-8-\w+\.safetensors: cannot be written: (Not|File)"
    with pytest.raises(UsageError, match=told):
        classifier.prepare(judge, data, tmp_path, cache_dir=tmp_path / "file")


def test_a_classifier_is_kept_where_caches_are_and_told_of(
    twin: Twin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def begin(judge: Any, *_: Any) -> float:
        judge.load(classifier.initial_weights(judge.statements()))
        return 0.5

    monkeypatch.setattr(classifier, "train", begin)
    cache = tmp_path / "cache"
    places = ("--cache-dir", cache, "--evaluate-every", 1, "--steps", 1)
    run = train(twin, tmp_path / "run", tmp_path / "data", *places)
    (path,) = cache.glob("classifier-*.safetensors")
    told = f"training the classifier for evaluation, once: {path}\n"
    assert told in capsys.readouterr().err
    path.unlink()
    command = [run, "--num", 16, "--draws", 1, "--data-dir", tmp_path / "data"]
    twin.main("evaluate")([*map(str, command), "--cache-dir", str(cache)])
    assert path.exists()
    assert told in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_given_images_are_read_and_scored_as_the_flags_say(
    twin: Twin, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "own", 16)
    asked: list[tuple[Any, ...]] = []
    handed: list[evaluating.EvaluateOptions] = []
    data = {"train": datasets.load("digits", 8, data_dir)}
    data["test"] = data["train"]._replace(name="the test split")
    own = from_arrays(np.zeros((16, 8, 8, 1), np.uint8))

    def read(name: str, *words: Any) -> ImageData:
        place, size, caching, reading, _, *split = name, *words
        asked.append((place, size, caching, reading, *split))
        return own if name != "digits" else data[split[0] if split else "train"]

    def score(twin: str, make: Any, samples: Pixels, _: Any, options: Any) -> None:
        handed.append(options)
        raise UsageError("noted")

    monkeypatch.setattr(datasets, "read", read)
    monkeypatch.setattr(evaluating, "evaluate", score)
    monkeypatch.setattr(choices, "TESTED", ("digits",))
    words = f"--samples {tmp_path}/own --reference digits --image-size 8 --split test"
    words += " --channels grey --trust-cache --seed 3 --device cuda:7"
    words += f" --data-dir {data_dir} --cache-dir {tmp_path}/cache"
    stopped(2, lambda: twin.main("evaluate")(words.split()))
    caching = datasets.Caching(data_dir, tmp_path / "cache", trust_cache=True)
    how = (8, caching, Reading("grey"))
    samples = f"folder:{tmp_path}/own"
    assert asked == [("digits", *how), ("digits", *how, "test"), (samples, *how)]
    (options,) = handed
    assert options == evaluating.EvaluateOptions(
        features="classifier",
        num=None,
        draws=1,
        seed=3,
        step=None,
        against=data["test"],
        device="cuda:7",
        data_dir=data_dir,
        standing_stats=None,
    )


def test_what_is_found_is_shown_and_stored(
    twin: Twin,
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = train(twin, tmp_path / "run", data_dir, "--steps", 1)
    make_pictures(tmp_path / "own", 16)
    score = {"title": "FID ↓", "shown": "-", "value": np.nan, "protocol": "of 16"}
    sanity = {"images of noise": {"fid": 123.4567, "modes": 7.5}}
    found = evaluation.Evaluation(
        {"fid": score}, {"samples": 16}, None, ("the judge is weak",), sanity
    )
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: found)
    capsys.readouterr()
    for words, file in (
        (f"{run} --out {tmp_path}/out", "evaluation-000001-none.json"),
        (
            f"--samples {tmp_path}/own --reference digits --image-size 8"
            f" --out {tmp_path}/given",
            "evaluation.json",
        ),
    ):
        flags = f" --features none --device cpu --data-dir {data_dir}"
        twin.main("evaluate")((words + flags).split())
        lines = capsys.readouterr().out.splitlines()
        at = lines.index("WARNING: the judge is weak")
        assert lines[at - 1] == lines[at + 1] == ""
        assert lines[-1].split() == ["images", "of", "noise", "123.457", "7.5"]
        stored = json.loads((Path(words.split()[-1]) / file).read_text())
        assert stored["scores"]["fid"]["value"] is None  # which JSON has for no number
        assert stored["warnings"] == ["the judge is weak"]
        assert stored["sanity"] == sanity


@pytest.mark.parametrize(("num", "seed"), [(19, 3), (20, None)])
def test_which_of_the_given_images_are_scored_is_told(
    twin: Twin, num: int, seed: int | None, tmp_path: Path, data_dir: Path
) -> None:
    make_pictures(tmp_path / "own", 20)
    out = tmp_path / "scores"
    words = f"--samples {tmp_path}/own --reference digits --image-size 8 --num {num}"
    words += f" --seed 3 --features none --data-dir {data_dir} --out {out}"
    twin.main("evaluate")(words.split())
    told = json.loads((out / "evaluation.json").read_text())["protocol"]
    assert told["samples"] == num
    assert told.get("seed") == seed


def test_the_seed_chooses_among_given_images(
    twin: Twin, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path / "own", 40)
    given = []

    def note(twin: str, make: Any, samples: Pixels, *_: Any) -> None:
        given.append(samples[:, 0, 0, 0].tolist())
        raise UsageError("noted")

    monkeypatch.setattr(evaluating, "evaluate", note)
    words = f"--samples {tmp_path}/own --reference digits --image-size 8 --num 20"
    words += f" --features none --data-dir {data_dir}"
    for seed in (0, 0, 1):
        stopped(2, lambda: twin.main("evaluate")([*words.split(), "--seed", str(seed)]))  # noqa: B023
    assert given[0] == given[1] != given[2]
    assert given[0] != list(range(20))
