"""Training from Python: the command's numbers, and nothing that was not asked for."""

import dataclasses
import gc
import importlib
import json
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.backend import Arithmetic
from shared.config.train_config import TrainConfig
from shared.data import datasets
from shared.data.image_data import DataInfo, ImageData
from shared.data.reading import Reading
from shared.errors import TrainingError, UsageError
from shared.evaluation import classifier
from shared.run import checkpoint
from shared.run.run_dir import RunDir
from support import Train, Twin, contents, last_checkpoint, metrics, untimed_contents


@pytest.fixture(scope="module")
def digits(data_dir: Path) -> ImageData:
    return datasets.load("digits", 16, data_dir)


@pytest.fixture(scope="module")
def config(finished: Path) -> TrainConfig:
    return RunDir.open(finished).config_file.read()[0]


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("images_per_second", "seconds", "wait_share")
    return [{k: v for k, v in x.items() if k not in timed} for x in records]


def test_without_a_folder_nothing_is_written_or_said(
    twin: Twin,
    finished: Path,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[dict[str, Any]] = []
    run = twin.library.fit(config, digits, device="cpu", on_record=seen.append)
    assert contents(tmp_path) == {}
    assert capfd.readouterr() == ("", "")
    assert (run.path, run.step, run.total, run.stopped_by) == (None, 6, 6, None)
    assert run.records == seen
    assert untimed(seen) == metrics(finished)
    expected = checkpoint.load(last_checkpoint(finished))
    assert run.state[:3] == expected[:3]
    assert run.arrays.keys() == expected.arrays.keys()
    for name, array in run.arrays.items():
        np.testing.assert_array_equal(array, expected.arrays[name], name)


def test_with_a_folder_it_leaves_what_the_command_leaves(
    twin: Twin,
    finished: Path,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = twin.library.fit(config, digits, tmp_path / "run", device="cpu")
    assert capfd.readouterr() == ("", "")
    assert run.path == tmp_path / "run"
    assert metrics(run.path) == metrics(finished)
    assert untimed_contents(run.path) == untimed_contents(finished)
    assert untimed(run.records) == metrics(finished)
    assert f"python -m gans_{twin.name}.train" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("folder", [None, "run"])
def test_a_run_that_is_held_holds_no_networks(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str | None,
) -> None:
    # On a GPU they are its memory.
    module: Any = importlib.import_module(f"gans_{twin.name}.library")
    make_backend, made = module.make_backend, list[Any]()

    def make(*arguments: Any) -> Any:
        backend = make_backend(*arguments)
        made.append(weakref.ref(backend))
        return backend

    monkeypatch.setattr(module, "make_backend", make)
    path = folder and tmp_path / folder
    run = twin.library.fit(config, digits, path, device="cpu")
    gc.collect()
    assert [backend() for backend in made] == [None]
    assert run.step == 6


@pytest.mark.parametrize("folder", [None, "run"])
def test_another_process_can_hand_a_run_back(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
    folder: str | None,
) -> None:
    path = folder and tmp_path / folder
    run = twin.library.fit(config, digits, path, device="cpu")
    back = pickle.loads(pickle.dumps(run))
    assert (back.path, back.step, back.records) == (path, 6, run.records)
    assert back.scores == run.scores
    for name, array in run.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)
    resumed = twin.library.fit(
        dataclasses.replace(config, steps=7), digits, resume=back, device="cpu"
    )
    assert resumed.step == 7


def test_it_resumes_where_it_stopped(
    twin: Twin, config: TrainConfig, digits: ImageData, tmp_path: Path, train: Train
) -> None:
    def fit(steps: int, *place: Path, **options: Any) -> Any:
        longer = dataclasses.replace(config, steps=steps)
        return twin.library.fit(longer, digits, *place, device="cpu", **options)

    unbroken = fit(6)
    unbroken.records.clear()  # a copy: the run keeps its own
    assert unbroken.records
    short = fit(4)
    in_folder = fit(4, tmp_path / "run")
    for resumed in (fit(6, resume=short), fit(6, resume=in_folder)):
        assert resumed.step == 6
        for name, array in unbroken.arrays.items():
            np.testing.assert_array_equal(array, resumed.arrays[name], name)
    # By command, and from Python: it is one run.
    train("--resume", tmp_path / "run", "--steps", 7, "--device", "cpu")
    assert fit(8, resume=str(tmp_path / "run")).step == 8
    with pytest.raises(UsageError, match=r"^steps 3: the run has already done 4 steps"):
        fit(3, resume=short)
    with pytest.raises(UsageError, match=r"^run_dir .*: a resumed run stays in its"):
        fit(6, tmp_path / "other", resume=short)
    told = r"^run_dir .*: already holds a run; resume it with resume=\"[^ ]*/run\", or"
    with pytest.raises(UsageError, match=told):
        fit(6, tmp_path / "run")


def test_what_does_not_fit_is_refused_in_words_of_python(
    twin: Twin, config: TrainConfig, digits: ImageData, finished: Path
) -> None:

    def first(count: int) -> ImageData:
        info = digits.info._replace(count=count)
        return digits._replace(images=digits.images[:count], labels=None, info=info)

    few, one = first(4), first(1)
    without = digits._replace(info=digits.info._replace(num_classes=0))
    other = digits._replace(info=digits.info._replace(sha256="0" * 64))
    here = digits._replace(name="folder:.")
    cases: tuple[Any, ...] = (
        ({"image_size": 32}, digits, {}, "^image_size 32: the data's images have size"),
        ({}, here, {"run_dir": "a"}, "^run_dir a: lies within dataset folder:., whose"),
        ({}, few, {}, "^batch_size 8: must be at most the 4 images of dataset digits"),
        ({}, one, {}, "^dataset digits: holds 1 image; a run takes 2 or more"),
        ({"conditional": True}, without, {}, "^conditional: needs labels of two"),
        ({"evaluate_every": 2}, without, {}, "^evaluate_every 2: needs labels"),
        ({}, digits, {"devices": 0}, "^devices 0: must be 1 or more"),
        ({}, digits, {"device": "nonsense"}, "^device nonsense: no such device"),
        ({}, digits, {"threads": 0}, "^threads 0: must be from 1 to"),
        ({"width": 8}, digits, {"resume": finished}, "^width 8: the run was started"),
        ({}, other, {"resume": finished}, "^dataset digits: holds other images than"),
        ({}, digits, {"resume": "nowhere"}, "^resume nowhere: no such folder"),
    )
    for changes, data, options, message in cases:
        changed = dataclasses.replace(config, **changes)
        with pytest.raises(UsageError, match=message):
            twin.library.fit(changed, data, **{"device": "cpu", **options})


def test_what_is_no_configuration_and_no_data_is_refused(
    twin: Twin, config: TrainConfig, digits: ImageData
) -> None:
    fit, build = twin.library.fit, twin.library.build
    preset = r"must be a TrainConfig, as PRESETS\[\"quick\"\] is"
    data = r"must be ImageData, as data.load\(\"digits\"\) or data.from_arrays\(x\) r"
    for call, message in (
        (lambda: fit("quick", digits), f"config 'quick': {preset}"),
        (lambda: fit(config, digits.images), f"data of type memmap: {data}"),
        (lambda: fit(config, None), f"data None: {data}"),
        (lambda: fit(config, "digits"), f"data 'digits': {data}"),
        (lambda: fit(config, digits, 3), "run_dir 3: must be None or a path"),
        (lambda: fit(config, digits, on_record=3), "on_record 3: must be None or a fu"),
        (lambda: fit(config, digits, on_nan="go"), "on_nan 'go': must be one of stop"),
        (lambda: fit(config, digits, data_on="gpu"), "data_on 'gpu': must be one of"),
        (lambda: fit(config, digits, keep="best"), "keep 'best': must be None, a"),
        (lambda: fit(config, digits, keep=True), "keep True: must be None, a whole"),
        (
            lambda: build(config, digits, 0),
            "data of type ImageData: must be a DataInfo",
        ),
        (
            lambda: build(
                dataclasses.replace(config, conditional=True),
                digits.info._replace(num_classes=0),
                0,
            ),
            "conditional: needs labels of two classes or more, which data of 0 classes",
        ),
        (lambda: build(config, digits.info, -1), "seed -1: must be 0 or more, and"),
    ):
        with pytest.raises(UsageError, match=f"^{message}"):
            call()


def test_a_part_that_passes_for_the_whole_is_refused(
    twin: Twin, config: TrainConfig, digits: ImageData
) -> None:
    images = digits._replace(images=digits.images[:99])
    assert digits.labels is not None
    labels = digits._replace(labels=digits.labels[:99])
    fit, evaluate = twin.library.fit, twin.library.evaluate
    for call, message in (
        (lambda: fit(config, images), "data of 99 images: must be of 1797, as its in"),
        (lambda: fit(config, labels), "data of 99 labels: must be of 1797"),
        (lambda: evaluate("run", images), "reference of 99 images: must be of 1797"),
        (lambda: evaluate("run", digits, against=images), "against of 99 images: mus"),
    ):
        with pytest.raises(UsageError, match=f"^{message}"):
            call()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("channels", -1, "channels -1: must be 1, 2 or 3"),
        ("channels", 1.5, "channels 1.5: must be a whole number"),
        ("num_classes", -1, "num_classes -1: must be 0 or more"),
        ("count", None, "count None: must be a whole number"),
        ("class_names", "ab", "class_names 'ab': must be a list"),
        ("class_names", ("a",), "class_names ('a',): must be 10 names, or none"),
    ],
)
def test_networks_of_what_no_data_are_like_are_refused(
    twin: Twin, config: TrainConfig, field: str, value: Any, message: str
) -> None:
    info: Any = DataInfo(channels=1, num_classes=10, count=100, sha256="")
    with pytest.raises(UsageError) as error:
        twin.library.build(config, info._replace(**{field: value}), 0)
    assert str(error.value) == f"data.{message}"
    assert twin.library.build(config, info._replace(channels=np.int64(1)), 0)


