"""The folder for the Hugging Face Hub: what is in it, and what is refused of it."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.errors import UsageError
from shared.export import hub
from shared.export.card import model_card
from shared.run import checkpoint
from shared.run.generator import GeneratorState, generator_of
from support import SELECTED, TWINS, Twin, contents, copy, forged_state, stopped

_CONFIG = TrainConfig(
    dataset="folder:/home/somebody/faces|and",
    image_size=8,
    width=2,
    z_dim=3,
    batch_size=4,
    conditional=True,
    g_weight_norm="spectral",
    ema_decay=0.9,
)
_DATA = DataInfo(
    channels=3, num_classes=2, count=9, sha256="", class_names=("cat", "dog")
)


@pytest.fixture(scope="module")
def run(twin: Twin, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, alone in its folder."""
    path = tmp_path_factory.mktemp(f"run-{twin.name}") / "state.safetensors"
    checkpoint.save(path, forged_state(twin, _CONFIG, _DATA))
    return path


@pytest.fixture(scope="module")
def folder(run: Path, twin: Twin) -> Path:
    """The same, exported."""
    return twin.library.export(run, run.parent / "exported")


def test_both_twins_read_what_either_has_written(
    run: Path, folder: Path, twin: Twin
) -> None:
    expected = twin.library.load_generator(run, device="cpu").sample(4, seed=2)
    assert np.ptp(expected) > 2
    for name in set(TWINS) & set(SELECTED):
        load = Twin(name).library.load_generator
        drawn = load(str(folder), device="cpu").sample(4, seed=2)
        assert np.abs(drawn.astype(int) - expected).max() <= (name != twin.name)


def test_what_leaves_is_what_draws(run: Path, folder: Path) -> None:
    state = checkpoint.load(run)
    weights = load_file(folder / "model.safetensors")
    averages = {
        name.removeprefix("generator_ema."): array
        for name, array in state.arrays.items()
        if name.startswith("generator_ema.")
    }
    assert weights.keys() == averages.keys()
    for name, array in averages.items():
        np.testing.assert_array_equal(weights[name], array)
    assert not any("somebody" in x.decode("latin1") for x in contents(folder).values())
    config = json.loads((folder / "config.json").read_text())
    assert config["config"]["dataset"] == "folder:faces|and"


def test_it_is_exported_again_into_the_same_bytes(
    folder: Path, twin: Twin, tmp_path: Path
) -> None:
    again = twin.library.export(folder, tmp_path / "again")
    assert contents(again) == contents(folder)


def test_what_its_owner_has_added_to_a_card_stays(
    folder: Path, twin: Twin, tmp_path: Path
) -> None:
    export = twin.library.export
    first = copy(folder, tmp_path)
    (first / "README.md").write_text("license: mine\n## Scores\n")
    again = export(first, tmp_path / "again")
    assert (again / "README.md").read_text() == "license: mine\n## Scores\n"
    # Of other statistics they would be of other images.
    other = export(first, tmp_path / "other", standing_stats=2)
    (first / "README.md").unlink()
    anew = export(first, tmp_path / "anew")
    assert "mine" not in (other / "README.md").read_text()
    assert contents(anew) == contents(folder)


def test_statistics_of_new_samples_are_told_of(
    run: Path, twin: Twin, tmp_path: Path
) -> None:
    folder = twin.library.export(run, tmp_path / "standing", standing_stats=3)
    assert json.loads((folder / "config.json").read_text())["standing_stats"] == 3
    assert hub.read(folder).standing_stats == 3
    words = "- batch norm goes by statistics of 3 batches of 4 new samples\n- classes: "
    assert words in (folder / "README.md").read_text()
    (folder / "README.md").unlink()
    again = twin.library.export(folder, tmp_path / "again")
    assert words in (again / "README.md").read_text()


