"""The page in a real browser: what moves together, what fits, and that it is silent.

Needs Chromium and the package playwright; without them it is skipped, and says so.
"""

import ast
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo
from shared.drawing import images
from shared.quantities import QUANTITIES
from shared.report import page as report
from shared.run.run_dir import RunDir

NAMES = ("cat", "dog", "owl")
DATA = DataInfo(3, 3, 600, "ab" * 32, NAMES)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
STEPS = range(0, 401, 100)
# A machine may be busy.
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run that has everything, and a warning."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    config = dataclasses.replace(PRESETS["cgan"], steps=400)
    run = RunDir.create(folder, config, DATA, twin="gans_torch")
    rng = np.random.default_rng(0)
    for step in range(10, 401, 10):
        values = {"d_loss": 0.001, "g_loss": float(rng.uniform(0.5, 1)), "d_real": 0.9}
        rate = {"images_per_second": 640.0, "g_grad_norm": 10.0 ** (step / 100)}
        run.append_metrics({"step": step, **values, **rate})
    pictures = [rng.integers(0, 256, (104, 274, 3), np.uint8) for _ in STEPS]
    for step, picture in zip(STEPS, pictures, strict=True):
        images.save_png(run.sample_path(step), picture)
        run.append_sample_metrics({"step": step, "diversity": 0.5})
    images.save_png(run.path / "real.png", pictures[-1])
    run.checkpoint_path(200).touch()
    run.config_file.write(config, DATA, twin="gans_jax", step=200)
    report.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    return run.path / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install playwright"
    )
    if CHROMIUM is None:
        pytest.skip("no browser: apt-get install chromium")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def odd_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run from Python that diverged, in a folder of a difficult name."""
    folder = tmp_path_factory.mktemp("browser") / 'it\'s "my" run é'
    run = RunDir.create(folder, dataclasses.replace(PRESETS["dcgan"], steps=400), DATA)
    for step in range(10, 401, 10):
        losses = {"d_loss": 40.0 - step / 10, "g_loss": 0.5}
        run.append_metrics({"step": step, **losses, "g_grad_norm": 7.0 + step / 100})
    run.append_metrics({"step": 405, "g_grad_norm": 0.0})
    run.append_metrics({"step": 407, "diverged": 1})
    run.append_scores({"step": 400, "precision": 0.0, "coverage": 0.0})
    resume = 'gans_torch.fit(config, data, resume="RUN")'
    report.write_report(run, resume, "gans_torch.library")
    return run.path / "report.html"


@pytest.fixture(scope="module", params=[100_000, 5_000_000])
def large_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A page of a long run that both twins trained, whose gradients are gone."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    run = RunDir.create(folder, PRESETS["dcgan"], DATA, twin="gans_torch")
    for step in (half := request.param // 2, request.param):
        run.append_metrics({"step": step, "d_loss": 1.0, "d_grad_norm": 0.0})
    run.checkpoint_path(half).touch()
    run.config_file.write(PRESETS["dcgan"], DATA, twin="gans_jax", step=half)
    names = ("fid", "kid", "precision", "recall", "density", "coverage")
    sanity = {"1797 copies of training images": dict.fromkeys(names, 0.5)}
    stored = {"step": step, "protocol": {}, "scores": {}, "sanity": sanity}
    (folder / f"evaluation-{step:06d}.json").write_text(json.dumps(stored))
    report.write_report(run, "python -m gans_jax.train --resume RUN", "gans_jax.train")
    return folder / "report.html"


@pytest.fixture
def large(browser: Any, large_file: Path) -> Iterator[Any]:
    yield from _opened(browser, large_file)


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Any]:
    yield from _opened(browser, file)


@pytest.fixture
def odd(browser: Any, odd_file: Path) -> Iterator[Any]:
    yield from _opened(browser, odd_file)


def _opened(browser: Any, file: Path) -> Iterator[Any]:
    """The page, which may ask for nothing and say nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url))
    tab.goto(file.as_uri())
    yield tab
    asked = [x[:400] for x in said if not x.startswith("data:")]
    assert asked == [file.as_uri()]
    context.close()


def state(tab: Any) -> tuple[str, str, set[str]]:
    """The axis, the step of the samples, and the steps that charts show."""
    charts = tab.locator("#charts .legend > span:first-child").all_inner_texts()
    return (
        tab.locator("#when").inner_text(),
        tab.locator("#frame-step").inner_text(),
        set(charts),
    )