def test_rectangles_are_trained_on_drawn_and_scored(
    twin: Twin, config: TrainConfig, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 12, 3), np.uint8)
    data = twin.library.data.from_arrays(pixels)
    config = dataclasses.replace(config, image_size=(8, 12), steps=2, epochs=None)
    run = twin.library.fit(config, data, tmp_path / "run", device="cpu")
    assert run.state.config.image_size == (8, 12)
    drawn = twin.library.load_generator(run, device="cpu").sample(16)
    assert drawn.shape == (16, 8, 12, 3)
    options: dict[str, Any] = {"features": "none", "device": "cpu"}
    for samples in (run, drawn):
        assert twin.library.evaluate(samples, data, **options).scores
    turned = dataclasses.replace(config, image_size=(12, 8))
    with pytest.raises(UsageError, match=r"^image_size 12x8: the data's images have"):
        twin.library.fit(turned, data, device="cpu")
    stored = RunDir.open(tmp_path / "run")
    assert json.loads((stored.path / "config.json").read_text())["image_size"] == [
        8,
        12,
    ]
    longer = dataclasses.replace(config, steps=3)
    assert twin.library.fit(longer, data, resume=run, device="cpu").step == 3


def test_arrays_in_memory_name_themselves(
    twin: Twin, config: TrainConfig, digits: ImageData, tmp_path: Path
) -> None:
    data = twin.library.data.from_arrays(digits.images)
    config = dataclasses.replace(config, steps=2)
    run = twin.library.fit(config, data, tmp_path, device="cpu")
    assert run.state.config.dataset == "arrays"
    assert json.loads((tmp_path / "config.json").read_text())["dataset"] == "arrays"
    assert f"gans_{twin.name}.fit(" in (tmp_path / "report.html").read_text()
    with pytest.raises(SystemExit):
        twin.main("train")(["--resume", str(tmp_path), "--steps", "3"])