def test_the_card_has_scores_with_their_protocol(
    finished: Path, twin: Twin, tmp_path: Path
) -> None:
    run = copy(finished, tmp_path)
    score = {
        "title": "FID ↓",
        "shown": "3.00 ± 0.10",
        "value": 3.0,
        "interval_95": 0.1,
        "protocol": 'of 64 "samples"',
    }
    for step, shown in ((3, "other"), (6, "3.00 ± 0.10")):
        found: dict[str, Any] = {
            "step": step,
            "protocol": {"features": "classifier", "seed": 0},
            "scores": {"fid": {**score, "shown": shown}},
        }
        (run / f"evaluation-{step:06d}.json").write_text(json.dumps(found))
    precision = {**score, "title": "precision ↑", "shown": "not meaningful"}
    found["scores"]["precision"] = precision
    found["warnings"] = ["coverage is 0.000"]
    (run / "evaluation-000006.json").write_text(json.dumps(found))
    # Of images that this generator does not draw.
    found["protocol"]["batch norm"] = "statistics of 16 batches of 8 new samples"
    found["scores"]["fid"]["shown"] = "other"
    (run / "evaluation-000006-standing-stats.json").write_text(json.dumps(found))
    own = twin.library.export(run, tmp_path / "own", standing_stats=16)
    card = (own / "README.md").read_text()
    assert "- batch norm goes by statistics of 16 batches of 8 new samples\n" in card
    assert "| FID ↓ | other |" in card
    assert "3.00" not in card
    others = twin.library.export(run, tmp_path / "others", standing_stats=2)
    card = (others / "README.md").read_text()
    assert "- batch norm goes by statistics of 2 batches of 8 new samples\n" in card
    assert "Scores" not in card
    first = twin.library.export(run)
    assert first == run / "exported" / "000006"
    assert twin.library.export(run, format="hub", step=3).name == "000003"
    assert twin.library.export(run).name == "000006-2"
    (run / "exported" / "000006-3").symlink_to("nowhere")
    assert twin.library.export(run).name == "000006-4"
    card = (first / "README.md").read_text()
    assert '| FID ↓ | 3.00 ± 0.10 | of 64 "samples" |' in card
    assert "- seed: 0" in card
    assert "other" not in card
    assert "| precision ↑ | not meaningful |" in card
    assert "\n\n**Warning:** coverage is 0.000.\n\n| score |" in card
    _, front, text = card.split("---\n", 2)
    (result,) = yaml.safe_load(front)["model-index"][0]["results"]
    assert result["metrics"] == [
        {
            "type": "gans-twins-fid",
            "name": 'FID ↓; features: classifier; of 64 "samples"',
            "value": 3.0,
        }
    ]
    assert text.startswith("\n# dcgan on digits\n\nA generator of 16x16 images in grey")


def test_a_card_of_a_run_without_labels_speaks_of_none() -> None:
    config = dataclasses.replace(PRESETS["wgan-gp"], conditional=False)
    data = DataInfo(1, 2, 9, "", ("cat", "dog"))
    card = model_card(GeneratorState(2, config, data, {}), [])
    assert "for 2 steps.\n\n- architecture dcgan, objective wasserstein\n" in card
    assert "generator.sample(16, seed=1)\n```" in card
    assert "class" not in card


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("quick", "images in [-1, 1].\n"),
        ("stylegan2", "images that may leave [-1, 1] a little: clip them"),
        ("r3gan", "images that may leave [-1, 1] a little: clip them"),
        ("ring", "points.\n"),
    ],
)
def test_a_card_says_where_images_lie(preset: str, words: str) -> None:
    config = PRESETS[preset]
    data = DataInfo(channels=1, num_classes=0, count=9, sha256="")
    score = {"title": "modes ↑", "shown": "8", "value": 8.0, "protocol": "of 9"}
    found: Any = {"step": 1, "protocol": {}, "scores": {"modes": score}}
    card = model_card(GeneratorState(1, config, data, {}), [found])
    assert f"it makes {words}" in card
    front = yaml.safe_load(card.split("---\n", 2)[1])
    task = front["model-index"][0]["results"][0]["task"]["type"]
    assert (task == "other") == (preset == "ring") == ("pipeline_tag" not in front)


