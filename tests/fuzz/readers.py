"""The five readers of files from outside, and inputs that are nearly right.

A reader takes an input and a folder of its own. Whatever the input is, it may raise a
`UsageError` of one line, and nothing else.
"""

import contextlib
import copy
import dataclasses
import io
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.config.choices import SLOTS
from shared.config.train_config import TrainConfig, config_to_json
from shared.data import image_cache
from shared.data.image_data import DataInfo, digest
from shared.data.image_sources import Pictures, Source
from shared.diagnosis.watch import Watch
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.quantities import QUANTITIES
from shared.report import comparison, page
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.restore import check_state
from shared.run.run_dir import RunDir
from shared.sizes import ImageSize, height_and_width
from shared.statements import BIAS, COUNTER, LINEAR, RUNNING_VARIANCE, Kind, Stated

DATA = DataInfo(channels=1, num_classes=2, count=5, sha256="0" * 64)
CONFIG = TrainConfig(image_size=8, batch_size=4, width=2, steps=400, log_every=100)


class Reader(NamedTuple):
    """One of the five."""

    seeds: Callable[[], list[Any]]
    """Inputs that are right."""
    mutate: Callable[[random.Random, Any], Any]
    """An input that differs a little."""
    read: Callable[[Any, Path], object]
    """What is to be tried."""


# Values that break what relies on a type, a range or a size.
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**6, 2**31, 2**63 - 1, 2**63, -(2**63)),
    *(10**400, 0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("", "x", "1", "nan", "\x00", "\ud800", "a\nb", "<b>", "$", "\x1b[31m", "9" * 300),
    *([], {}, [[]], [1], {"a": 1}, [None], {"": None}, ["a", 2]),
]
NAMES = [*QUANTITIES, "step", "protocol", "scores", "data", "plugin", "twins", "mine"]


def mutate_json(rng: random.Random, value: Any) -> Any:
    """Another value in some place, a name more or less; the original is kept."""
    value = copy.deepcopy(value)
    holder = {"": value}
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place: Any = holder
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = rng.choice(keys)
            deeper = place[key]
            if isinstance(deeper, dict | list) and deeper and rng.random() < 0.8:
                place = deeper
                continue
            break
        action = rng.random()
        if action < 0.6:
            place[key] = copy.deepcopy(rng.choice(NASTY))
        elif action < 0.75 and place is not holder:
            del place[key]
        elif action < 0.9 and isinstance(place, dict):
            place[rng.choice(NAMES)] = copy.deepcopy(rng.choice(NASTY))
        else:
            place[key] = [place[key]] * rng.choice((1, 2, 3))
    return holder[""]


def mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """Bits flipped; bytes changed, cut out, doubled, put in."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((1, 1, 2, 8, 64))
        action = rng.randrange(6)
        if action == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif action == 2:
            del data[at : at + length]
        elif action == 3:
            data[at:at] = data[at : at + length]
        elif action == 4:
            data[at:at] = rng.choice(
                (
                    b"\x00",
                    b"\n",
                    b"{",
                    b"[" * 5000,
                    b'"',
                    b"\xff\xfe",
                    b"NaN",
                    b"-",
                    b",",
                )
            )
        else:
            del data[at:]
    return bytes(data)


def _mutate_document(rng: random.Random, text: bytes) -> bytes:
    """Of JSON: its values, or its bytes."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, text)
    lines = text.splitlines() or [b"{}"]
    at = rng.randrange(len(lines))
    try:
        lines[at] = _dumps(mutate_json(rng, json.loads(lines[at])))
    except (ValueError, RecursionError, TypeError):
        return mutate_bytes(rng, text)
    return b"\n".join(lines)


def _dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


# Checkpoints: bytes of a file, or what a right digest is made for.


def _statement(name: str, kind: Kind, *shape: int) -> Stated:
    return Stated(name, shape, kind, lambda array, normal, arrays: np.zeros(()), ())


STATED = {
    stated.name: stated
    for network in ("generator", "discriminator")
    for stated in (
        _statement(f"{network}.w", LINEAR, 2, 3),
        _statement(f"{network}.b", BIAS, 2),
        _statement(f"{network}.running_var", RUNNING_VARIANCE, 2),
        _statement(f"{network}.count", COUNTER),
    )
}


class Forged(NamedTuple):
    """A checkpoint before it is signed."""

    metadata: dict[str, Any]
    arrays: Arrays


