"""A few hundred of the inputs that ``python tests/fuzz/search.py`` makes."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.readers import READERS, try_input


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
    deadline=None,
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