def test_a_card_takes_no_name_for_markup_and_keeps_none_to_itself() -> None:
    dataset = "folder:my 😀 <b>p|ho`to*s"
    names = ("<script>x</script>", "a_b_c")
    place = f"folder:/home/me/{dataset.removeprefix('folder:')}"
    config = dataclasses.replace(PRESETS["cgan"], dataset=place)
    data = DataInfo(1, 2, 9, "", names)
    score = {"title": "FID ↓", "shown": "8", "value": 8.0, "protocol": "of 9"}
    protocol = {"features": "a classifier of <b>", "dataset": "folder:<b>"}
    score["protocol"] = "of <b>"
    found: Any = {"step": 1, "protocol": protocol, "scores": {"fid": score}}
    found["warnings"] = ["<b> is a weak judge"]
    card = model_card(GeneratorState(1, config, data, {}), [found])
    _, front, text = card.split("---\n", 2)
    name = yaml.safe_load(front)["model-index"][0]["name"]
    assert name.encode() == f"cgan on {dataset}".encode()
    assert "/home" not in card
    assert re.search(r"(?<!\\)[<`*|]", text.split("## Use")[0]) is None
    assert r"0 \<script\>x\</script\>, 1 a\_b\_c" in text
    assert r"## Scores (features: a classifier of \<b\>)" in text
    assert re.findall(r"(?<!\\)[<`*]", text.split("## Scores")[1]) == ["*"] * 4
    assert r"**Warning:** \<b\> is a weak judge." in text
    assert "as a GAN\nfor 1 step.\n" in text


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ("Inception v3 (FID's)", "fid"),
        ("a classifier of digits", "gans-twins-fid"),
    ],
)
def test_scores_have_the_names_of_others_where_these_measure_alike(
    features: str, name: str
) -> None:
    data = DataInfo(channels=3, num_classes=0, count=9, sha256="")
    score = {"title": "FID ↓", "shown": "8", "value": 8.0, "protocol": "of 9"}
    # Of which there is no number.
    missing = {**score, "title": "KID ↓", "shown": "-", "value": None}
    scores = {"fid": score, "kid": missing}
    found: Any = {"step": 1, "protocol": {"features": features}, "scores": scores}
    card = model_card(GeneratorState(1, PRESETS["quick"], data, {}), [found])
    (result,) = yaml.safe_load(card.split("---\n", 2)[1])["model-index"][0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == [name]
    assert "| KID ↓ | - |" in card


def test_what_a_card_says_of_its_use_is_so(folder: Path, twin: Twin) -> None:
    card = (folder / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    assert "labels=0, seed=1)" in code  # the run has classes
    assert "Of latents [batch, 3], drawn from a standard normal\n" in card
    assert "distribution, and of class ids [batch], it makes" in card
    code = code.replace("PATH/TO/THIS/FOLDER", str(folder))
    found: dict[str, Any] = {}
    exec(code.replace("gans_torch", f"gans_{twin.name}"), found)
    expected = twin.library.load_generator(folder).sample(16, [0] * 16, seed=1)
    np.testing.assert_array_equal(found["images"], expected)


def test_a_card_without_scores_says_none(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n", 2)[1])
    assert front["library_name"] == "gans-twins"
    assert front["pipeline_tag"] == "unconditional-image-generation"
    assert "model-index" not in front
    assert "Scores" not in card
    words = (
        r"conditional on 2 classes\n"
        r"- [\d,]+ numbers, weights and buffers, averages of decay 0.9\n"
        r"- classes: 0 cat, 1 dog\n\n## Use"
    )
    assert re.search(words, card)


def _change_config(change: Callable[[dict[str, Any]], object]) -> Callable[..., None]:
    def damage(folder: Path) -> None:
        path = folder / "config.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return damage


def _change_weights(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def _strange_weights(folder: Path) -> None:
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_change_weights, "damaged: the weights are others than config.json was"),
        (_strange_weights, "not a file of a generator's weights of this project"),
        (
            _change_config(lambda values: values["config"].update(seed=7)),
            "damaged: the weights are others than config.json was written with",
        ),
        (
            _change_config(lambda values: values.update(version=2)),
            "config.json: version 2 of an exported generator: this program reads",
        ),
        (
            _change_config(lambda values: values.update(step=-1)),
            "config.json: unreadable: step -1: must be 0 or more",
        ),
        (
            _change_config(lambda values: values.update(standing_stats=0)),
            "config.json: unreadable: standing_stats 0: must be 1 or more",
        ),
        (
            _change_config(lambda values: values.update(version=0)),
            "config.json: unreadable: version 0: must be 1 or more",
        ),
        (
            _change_config(lambda values: values["data"].update(num_classes=-1)),
            "config.json: unreadable: data.num_classes -1: must be 0 or more",
        ),
        (
            _change_config(lambda values: values["data"].update(channels=0)),
            "config.json: unreadable: data.channels 0: must be 1, 2 or 3",
        ),
        (
            _change_config(lambda values: values["data"].update(class_names=["a"])),
            r"config.json: unreadable: data.class_names \['a'\]: must be 2 names, or",
        ),
        (
            _change_config(lambda values: values["config"].update(architecture="x")),
            "config.json: configuration: unknown architecture 'x'",
        ),
        (
            _change_config(lambda values: values.pop("data")),
            "config.json: unreadable: data: is missing",
        ),
    ],
    ids=[
        "weights",
        "stranger",
        "settings",
        "version",
        "step",
        "standing",
        "old version",
        "classes",
        "channels",
        "names",
        "plugin",
        "data",
    ],
)
def test_a_folder_that_was_changed_is_refused(
    damage: Callable[[Path], None],
    message: str,
    folder: Path,
    twin: Twin,
    tmp_path: Path,
) -> None:
    changed = copy(folder, tmp_path)
    damage(changed)
    with pytest.raises(UsageError, match=message):
        twin.library.load_generator(changed, device="cpu")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("generator.up.weight", None, "its generator.up.weight is missing, its config"),
        ("generator.new", np.float32(1), "its generator.new is float32 .., its config"),
        ("generator.up.bias", np.full(3, np.nan, np.float32), "its .* is not finite"),
        (
            "generator.blocks.0.norm.running_var",
            np.full(2, -1, np.float32),
            "its generator.blocks.0.norm.running_var is negative",
        ),
    ],
)
def test_weights_of_no_such_generator_are_refused(
    name: str,
    change: Any,
    message: str,
    run: Path,
    twin: Twin,
    tmp_path: Path,
) -> None:
    state = generator_of(checkpoint.load(run))
    if name == "generator.up.bias":
        name = next(x for x, array in state.arrays.items() if array.shape == (3,))
        change = np.full(3, np.nan, np.float32)
    if change is None:
        name = next(iter(state.arrays))
        message = f"its {name} is missing, its configuration needs"
    arrays = {**state.arrays, name: change}
    if change is None:
        del arrays[name]
    hub.write(tmp_path / "forged", state._replace(arrays=arrays))
    with pytest.raises(UsageError, match=f"^exported generator: {message}"):
        twin.library.load_generator(tmp_path / "forged", device="cpu")