def test_divergence_is_an_error_of_its_own(
    twin: Twin, config: TrainConfig, digits: ImageData
) -> None:
    wild = dataclasses.replace(config, optimizer="rmsprop", g_lr=1e38, save_every=1)
    told = r"^training has diverged: .*, clip_grad_norm, a penalty, or on_nan rollback$"
    with pytest.raises(TrainingError, match=told):
        twin.library.fit(wild, digits, device="cpu")


def test_scores_on_the_way_are_at_hand(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = {"fid": 3.0, "protocol": {}}
    monkeypatch.setattr(
        "shared.training.driver._make_evaluation", lambda *_: lambda: scores
    )
    config = dataclasses.replace(config, evaluate_every=4)
    run = twin.library.fit(config, digits, device="cpu")
    assert run.scores == [{"step": 4, **scores}]


def test_what_a_watcher_raises_ends_the_training(
    twin: Twin, config: TrainConfig, digits: ImageData, tmp_path: Path
) -> None:
    def stop(error: BaseException) -> Any:
        def watch(record: dict[str, Any]) -> None:
            if record["step"] == 4:
                raise error

        return watch

    with pytest.raises(ZeroDivisionError):
        twin.library.fit(config, digits, on_record=stop(ZeroDivisionError()))
    with pytest.raises(KeyboardInterrupt) as stopped:
        twin.library.fit(
            config, digits, tmp_path, device="cpu", on_record=stop(KeyboardInterrupt())
        )
    assert stopped.value.path == tmp_path  # pyrefly: ignore
    assert RunDir.open(tmp_path).checkpoint_steps() == [3]
    assert twin.library.fit(config, digits, resume=tmp_path, device="cpu").step == 6


def test_it_keeps_and_goes_back_as_the_command_does(
    twin: Twin, config: TrainConfig, digits: ImageData, tmp_path: Path
) -> None:
    def fit(steps: int, *place: Path, **options: Any) -> Any:
        longer = dataclasses.replace(config, steps=steps, save_every=1)
        return twin.library.fit(longer, digits, *place, device="cpu", **options)

    run = fit(9, tmp_path, keep=1)
    folder = RunDir.open(tmp_path)
    assert folder.checkpoint_steps() == [2, 4, 6, 8, 9]
    again = fit(9, resume=run, step=6)
    assert folder.checkpoint_steps() == [2, 4, 6, 8, 9]
    assert untimed(again.records) == untimed(run.records)
    for keep in (0, -1):
        with pytest.raises(UsageError, match=f"keep {keep}: must be 1 or more"):
            fit(9, tmp_path / "new", keep=keep)
    with pytest.raises(UsageError, match="step 6: needs the run to resume"):
        fit(9, tmp_path / "new", step=6)
    with pytest.raises(UsageError, match="step 6: only the last is kept"):
        fit(9, resume=fit(6), step=6)
    with pytest.raises(UsageError, match="keep 2: needs a folder to write to, as run"):
        fit(9, keep=np.int64(2))
    with pytest.raises(UsageError, match="tensorboard True: needs a folder to write"):
        fit(9, resume=fit(6), tensorboard=True)


@pytest.mark.parametrize("in_folder", [False, True])
def test_it_goes_on_with_other_images_where_that_is_allowed(
    in_folder: bool,
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
) -> None:
    def fit(data: ImageData, steps: int, *place: Path, **options: Any) -> Any:
        changed = dataclasses.replace(config, steps=steps)
        return twin.library.fit(changed, data, *place, device="cpu", **options)

    run = fit(digits, 1, *([tmp_path] if in_folder else []))
    before = tmp_path if in_folder else run
    other = digits._replace(info=digits.info._replace(sha256="0" * 64))
    with pytest.raises(UsageError, match="holds other images than those that"):
        fit(other, 2, resume=before)
    longer = fit(other, 2, resume=before, allow_new_data=True)
    assert (longer.step, longer.state.data) == (2, other.info)


def test_what_a_folder_and_the_judge_are_asked_for_reaches_them(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin(judge: Any, *_: Any) -> float:
        judge.load(classifier.initial_weights(judge.statements()))
        return 0.5

    monkeypatch.setattr(classifier, "train", begin)
    read = digits._replace(name="folder:photos", reading=Reading(crop="pad"))
    config = dataclasses.replace(config, steps=1, evaluate_every=1)
    places = {"tensorboard": True, "data_dir": str(tmp_path / "data")}
    run = twin.library.fit(config, read, tmp_path / "run", device="cpu", **places)
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert list((tmp_path / "data" / "cache").glob("classifier-*"))
    # Whoever goes on by command reads them alike.
    assert run.state.config.crop == "pad"
    assert RunDir.open(tmp_path / "run").config_file.read()[0].crop == "pad"


def test_how_to_compute_reaches_the_backend(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module(f"gans_{twin.name}.library")
    make: Any = module.make_backend  # pyrefly: ignore[missing-attribute]
    asked: list[Any] = []

    def make_backend(*arguments: Any) -> Any:
        backend = make(*arguments[:3])
        load = backend.load_data

        def load_data(data: ImageData, place: str) -> None:
            asked.extend([arguments[3], place])
            load(data, place)

        backend.load_data = load_data
        return backend

    monkeypatch.setattr(module, "make_backend", make_backend)
    short = dataclasses.replace(config, steps=1)
    how = {"threads": 3, "deterministic": True, "devices": 1, "data_on": "host"}
    twin.library.fit(short, digits, device="cpu", **how)
    assert asked == [Arithmetic(threads=3, deterministic=True, devices=1), "host"]


def test_progress_is_shown_on_demand(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = dataclasses.replace(config, evaluate_every=9)
    twin.library.fit(config, digits, device="cpu", progress=True)
    first, *lines = capsys.readouterr().err.splitlines()
    # In words of Python, as all that it is told.
    assert first.startswith("evaluate_every 9: nothing is scored, step 6 is the last")
    assert [line.split()[1] for line in lines] == ["2/6", "4/6", "6/6"]


def test_no_handler_of_signals_is_left_or_set(
    twin: Twin,
    config: TrainConfig,
    digits: ImageData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import signal

    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    found = []

    def watch(record: dict[str, Any]) -> None:
        found.append([signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)])

    twin.library.fit(config, digits, device="cpu", on_record=watch)
    assert found == [before] * 6


def test_data_that_were_read_otherwise_are_refused(
    twin: Twin, config: TrainConfig, digits: ImageData
) -> None:
    asked = dataclasses.replace(config, dataset="folder:photos", crop="pad")
    with pytest.raises(UsageError, match=r"config: asks for .*pad.*, the data are of"):
        twin.library.fit(asked, digits, device="cpu")