def test_charts_and_samples_show_one_step(opened: Any) -> None:
    assert state(opened) == ("step 400", "after step 400", {"step 400"})
    shown = opened.locator("#frame").get_attribute("src")
    chart = opened.locator("#charts svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    # The axis of steps runs from 60 to 498 of 520.
    x = box["x"] + box["width"] * (60 + 438 * 230 / 400) / 520
    opened.mouse.move(x, box["y"] + box["height"] / 2)
    assert state(opened) == ("step 230", "after step 200", {"step 230"})
    assert opened.locator("#frame").get_attribute("src") != shown
    slider = opened.locator("#slider")
    assert slider.input_value() == "230"
    slider.focus()
    opened.keyboard.press("ArrowRight")
    assert state(opened)[0] == "step 240"
    chart.focus()
    opened.keyboard.press("Home")
    assert state(opened) == ("step 0", "after step 0", {"step 0"})
    slider.evaluate("s => { s.value = 311; s.dispatchEvent(new Event('input')); }")
    assert state(opened) == ("step 310", "after step 300", {"step 310"})


def test_a_curve_says_what_it_is_where_a_pointer_rests(opened: Any) -> None:
    curve = opened.locator("#charts .legend > span", has_text="D(x)")
    assert curve.get_attribute("title") == QUANTITIES["d_real"].meaning


def test_events_are_marks_that_lead_there(opened: Any) -> None:
    marks = opened.locator(".mark")
    kinds = {x.split()[-1] for x in marks.evaluate_all("m => m.map(x => x.className)")}
    assert {"checkpoint", "warning", "twin"} <= kinds
    opened.locator(".mark.twin").click()
    assert state(opened)[0] == "step 200"
    assert "gans_jax goes on" in opened.locator(".mark.twin").get_attribute("title")
    assert opened.locator("#charts line.event.twin").count() > 0
    assert opened.locator("#charts line.equilibrium").count() > 1


def test_grids_are_large_and_can_be_enlarged(opened: Any) -> None:
    box = opened.locator("#frame").bounding_box()
    assert box["width"] >= 760
    style = "i => getComputedStyle(i).imageRendering"
    assert opened.locator("#frame").evaluate(style) == "pixelated"
    names = opened.locator(".rows ol").first.locator("li").all_inner_texts()
    assert names == list(NAMES)
    opened.locator("button.picture").first.click()
    large = opened.locator("#large img")
    assert large.bounding_box()["width"] > 768
    opened.keyboard.press("Escape")
    assert not opened.locator("#large").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_by_day_and_by_night(opened: Any, scheme: Any) -> None:
    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": 360, "height": 740})
    assert opened.evaluate("document.documentElement.scrollWidth") == 360
    paper, ink = opened.evaluate(
        "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
    )
    assert (brightness(paper) > 128) == (scheme == "light")
    assert abs(brightness(paper) - brightness(ink)) > 128
    narrow = opened.evaluate(
        "[...document.querySelectorAll('.stacked td')].filter("
        "x => x.textContent.trim().length > 20 && x.clientWidth < 200).length"
    )
    assert narrow == 0


def test_python_is_given_the_folder_as_its_own_string(odd: Any, odd_file: Path) -> None:
    words = odd.locator("#resume").inner_text()
    (keyword,) = ast.parse(words, mode="eval").body.keywords  # type: ignore[attr-defined]
    assert ast.literal_eval(keyword.value) == str(odd_file.parent)


def test_marks_of_one_step_stand_side_by_side_and_lead_there(odd: Any) -> None:
    marks = [odd.locator(f".mark.{kind}").first for kind in ("warning", "diverged")]
    places = {mark.bounding_box()["x"] for mark in marks}
    assert len(places) == 2
    for mark in marks:
        odd.locator("#slider").press("Home")
        mark.click()
        assert odd.locator("#when").inner_text() == "step 407"


def test_the_mark_of_a_handover_stands_beside_that_of_its_checkpoint(
    large: Any,
) -> None:
    dot, arrows = (
        large.locator(f".mark.{kind}").first.bounding_box()
        for kind in ("checkpoint", "twin")
    )
    assert dot["x"] - arrows["x"] > 0.5 * dot["width"]


def test_no_number_of_the_axis_is_cut_or_touches_another(large: Any) -> None:
    for width in (390, 1280):
        large.set_viewport_size({"width": width, "height": 900})
        chart = large.locator("#charts svg[role=img]").first
        box = chart.bounding_box()
        words = chart.locator("> text[text-anchor=middle]")
        boxes = [words.nth(n).bounding_box() for n in range(words.count())]
        assert len(boxes) >= 3
        ends = [x["x"] + x["width"] for x in boxes]
        assert max(ends) <= box["x"] + box["width"]
        gaps = [x["x"] - end for x, end in zip(boxes[1:], ends, strict=False)]
        assert min(gaps) > boxes[0]["width"] / 2  # one digit


def test_zeros_alone_are_told_and_not_drawn(large: Any) -> None:
    chart = large.locator("#charts .card", has_text="Gradients of the weights")
    assert chart.locator("text", has_text="all 0").count() == 1
    assert chart.locator("polyline").count() == 0
    assert chart.locator("text[text-anchor=end]").count() == 0
    assert "D 0" in chart.locator(".legend").inner_text()


def test_headings_of_a_wide_table_are_whole_words(large: Any) -> None:
    large.set_viewport_size({"width": 360, "height": 740})
    heights = large.locator(".wide th").evaluate_all("x => x.map(y => y.clientHeight)")
    assert len(heights) > 6
    assert max(heights) < 40  # a line
    assert large.evaluate("document.documentElement.scrollWidth") == 360


def test_ends_of_the_game_that_are_near_have_words_apart(odd: Any) -> None:
    words = odd.locator("#charts svg").first.locator("text", has_text=": ")
    boxes = [words.nth(n).bounding_box() for n in range(words.count())]
    assert len(boxes) == 2
    first, second = sorted(box["y"] for box in boxes)
    assert second - first >= boxes[0]["height"] * 0.8
    # Over the curves, which would cross them out.
    order = "s => [...s.children].map(x => x.tagName + x.textContent.includes(': '))"
    tags = odd.locator("#charts svg[role=img]").first.evaluate(order)
    assert tags.index("texttrue") > tags.index("svgfalse")


def test_a_zero_does_not_flatten_a_logarithmic_chart(odd: Any) -> None:
    chart = odd.locator("#charts .card", has_text="Gradients of the weights")
    ticks = chart.locator("svg text[text-anchor=end]").all_text_contents()
    assert set(ticks) == {"8", "10"}


def test_an_axis_of_nothing_but_zeros_goes_up_from_there(odd: Any) -> None:
    chart = odd.locator("#charts .card", has_text="Quality and variety")
    ticks = chart.locator("svg text[text-anchor=end]").all_text_contents()
    assert ticks == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def brightness(colour: str) -> float:
    numbers = colour.partition("(")[2].rstrip(")").split(",")[:3]
    return float(np.mean([float(x) for x in numbers]))