def _checkpoint_seeds() -> list[bytes | Forged]:
    arrays: Arrays = {}
    for name, stated in STATED.items():
        counts = stated.kind == COUNTER
        arrays[name] = np.ones(stated.shape, np.int64 if counts else np.float32)
        owner, _, path = name.partition(".")
        if stated.kind.trained:
            for average in SLOTS["adam"]:
                arrays[f"{owner[0]}_optimizer.{average}.{path}"] = arrays[name]
        arrays[f"{owner[0]}_optimizer.step"] = np.asarray(7, np.int64)
    metadata = {
        "version": checkpoint.FORMAT_VERSION,
        "step": 7,
        "config": config_to_json(CONFIG),
        "data": DATA._asdict(),
        "plugin": {"file": "a.py", "sha256": "0"},
    }
    return [Forged(metadata, arrays)]


def _mutate_checkpoint(rng: random.Random, case: bytes | Forged) -> bytes | Forged:
    if isinstance(case, bytes):
        return mutate_bytes(rng, case)
    metadata, arrays = case
    if rng.random() < 0.3:
        header = metadata | {"sha256": checkpoint.FILE.digest(metadata, arrays)}
        return mutate_bytes(rng, _saved(header, arrays))
    if rng.random() < 0.6:
        changed = mutate_json(rng, metadata)
        return Forged(changed if isinstance(changed, dict) else {}, arrays)
    return Forged(metadata, _mutate_arrays(rng, arrays))


def _mutate_arrays(rng: random.Random, arrays: Arrays) -> Arrays:
    arrays = dict(arrays)
    name = rng.choice(sorted(arrays))
    array = arrays.pop(name)
    action = rng.randrange(5)
    if action == 0:
        kinds = ("f8", "f2", "i4", "i8", "u1", "?", "u8", "i2")
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(kinds))
    elif action == 1:
        values = (math.nan, math.inf, -1.0, 0.0, 1e38, 1e12)
        with np.errstate(all="ignore"):
            arrays[name] = np.full_like(array, rng.choice(values), subok=False)
    elif action == 2:
        shapes = ((), (1,), (0,), (2, 3, 1), (3, 2), (6,))
        arrays[name] = np.resize(array, rng.choice(shapes))
    elif action == 3:
        arrays[
            rng.choice((name + "x", "more", "", "generator_ema.w", "g_optimizer."))
        ] = array
    return arrays


def _saved(metadata: dict[str, Any], arrays: Arrays) -> bytes:
    from safetensors.numpy import save

    arrays = {name: np.asarray(x, order="C") for name, x in arrays.items()}
    return save(arrays, {checkpoint.FILE.key: json.dumps(metadata)})


def _read_checkpoint(case: bytes | Forged, folder: Path) -> None:
    path = folder / "000007.safetensors"
    if isinstance(case, Forged):
        path.unlink(missing_ok=True)
        metadata = {n: x for n, x in case.metadata.items() if n != "sha256"}
        checkpoint.FILE.write(path, metadata, case.arrays)
    else:
        path.write_bytes(case)
    state = checkpoint.load(path)
    _check_state(state)


def _check_state(state: Checkpoint) -> None:
    check_state(STATED, state, "run")
    generator = {n: x for n, x in STATED.items() if n.startswith("generator")}
    check_state(generator, state, "run")
    for array in state.arrays.values():
        assert np.isfinite(array).all()


# A run's folder: configuration, records, evaluations.


def _run(folder: Path) -> RunDir:
    run = RunDir(folder / "run")
    if not run.path.exists():
        run.path.mkdir()
        for name in ("samples", "checkpoints"):
            (run.path / name).mkdir()
        run.config_file.write(CONFIG, DATA, twin="gans_torch")
    return run


def _show(run: RunDir, every_time: bool) -> None:
    """What all commands do with a run that can be read."""
    config, data = run.config_file.read()
    run.config_file.twins()
    run.config_file.plugin()
    watch = Watch(config, data)
    watch.replay(run.read_metrics(), run.read_sample_metrics(), run.read_scores())
    watch.conclude()
    run.best_step()
    comparison.table([comparison._read("a", run.path)] * 2)
    if every_time:
        page.write_report(
            run, "python -m gans_torch.train --resume RUN", "gans_torch.x"
        )


def _config_seeds() -> list[bytes]:
    plugin = {"file": "a.py", "sha256": "0"}
    values = {
        **config_to_json(CONFIG),
        "data": DATA._asdict(),
        "twins": ["gans_torch"],
        "plugin": plugin,
    }
    points = dataclasses.replace(
        CONFIG, dataset="ring", image_size=1, architecture="mlp", epochs=1.5, steps=None
    )
    return [_dumps(values), _dumps({**config_to_json(points), "data": DATA._asdict()})]


def _read_config(text: bytes, folder: Path) -> None:
    run = _run(folder)
    (run.path / "config.json").write_bytes(text)
    _show(RunDir.open(run.path), every_time=len(text) % 8 == 0)