def test_a_place_that_is_taken_is_left_alone(
    run: Path, folder: Path, twin: Twin, tmp_path: Path
) -> None:
    export = twin.library.export
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "README.md").write_text("mine")
    (tmp_path / "empty").mkdir()
    before = contents(tmp_path)
    for out, message in (
        ("file", "file: must be a new folder, or an empty one"),
        ("full", "full: must be a new folder, or an empty one"),
        ("file/new", "new: cannot be used: Not a directory"),
    ):
        with pytest.raises(UsageError, match=message):
            export(run, tmp_path / out)
    own = {"torch": "torch", "jax": "stablehlo"}[twin.name]
    with pytest.raises(UsageError, match=r"^out .*x: cannot be written: Not a direct"):
        export(run, tmp_path / "file" / "new" / "x", own)
    assert contents(tmp_path) == before
    assert contents(export(run, tmp_path / "empty")) == contents(folder)


def test_an_export_that_fails_leaves_nothing(
    run: Path, twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_no_card(path: Path, content: bytes) -> None:
        raise UsageError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(hub, "write_atomically", write_no_card)
    with pytest.raises(UsageError, match=r"README.md: cannot be written: No space"):
        twin.library.export(run, tmp_path / "new")
    assert contents(tmp_path) == {}
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"README.md: cannot be written: No space"):
        twin.library.export(run, tmp_path / "empty")
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_an_export_that_was_killed_can_be_repeated(
    run: Path, folder: Path, twin: Twin, tmp_path: Path
) -> None:
    (tmp_path / f".gans-{'0f' * 16}.tmp").write_bytes(b"half of the weights")
    assert contents(twin.library.export(run, tmp_path)) == contents(folder)


def test_a_folder_without_its_weights_is_called_that(
    folder: Path, twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = copy(folder, tmp_path)
    (changed / "model.safetensors").unlink()
    said = f"{changed}: holds no checkpoint, nor the model.safetensors of an exported"
    stopped(2, lambda: twin.main("sample")([str(changed)]))
    assert capsys.readouterr().err.endswith(f"error: {said} generator\n")
    with pytest.raises(UsageError, match=f"^run {said}"):
        twin.library.load_generator(changed)


def test_a_folder_has_but_one_step(folder: Path, twin: Twin) -> None:
    for call in (twin.library.load_generator, twin.library.export):
        with pytest.raises(UsageError, match=r"^step 3: .* exported generator, of one"):
            call(folder, step=3)
    with pytest.raises(UsageError, match=r"^out: must name a place"):
        twin.library.export(folder)


def test_a_plugin_is_named(run: Path, tmp_path: Path) -> None:
    from shared.plugins import Plugin

    state = generator_of(checkpoint.load(run))
    hub.write(tmp_path / "own", state._replace(plugin=Plugin("own.py", "0" * 64)))
    assert hub.read(tmp_path / "own").plugin == Plugin("own.py", "0" * 64)
    card = (tmp_path / "own/README.md").read_text()
    assert f"those of `own.py`, SHA-256 `{'0' * 64}`, which" in card
    assert "images that may leave [-1, 1] a little" in card
    shutil.rmtree(tmp_path / "own")
