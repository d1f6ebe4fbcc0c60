"""The page about a run: everything in it, nothing fetched, the same bytes each time."""

import base64
import dataclasses
import html
import importlib
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import quantities
from shared.commands import command_line
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.config.traits import OBJECTIVES
from shared.data.image_data import DataInfo
from shared.diagnosis.symptoms import DIVERGENCE
from shared.diagnosis.watch import Diagnosis
from shared.drawing import images
from shared.plugins import Plugin
from shared.quantities import QUANTITIES
from shared.report import guide, page, tiles
from shared.run.rollbacks import Rollback
from shared.run.run_dir import RunDir
from support import TINY, Train, Twin, copy

DATA = DataInfo(channels=1, num_classes=10, count=1797, sha256="ab" * 32)


class Page(HTMLParser):
    """A page's tags, and the data that its script reads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def data(self) -> dict[str, Any]:
        found = re.search(
            r'type="application/json" id="data">(.*?)</script>', self.text
        )
        assert found is not None
        return json.loads(found.group(1))


def read(run: Path) -> Page:
    return Page((run / "report.html").read_text("utf-8"))


def bytes_of(uri: str) -> bytes:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return base64.b64decode(content)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    config = TrainConfig(d_lr=1e-3, adam_betas=(0.5, 0.9))
    return RunDir.create(tmp_path / "run", config, DATA)


def write(run: RunDir) -> Page:
    page.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    return read(run.path)


def test_a_run_leaves_a_page_with_all_it_has(twin: Twin, finished: Path) -> None:
    found = read(finished)
    data = found.data()
    assert [frame["step"] for frame in data["frames"]] == [0, 2, 4, 6]
    for frame in data["frames"]:
        path = finished / "samples" / f"{frame['step']:06d}.png"
        assert bytes_of(frame["uri"]) == path.read_bytes()
    titles = [chart["title"] for chart in data["charts"]]
    for title in ("Losses", "Output of D", "Gradients of the weights", "Samples"):
        assert title in titles
    assert "Wasserstein estimate" not in titles
    losses = data["charts"][titles.index("Losses")]["curves"]
    records = RunDir(finished).read_metrics()
    expected = [[r["step"], pytest.approx(r["d_loss"], rel=1e-4)] for r in records]
    meaning = QUANTITIES["d_loss"].meaning
    assert losses[0] == {"label": "D", "meaning": meaning, "points": expected}
    pictures = [a["src"] for tag, a in found.tags if tag == "img"]
    for name, uri in zip(("samples", "real", "interpolation"), pictures, strict=True):
        assert uri is not None
        assert bytes_of(uri) == (finished / f"{name}.png").read_bytes()
    assert f"python -m gans_{twin.name}.train --resume RUN --data-dir" in found.text
    assert f"python -m gans_{twin.name}.sample RUN" in found.text


def test_nothing_is_fetched_and_links_stay_in_the_folder(finished: Path) -> None:
    found = read(finished)
    for tag, attributes in found.tags:
        for name in ("src", "href"):
            target = attributes.get(name)
            if target is not None and not target.startswith("data:"):
                assert tag == "a"
                assert (finished / target).exists()
    outside = set(re.findall(r"https?://[^\"'\s]+", found.text))
    assert outside == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert "@import" not in found.text
    assert str(finished) not in found.text


def test_pictures_have_texts_and_controls_have_names(finished: Path) -> None:
    tags = read(finished).tags
    assert all(a.get("alt") for tag, a in tags if tag == "img")
    assert all(a.get("aria-label") for tag, a in tags if tag == "input")
    assert dict(tags)["html"] == {"lang": "en"}


def test_a_critic_has_curves_of_its_own(train: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train("wgan-gp", *TINY, "--n-critic", 1, "--steps", 2, "--run-dir", run)
    titles = [chart["title"] for chart in read(run).data()["charts"]]
    assert {"Wasserstein estimate", "Penalty"} <= set(titles)


def test_the_page_is_made_of_the_folder_alone(finished: Path, tmp_path: Path) -> None:
    before = (finished / "report.html").read_bytes()
    moved = copy(finished, tmp_path)
    command = html.unescape(
        next(x for x in before.decode().splitlines() if "--resume RUN" in x)
    )
    command = re.sub("<[^>]*>", "", command)
    page.write_report(RunDir(moved), command, command.split()[2])
    assert (moved / "report.html").read_bytes() == before


def test_settings_that_differ_come_first(run: RunDir) -> None:
    config, _ = run.config_file.read()
    assert page.changed_settings(config) == [
        ("--d-lr", "0.001", "0.0002"),
        ("--adam-betas", "0.5 0.9", "0.5 0.999"),
    ]
    assert page.changed_settings(TrainConfig()) == []
    text = write(run).text
    assert text.index("--adam-betas") < text.index("All settings")


def test_a_run_without_anything_has_a_page(run: RunDir) -> None:
    empty = {"charts": [], "frames": [], "events": [], "last": 0}
    found = write(run)
    assert found.data() == empty
    assert "slider" not in {a.get("id") for _, a in found.tags}


def test_scores_are_shown_with_their_protocol(run: RunDir) -> None:
    score = {"title": "FID <", "shown": "12.345 ± 0.678", "protocol": "by <us>"}
    score |= {"value": 12.345, "interval_95": 0.678}
    stored = {"step": 40, "protocol": {"samples": 2000}, "scores": {"fid": score}}
    (run.path / "evaluation-000040.json").write_text(json.dumps(stored))
    line: dict[str, Any] = {"step": 40, "fid": 12.345}
    (run.path / "scores.jsonl").write_text(json.dumps(line) + "\n")
    found = write(run)
    assert "Scores while training" not in found.text
    line["protocol"] = {"samples": 1797, "draws": 1}
    (run.path / "scores.jsonl").write_text(json.dumps(line) + "\n")
    found = write(run)
    for words in (
        "Scores while training: samples: 1797; draws: 1",
        "Scores after step 40",
        "FID &lt;",
        "12.345 ± 0.678",
        "by &lt;us&gt;",
    ):
        assert words in found.text
    assert "samples: 2000" in found.text
    assert found.data()["charts"] == [
        {
            "title": "FID",
            "note": "Of --evaluate-every; smaller is better.",
            "guide": guide.sentence(TrainConfig(), "FID"),
            "lines": [],
            "log": False,
            "folded": False,
            "curves": [
                {
                    "label": "FID",
                    "meaning": QUANTITIES["fid"].meaning,
                    "points": [[40, 12.345]],
                }
            ],
        }
    ]


def test_later_scores_are_judged_too(run: RunDir) -> None:
    run.append_metrics({"step": 1200, "d_loss": 1.0})
    assert "No warnings: D and G kept each other in balance" in write(run).text
    # Here the gap is in grey levels.
    values = {"class_kl": 1.75, "batch_norm_gap": 3.35}
    scores = {
        name: {"title": name, "shown": str(x), "protocol": "", "value": x}
        | {"interval_95": None}
        for name, x in values.items()
    }
    for step in (1000, 1100, 1200):
        stored = {"step": step, "protocol": {}, "scores": scores}
        (run.path / f"evaluation-{step:06d}.json").write_text(json.dumps(stored))
    page.refresh_report(run)
    text = read(run.path).text
    assert "G has lost modes" in text
    assert "No warnings" not in text
    assert text.count('class="card warning"') == 1


def test_a_short_run_is_not_called_balanced(run: RunDir) -> None:
    run.append_metrics({"step": 199, "d_loss": 1.0})
    assert "No warnings, but most of them need 200 steps or more" in write(run).text
    answers = [tiles.health([], step, []).answer for step in (199, 200)]
    assert answers == ["too early", "good"]


def test_a_long_run_still_gives_a_small_page(run: RunDir) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (250, 250, 3), np.uint8)
    for step in range(100):
        run.append_metrics({"step": step, "d_loss": step if step % 7 else None})
        images.save_png(run.sample_path(step), picture)
    for step in range(100, 3000):
        run.append_metrics({"step": step, "d_loss": step})
    data = write(run).data()
    points = data["charts"][0]["curves"][0]["points"]
    assert len(points) == 1000
    assert (points[0], points[-1]) == ([1, 1], [2999, 2999])
    steps = [frame["step"] for frame in data["frames"]]
    assert 25 <= len(steps) <= 30
    assert (steps[0], steps[-1]) == (0, 99)
    assert (run.path / "report.html").stat().st_size < 9_000_000


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    name = 'folder:a</script><b title="x">&'
    run = RunDir.create(tmp_path, TrainConfig(dataset=name), DATA)
    run.append_metrics({"step": 1, "d_loss": 1.0})
    found = write(run)
    assert "b" not in {tag for tag, _ in found.tags}
    shown = "dcgan on folder:" + Path(name).name
    assert f"<h1>{html.escape(shown, quote=False)[:30]}" in found.text


def test_four_tiles_answer_first(run: RunDir) -> None:
    found = tiles_of(write(run))
    assert list(found) == ["Score", "Trained", "Twin", "Health"]
    assert found["Score"][:2] == ("none yet", "python -m gans_jax.evaluate RUN")
    assert found["Trained"][0] == "not yet"
    assert found["Health"][0] == "too early"
    # 640 images at 64 a second, and twice as many at half of it.
    run.append_metrics({"step": 10, "d_loss": 1.0, "images_per_second": 64.0})
    run.append_metrics({"step": 20, "d_loss": 1.0, "images_per_second": 32.0})
    run.append_scores({"step": 10, "fid": 2.5})
    run.append_scores({"step": 20, "fid": 1.5})
    config, _ = run.config_file.read()
    for twin in ("gans_torch", "gans_jax"):
        run.config_file.write(config, DATA, twin=twin, step=20 * (twin == "gans_jax"))
    found = tiles_of(write(run))
    assert found["FID ↓"] == ("1.500", "while training, step 20; of one draw")
    assert found["Trained"] == ("40 s", "1,280 images seen, 20 steps")
    assert found["Twin"][0] == "PyTorch, then JAX"
    score = {"title": "FID", "shown": "1.25 ± 0.10", "protocol": "", "value": 1.25}
    stored: dict[str, Any] = {"step": 20, "protocol": {}}
    stored["scores"] = {"fid": {**score, "interval_95": 0.1}}
    stored["warnings"] = ["the judge is weak"]
    (run.path / "evaluation-000020.json").write_text(json.dumps(stored))
    page_now = write(run)
    assert tiles_of(page_now)["FID ↓"] == (
        "1.25 ± 0.10",
        "after step 20; the judge is weak",
    )
    assert '<p class="card warning">The judge is weak.</p>' in page_now.text


def tiles_of(found: Page) -> dict[str, tuple[str, str]]:
    pattern = (
        r'aria-label="([^"]*)">\s*<div class="faint">[^<]*</div>\s*<div class="answ'
    )
    pattern += r'er">([^<]*)</div>\s*<div class="faint">([^<]*)</div>'
    return {title: (x, y) for title, x, y in re.findall(pattern, found.text)}


@pytest.mark.parametrize(
    ("dataset", "flags"), [("folder:photos", " --features none"), ("swiss-roll", "")]
)
def test_the_command_that_scores_is_one_that_is_not_refused(
    dataset: str, flags: str, tmp_path: Path
) -> None:
    config = PRESETS["swiss-roll"] if dataset == "swiss-roll" else TrainConfig()
    config = dataclasses.replace(config, dataset=dataset)
    data = DataInfo(channels=1, num_classes=0, count=300, sha256="ab" * 32)
    found = tiles_of(write(RunDir.create(tmp_path, config, data)))
    assert found["Score"][1] == f"python -m gans_jax.evaluate RUN{flags}"


def test_a_slow_start_counts_once() -> None:
    """Rates are those since the last grid: 10 s to compile, then 40 images a second."""
    config = TrainConfig(batch_size=40, sample_every=50, log_every=10)
    seconds = [10 + k + (k > 50) for k in range(101)]  # a second of drawing: not meant
    records = [
        {
            "step": step,
            "images_per_second": 40 * (step - start) / (seconds[step] - begin),
        }
        for start, begin in ((0, 0), (50, seconds[50] + 1))
        for step in range(start + 10, start + 51, 10)
    ]
    found = tiles.time_and_images(config, records, 100)
    assert found.answer == "1 min 50 s"


def test_a_rate_is_that_since_the_last_grid_or_scores() -> None:
    config = TrainConfig(batch_size=40, sample_every=50, evaluate_every=20)
    rates = {10: 5.0, 20: 10.0, 40: 20.0, 50: 38.0}
    records = [{"step": x, "images_per_second": rate} for x, rate in rates.items()]
    # 80 s, the first half of them for half as many images, 40 s, and 10.5 s.
    assert tiles.time_and_images(config, records, 50).answer == "2 min 11 s"


def test_seconds_that_are_noted_are_believed_before_any_rate() -> None:
    """Another process has a clock of its own, of whose start no rate tells."""
    older = [{"step": x, "images_per_second": 10.0} for x in (10, 20)]
    newer = [{"step": 30, "images_per_second": 1.0, "seconds": 5.0}]
    config = TrainConfig(batch_size=10, sample_every=1000)
    for records, answer in ((older, "20 s"), (newer, "5 s"), (older + newer, "25 s")):
        assert tiles.time_and_images(config, records, 30).answer == answer


def test_of_warnings_the_worst_is_named_and_that_it_went_back() -> None:
    first = Diagnosis("D has won", "--d-lr smaller than --g-lr", 0, 9)
    last = Diagnosis(DIVERGENCE, "--clip-grad-norm 1", 20, 20)
    gone = [Rollback(to=10, at=15), Rollback(to=10, at=12)]
    found = [
        tiles.health(diagnoses, 20, rollbacks).detail
        for diagnoses, rollbacks in (
            *(([first], []), ([first, last], [])),
            *(([first], gone[:1]), ([first, last], gone)),
        )
    ]
    assert found == [
        "D has won; see below",
        f"{DIVERGENCE}; see below",
        "D has won; went back once; see below",
        f"{DIVERGENCE}; went back 2 times; see below",
    ]


def test_a_flag_and_its_values_are_one_word_of_code(run: RunDir) -> None:
    found = [
        part
        for remedy in (
            "--d-lr smaller than --g-lr, --objective wasserstein --penalty wgan-gp",
            "--adam-betas 0.5 0.999, --d-every 1 or more --steps",
            "a larger --penalty-weight or a smaller --d-lr",
        )
        for part in page._FLAGS.split(remedy)[1::2]
    ]
    assert found == [
        *("--d-lr", "--g-lr", "--objective wasserstein", "--penalty wgan-gp"),
        *("--adam-betas 0.5 0.999", "--d-every 1", "--steps"),
        *("--penalty-weight", "--d-lr"),
    ]
    run.append_metrics({"step": 1, "diverged": 1})
    said = re.search(r"Usually helps:(.*?)</p>", write(run).text, re.DOTALL)
    assert said is not None
    assert "<code>--clip-grad-norm 1</code>, <code>--" in said[1]
    assert 'smaller learning rates. <span class="faint">Seen' in said[1]


def test_a_run_that_diverged_has_trained_all_the_same() -> None:
    records = [{"step": 1, "images_per_second": 16.0}, {"step": 2, "diverged": 1}]
    config = TrainConfig(batch_size=32)
    found = tiles.time_and_images(config, records, 2)
    assert (found.answer, found.detail) == ("2 s", "64 images seen, 2 steps")
    found = tiles.time_and_images(PRESETS["ring"], records[1:], 1)
    assert (found.answer, found.detail) == ("unknown", "256 points seen, 1 step")


def test_a_run_without_checkpoints_offers_no_drawing(run: RunDir) -> None:
    run.append_metrics({"step": 1, "d_loss": 1.0})
    found = write(run).text
    assert "gans_jax.sample" not in found
    assert "· 1 step ·" in found
    run.checkpoint_path(1).touch()
    assert "python -m gans_jax.sample RUN --interpolate" in write(run).text


def test_what_happened_is_on_the_axis_of_time(run: RunDir) -> None:
    for step in (10, 20):
        run.append_metrics({"step": step, "d_loss": 1.0})
        run.append_scores({"step": step, "fid": float(step)})
        run.checkpoint_path(step).touch()
    run.append_metrics({"step": 30, "diverged": 1})
    config, _ = run.config_file.read()
    run.config_file.write(config, DATA, twin="gans_torch")
    run.config_file.write(config, DATA, twin="gans_jax", step=20)
    assert run.config_file.handovers() == [(20, "gans_jax")]
    data = write(run).data()
    assert data["last"] == 30
    assert [(x["step"], x["kind"]) for x in data["events"]] == [
        *((10, "checkpoint"), (20, "checkpoint"), (10, "best")),
        *((30, "warning"), (30, "diverged"), (20, "twin")),
    ]
    assert "training has diverged" in data["events"][3]["text"]


def test_a_run_of_one_twin_has_no_handovers(run: RunDir) -> None:
    config, _ = run.config_file.read()
    for step in (0, 5):
        run.config_file.write(config, DATA, twin="gans_torch", step=step)
    assert run.config_file.handovers() == []
    assert "handovers" not in (run.path / "config.json").read_text()


def test_a_rectangle_is_spelled_as_the_command_line_does(tmp_path: Path) -> None:
    config = TrainConfig(image_size=(48, 64))
    run = RunDir.create(tmp_path / "run", config, DATA)
    assert page.changed_settings(config) == [("--image-size", "48x64", "32")]
    page.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    text = html.unescape(read(run.path).text)
    assert "python -m gans_torch.train dcgan --image-size 48x64" in text
    assert "1,797 images of\n48\xd764, 1\nchannel" in text


@pytest.mark.parametrize(
    "place", ["folder:/home/me/photos", "folder:../home/photos", "folder:photos"]
)
@pytest.mark.parametrize(
    "start",
    [
        "python -m gans_jax.train",
        "torchrun --nproc-per-node=2 -m gans_jax.train",
        "srun --ntasks=2 python -m gans_jax.train",
    ],
)
def test_a_page_that_is_passed_on_names_no_place_of_its_author(
    tmp_path: Path, start: str, place: str
) -> None:
    config = TrainConfig(dataset=place, batch_size=32, epochs=2.0, steps=None)
    run = RunDir.create(tmp_path / "run", config, DATA)
    run.append_metrics({"step": 1, "d_loss": 1.0})
    command = f"{start} --resume RUN --data-dir '/home/m e/d' --cache-dir a/b"
    page.write_report(run, command, "gans_jax.train")
    page.refresh_report(run)
    text = html.unescape(read(run.path).text)
    assert "--resume RUN" in text
    assert "/home" not in text
    assert "dcgan on folder:photos" in text
    assert "--data-dir PATH/d --cache-dir a/b" in text
    flags = "dcgan --dataset folder:photos --epochs 2.0 --batch-size 32"
    for twin in ("gans_torch", "gans_jax"):
        assert f"python -m {twin}.train {flags}" in text
    assert "--steps" not in text.split("Run it again")[1].split("</pre>")[0]


CONFIGS = {
    "a preset": PRESETS["r3gan"],
    "flags": TrainConfig(image_size=(48, 64), adam_betas=(0.0, 0.9), flip=True),
    "a folder of two words": TrainConfig(dataset="folder:My Photos"),
    "another length": dataclasses.replace(PRESETS["gan-mnist"], epochs=None, steps=9),
    "a flag that is off": dataclasses.replace(PRESETS["r3gan-cifar10"], flip=False),
    "what no flag says": dataclasses.replace(
        PRESETS["r3gan"], final_penalty_weight=None, width=8
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_trains_a_run_again_means_the_same_run(
    twin: Twin, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDir.create(tmp_path / "run", config, DATA)
    page.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    module = f"gans_{twin.name}.train"
    again = html.unescape(read(run.path).text).split("Run it again")[1]
    command = re.search(rf"python -m {module} ([^<\n]*)", again)
    assert command is not None
    monkeypatch.chdir(run.path)
    words = shlex.split(command[1])
    assert command_line.parse_train(words, module).config == config


def test_what_trains_a_run_again_loads_its_plugin(tmp_path: Path) -> None:
    plugin = Plugin("own_losses.py", "ab" * 32)
    run = RunDir.create(tmp_path / "run", TrainConfig(), DATA, plugin=plugin)
    page.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    for twin in ("gans_torch", "gans_jax"):
        again = f"python -m {twin}.train dcgan --plugin own_losses.py"
        assert again in read(run.path).text


def test_a_run_on_arrays_has_no_command_that_trains_it_again(tmp_path: Path) -> None:
    config = TrainConfig(dataset="arrays")
    run = RunDir.create(tmp_path / "run", config, DATA)
    page.write_report(run, "fit(..., resume=RUN)", "gans_jax.library")
    assert "Run it again" not in read(run.path).text


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_has_a_guide(name: str) -> None:
    config = dataclasses.replace(PRESETS["ring"], objective=name)
    for group in ("Losses", "Output of D", "Samples", "Wasserstein estimate"):
        assert guide.sentence(config, group).endswith(".")
    chance = OBJECTIVES[name].chance_loss
    values = [line.value for line in guide.lines(config, "Losses")]
    assert values[:1] == ([] if chance is None else [chance])


def test_every_chart_has_a_guide() -> None:
    config = PRESETS["wgan-gp"]
    for group in quantities.GROUPS:
        assert guide.sentence(config, group.title).endswith("."), group
    (line,) = guide.lines(config, "Augmentation")
    assert line.value == 0.6  # Karras et al. 2020


def test_the_lines_are_where_the_losses_are_when_d_cannot_tell(twin: Twin) -> None:
    """A D whose output is the same for every image, at its best constant."""
    losses = importlib.import_module(f"gans_{twin.name}.losses")
    make = {"torch": "torch.full", "jax": "jax.numpy.full"}[twin.name]
    module, _, function = make.rpartition(".")
    full = getattr(importlib.import_module(module), function)
    for name, traits in OBJECTIVES.items():
        if traits.g_chance_loss is None:
            continue
        logits = full((4,), 0.5 if name == "least-squares" else 0.0)
        objective = losses.OBJECTIVES[name]
        real = {"real_logits": logits} if traits.relativistic else {}
        d_loss = objective.discriminator_loss(real_logits=logits, fake_logits=logits)
        g_loss = objective.generator_loss(**real, fake_logits=logits)
        assert float(d_loss) == pytest.approx(traits.chance_loss, rel=1e-6), name
        assert float(g_loss) == pytest.approx(traits.g_chance_loss, abs=1e-6), name


def test_what_holds_on_one_side_only_is_not_said_of_both() -> None:
    said = {
        name: guide.sentence(TrainConfig(penalty=name, d_norm="none"), "Penalty")
        for name in ("wgan-gp", "wgan-lp")
    }
    assert "should stay near 1" in said["wgan-gp"]
    assert "should stay at most 1" in said["wgan-lp"]


def test_smoothed_targets_have_no_line() -> None:
    assert guide.lines(TrainConfig(label_smoothing=0.1), "Losses") == []
    assert len(guide.lines(TrainConfig(), "Losses")) == 2


def test_rows_of_classes_have_their_names(tmp_path: Path) -> None:
    data = DATA._replace(num_classes=3, class_names=("cat", "dog", "owl"))
    for preset, expected in (("cgan", ["cat", "dog", "owl"]), ("dcgan", [])):
        run = RunDir.create(tmp_path / preset, PRESETS[preset], data)
        images.save_png(run.sample_path(0), np.zeros((9, 9, 1), np.uint8))
        found = re.findall(r"<li title=\"(\w+)\">", write(run).text)
        assert found == expected
    # A grid has not so many rows.
    many = data._replace(num_classes=images.MOST_CLASS_ROWS + 1, class_names=())
    names = page._row_names(PRESETS["cgan"], many)
    assert len(names) == images.MOST_CLASS_ROWS


def evaluated(run: RunDir, step: int, name: str, value: float) -> None:
    score = {"title": name, "shown": f"{value:.2f}", "protocol": "", "value": value}
    scores = {name: score | {"interval_95": None}}
    stored = {"step": step, "protocol": {}, "scores": scores}
    (run.path / f"evaluation-{step:06d}.json").write_text(json.dumps(stored))


def test_the_last_evaluation_is_the_answer(run: RunDir) -> None:
    for step, value in ((20, 2.0), (40, 1.0)):
        evaluated(run, step, "fid", value)
    found = tiles_of(write(run))
    assert found["FID ↓"] == ("1.00", "after step 40")


def test_the_newest_scores_come_first_and_older_ones_are_folded(run: RunDir) -> None:
    evaluated(run, 20, "fid", 1.0)
    assert "Earlier scores" not in write(run).text
    for step in (30, 40):
        evaluated(run, step, "fid", 1.0)
    # Of other features.
    newest = run.path / "evaluation-000040.json"
    (run.path / "evaluation-000040-inception.json").write_text(newest.read_text())
    text = write(run).text
    found = re.findall(r"<details>|</details>|Scores after step \d+|Earlier", text)
    assert found[:7] == [
        *["Scores after step 40"] * 2,
        *("<details>", "Earlier", "Scores after step 30", "Scores after step 20"),
        "</details>",
    ]


def test_names_from_right_to_left_leave_the_ids_alone(tmp_path: Path) -> None:
    data = DATA._replace(num_classes=2, class_names=("\u05d0", "<i>"))
    run = RunDir.create(tmp_path / "run", TrainConfig(), data)
    classes = re.search(r"Classes, by id:(.*?)</p>", write(run).text, re.DOTALL)
    assert classes is not None
    assert classes[1].split() == ["0", "<bdi>א</bdi>,", "1", "<bdi>&lt;i&gt;</bdi>."]


def test_large_numbers_are_grouped_as_in_the_tiles(run: RunDir) -> None:
    run.append_metrics({"step": 12345, "d_loss": 1.0})
    assert "\xb7 12,345 steps \xb7 1,797 images of" in write(run).text


@pytest.mark.parametrize(("name", "value"), [("class_kl", 1.75), ("modes", 2.0)])
def test_the_last_scores_are_judged_alone(run: RunDir, name: str, value: float) -> None:
    run.append_metrics({"step": 1200, "d_loss": 1.0})
    evaluated(run, 1200, name, value)
    assert "G has lost modes" in write(run).text


def test_a_run_is_as_far_as_its_last_grid(run: RunDir) -> None:
    run.append_metrics({"step": 10, "d_loss": 1.0})
    run.append_sample_metrics({"step": 30, "diversity": 0.5})
    assert tiles_of(write(run))["Trained"][1].endswith(", 30 steps")


def test_where_a_run_went_back_is_on_the_axis_of_time(run: RunDir) -> None:
    run.append_metrics({"step": 30, "d_loss": 1.0})
    run.config_file.note_rollbacks([Rollback(to=10, at=25)])
    (mark,) = write(run).data()["events"]
    assert mark == {
        "step": 25,
        "kind": "diverged",
        "text": "diverged; back to step 10",
    }


def test_zero_is_a_value_as_any_other(run: RunDir) -> None:
    for step in (1, 2):
        run.append_metrics({"step": step, "d_loss": 0.0})
    curve = write(run).data()["charts"][0]["curves"][0]
    assert curve["points"] == [[1, 0], [2, 0]]


def test_swapped_labels_have_no_line() -> None:
    assert guide.lines(TrainConfig(label_flip=0.1), "Losses") == []


def test_large_grids_are_fewer(run: RunDir) -> None:
    for step in range(5):
        run.sample_path(step).write_bytes(bytes(4_000_000))
    run.sample_path(5).touch()  # is no picture
    assert [x["step"] for x in write(run).data()["frames"]] == [0, 4]


def test_an_older_picture_of_neighbours_is_shown(run: RunDir) -> None:
    """There was one for all features."""
    evaluated(run, 20, "fid", 1.0)
    stored = run.path / "evaluation-000020.json"
    stored.rename(run.path / "evaluation-000020-inception.json")
    (run.path / "nearest-000020.png").write_bytes(b"neighbours")
    shown = base64.b64encode(b"neighbours").decode()
    assert f'src="data:image/png;base64,{shown}"' in write(run).text