def _record_seeds() -> list[bytes]:
    steps = [{"step": step} for step in (100, 200, 300, 400)]
    numbers = {name: 0.5 for name in QUANTITIES if name != "diverged"}
    scored = {"fid": 3.5, "protocol": {"weights": "G", "samples": 16, "draws": 1}}
    return [
        b"\n".join(_dumps(step | numbers) for step in steps),
        b"\n".join(_dumps(step | {"class_kl": 1} | scored) for step in steps),
        b"\n".join(_dumps(step | {"diversity": 0.1, "diverged": 1}) for step in steps),
    ]


def _read_records(text: bytes, folder: Path) -> None:
    run = _run(folder)
    for name in ("metrics", "samples", "scores"):
        (run.path / f"{name}.jsonl").write_bytes(text)
    _show(run, every_time=len(text) % 8 == 0)


def _evaluation_seeds() -> list[bytes]:
    score = {
        "title": "FID",
        "shown": "3.5",
        "value": 3.5,
        "interval_95": None,
        "draws": [3.5],
        "protocol": "all",
    }
    names = ("fid", "class_kl", "modes")
    scores = {name: score | {"interval_95": 0.1} for name in names}
    protocol = {"weights": "G", "samples": 16}
    values = {"step": 400, "protocol": protocol, "scores": scores | {"kid": score}}
    return [_dumps(values)]


def _read_evaluation(text: bytes, folder: Path) -> None:
    run = _run(folder)
    (run.path / "evaluation-000400.json").write_bytes(text)
    _show(run, every_time=len(text) % 8 == 0)


# The cache of images.


class Cache(NamedTuple):
    """Its files; with a right digest, and the stamps of the files, or as they are."""

    info: bytes
    images: bytes
    labels: bytes
    sign: bool


def _source() -> Source:
    def open_source(size: ImageSize) -> Pictures:
        pictures = [
            np.full((*height_and_width(size), 1), 9 * i, np.uint8) for i in range(5)
        ]
        pairs = ((picture, i % 2) for i, picture in enumerate(pictures))
        return Pictures(1, ("even", "odd"), 5, pairs)

    return Source("made", "1", open_source)


def _cache_seeds() -> list[Cache]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        image_cache.load(_source(), 4, Path(folder))
        (place,) = Path(folder).glob("cache/*-4")
        names = ("info.json", "images.npy", "labels.npy")
        info, images, labels = ((place / name).read_bytes() for name in names)
    return [Cache(info, images, labels, sign) for sign in (True, False)]


def _mutate_cache(rng: random.Random, cache: Cache) -> Cache:
    part = rng.choice(("info", "images", "labels"))
    mutate = _mutate_document if part == "info" else mutate_bytes
    changed: dict[str, Any] = {part: mutate(rng, getattr(cache, part))}
    return cache._replace(**changed)


def _read_cache(cache: Cache, folder: Path) -> None:
    place = folder / "cache" / "made-4"
    place.mkdir(parents=True, exist_ok=True)
    info = cache.info
    (place / "images.npy").write_bytes(cache.images)
    (place / "labels.npy").write_bytes(cache.labels)
    if cache.sign:
        try:
            values = json.loads(info)
            images, labels = (np.load(place / f"{x}.npy") for x in ("images", "labels"))
            values["sha256"] = digest(images, labels)
            values["stamps"] = image_cache._stamps(place)
            info = _dumps(values)
        except Exception:  # then it stays as it is
            pass
    (place / "info.json").write_bytes(info)
    for trust in (True, False):
        with contextlib.redirect_stderr(io.StringIO()):
            data = image_cache.load(_source(), 4, folder, trust=trust)
        assert data.images.dtype == np.uint8
        assert data.images.shape[1:3] == (4, 4)
        assert data.labels is None or data.labels.max() < len(data.class_names)
        if not trust:
            assert digest(data.images, data.labels) == data.info.sha256
    shutil.rmtree(place)


READERS = {
    "checkpoint": Reader(_checkpoint_seeds, _mutate_checkpoint, _read_checkpoint),
    "config": Reader(_config_seeds, _mutate_document, _read_config),
    "records": Reader(_record_seeds, _mutate_document, _read_records),
    "evaluation": Reader(_evaluation_seeds, _mutate_document, _read_evaluation),
    "cache": Reader(_cache_seeds, _mutate_cache, _read_cache),
}


def try_input(reader: Reader, case: Any, folder: Path) -> str | None:
    """What a reader says of an input; None: nothing.

    Raises:
        AssertionError: it says more than a line.
        Exception: whatever else than a `UsageError` it raises.
    """
    try:
        reader.read(case, folder)
    except UsageError as error:
        message = str(error)
        assert 0 < len(message) < 1000, message[:2000]
        return message
    return None
