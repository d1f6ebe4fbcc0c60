"""A few hundred of the inputs that ``python tests/fuzz/search.py`` makes."""

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.readers import NASTY, READERS, try_input
from shared.quantities import QUANTITIES


@pytest.mark.parametrize("name", READERS)
def test_what_is_right_is_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    for number, seed in enumerate(reader.seeds()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert try_input(reader, seed, folder) is None


@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rng=st.randoms(use_true_random=False), mutations=st.integers(1, 4))
def test_what_is_wrong_is_one_line(
    name: str, tmp_path: Path, rng: random.Random, mutations: int
) -> None:
    reader = READERS[name]
    case = rng.choice(reader.seeds())
    for _ in range(mutations):
        case = reader.mutate(rng, case)
    try_input(reader, case, tmp_path)


def test_a_record_may_hold_any_number(tmp_path: Path) -> None:
    numbers = [x for x in NASTY if type(x) is float or (type(x) is int and x < 2**63)]
    for number in filter(math.isfinite, numbers):
        lines = [
            {"step": step} | dict.fromkeys(QUANTITIES, number)
            for step in (0, 200, 400, 2**63 - 1)
        ]
        text = b"\n".join(json.dumps(line).encode() for line in lines)
        assert try_input(READERS["records"], text, tmp_path) is None


def test_a_setting_may_hold_anything(tmp_path: Path) -> None:
    values = json.loads(READERS["config"].seeds()[0])
    for name in values:
        for value in NASTY[::2]:
            text = json.dumps(values | {name: value}).encode()
            try_input(READERS["config"], text, tmp_path)
