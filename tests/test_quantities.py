"""The table of recorded numbers: what runs record is in it, and nothing else."""

import contextlib
import functools
import importlib
import json
import math
import string
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from shared import quantities
from shared.evaluation import classifier
from shared.quantities import QUANTITIES, Quantity
from support import Twin

# What together records everything; perceptrons, which JAX compiles in a moment.
_SHORT = ("--steps", 2, "--sample-every", 2, "--width", 8, "--batch-size", 8)
_TINY = (*_SHORT, "--architecture", "mlp", "--image-size", 8)
_FURTHER = ("--g-orthogonal", 0.1)
_ADAPTIVE = ("--augment", "ada")
_LABELLED = ("--conditional", "--aux-classifier", 1, "--feature-matching", 1, *_FURTHER)
RUNS = {
    "images": ("dcgan", *_TINY, "--d-norm", "none", "--evaluate-every", 2, *_ADAPTIVE),
    "critic": ("wgan-gp", *_TINY, "--d-norm", "none", "--n-critic", 1, *_LABELLED),
    # Which no perceptron has.
    "styles": (
        *("stylegan2", "--path-length", 1, "--image-size", 8, "--z-dim", 4),
        *("--steps", 1, "--width", 2, "--batch-size", 4),
    ),
    "points": ("ring", *_SHORT, "--g-norm", "batch", "--evaluate-every", 2),
    "diverged": ("ring", *_SHORT, "--optimizer", "rmsprop", "--g-lr", 1e38),
}
EVALUATED = ("images", "points")


def recorded(folder: Path) -> dict[str, set[str]]:
    """The names of all numbers in runs, by the place where they are."""
    names = defaultdict(set)
    for place in ("metrics", "samples", "scores"):
        for path in folder.glob(f"*/{place}.jsonl"):
            for line in path.read_text().splitlines():
                names[place] |= quantities.numbers(json.loads(line)).keys()
    for path in folder.glob("*/evaluation-*.json"):
        names["evaluation"] |= json.loads(path.read_text())["scores"].keys()
    return names


def test_the_table_is_what_runs_record(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a folder of its own: other tests need a classifier that has learnt something.
    where = ("--data-dir", tmp_path / "data", "--device", "cpu")
    hasty = functools.partial(classifier.train, steps=5)
    monkeypatch.setattr(classifier, "train", hasty)
    for name, flags in RUNS.items():
        arguments = [*flags, *where, "--run-dir", tmp_path / name]
        with contextlib.suppress(SystemExit):
            twin.main("train")(list(map(str, arguments)))
    for name in EVALUATED:
        arguments = [tmp_path / name, "--num", 32, *where]
        twin.main("evaluate")(list(map(str, arguments)))
    expected = defaultdict(set)
    for quantity in QUANTITIES.values():
        for place in quantity.places:
            expected[place].add(quantity.name)
    assert recorded(tmp_path) == expected


def test_every_group_is_a_chart_and_every_chart_has_curves() -> None:
    titles = [group.title for group in quantities.GROUPS]
    assert len(set(titles)) == len(titles)
    used = {quantity.group for quantity in QUANTITIES.values()}
    assert used == {*titles, ""}
    assert quantities.members("Losses") == {"d_loss": "D", "g_loss": "G"}
    assert quantities.members("FID") == {"fid": "FID"}


def test_every_number_has_words_of_its_own() -> None:
    rows = QUANTITIES.values()
    for words in ([x.title for x in rows], [x.meaning for x in rows]):
        assert all(words)
        assert len(set(words)) == len(words)
    for group in quantities.GROUPS:
        labels = list(quantities.members(group.title).values())
        assert len(set(labels)) == len(labels)


def test_what_decides_and_what_is_logged_is_in_the_table() -> None:
    fields = string.Formatter().parse(quantities.LOG_LINE)
    logged = {name for _, name, _, _ in fields if name is not None}
    assert "d_loss" in logged
    for name in logged:
        assert "metrics" in QUANTITIES[name].places
    for name in quantities.DECIDING:
        assert QUANTITIES[name].better != "neither"
        assert "scores" in QUANTITIES[name].places


def test_a_heading_says_of_how_many_and_where_it_is_better() -> None:
    assert QUANTITIES["fid"].heading() == "FID ↓"
    assert QUANTITIES["modes"].heading(8) == "modes covered of 8 ↑"
    assert QUANTITIES["nearest_distance"].heading() == "distance to data"
    toy = Quantity("toy", "toys", "how many", ("metrics",))
    assert toy.heading() == "toys"


def test_a_huge_loss_is_logged_in_short() -> None:
    usual = dict.fromkeys(("d_real", "d_fake_before", "d_fake_after"), 0.5)
    usual |= {"d_loss": 99999.5, "g_loss": -7.2e18, "images_per_second": 250000.0}
    assert quantities.log_line(usual) == (
        "D loss 99999.500  G loss -7.2e+18  D(x) 0.50  D(G(z)) 0.50/0.50"
        "  250000 images/s"
    )


def test_numbers_are_what_a_record_holds_besides() -> None:
    record = {"step": 3, "protocol": {"draws": 1}, "fid": None, "own": 2.5}
    assert quantities.numbers(record) == {"own": 2.5}


def test_where_nothing_tells_samples_apart_the_game_has_its_value(twin: Twin) -> None:
    losses = importlib.import_module(f"gans_{twin.name}.losses")
    framework = {"torch": "torch", "jax": "jax.numpy"}[twin.name]
    undecided = importlib.import_module(framework).zeros(4)
    value = losses.game_value(undecided, undecided)
    np.testing.assert_allclose(value, -2 * math.log(2), rtol=1e-6)
