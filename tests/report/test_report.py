"""The page about a run: everything in it, nothing fetched, the same bytes each time."""

import base64
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.report import page
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
    assert losses[0] == {"label": "D", "points": expected}
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
    config, _ = run.read_config()
    assert page.changed_settings(config) == [
        ("--d-lr", "0.001", "0.0002"),
        ("--adam-betas", "0.5 0.9", "0.5 0.999"),
    ]
    assert page.changed_settings(TrainConfig()) == []
    text = write(run).text
    assert text.index("--adam-betas") < text.index("All settings")


def test_a_run_without_anything_has_a_page(run: RunDir) -> None:
    assert write(run).data() == {"charts": [], "frames": []}


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
            "log": False,
            "curves": [{"label": "FID", "points": [[40, 12.345]]}],
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
    assert f"<h1>{html.escape('dcgan on ' + name, quote=False)[:20]}" in found.text
