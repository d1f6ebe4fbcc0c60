"""Errors reach other processes, as what is raised in a pool of them does."""

import copy
import inspect
import pickle
from pathlib import Path

import pytest

from shared import errors
from shared.errors import Diverged, Interrupted

KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, BaseException)
]
GIVEN: dict[object, tuple[object, ...]] = {
    Diverged: (3, "d_loss is nan", True),
    Interrupted: (Path("run"),),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_can_be_pickled_and_copied(kind: type[BaseException]) -> None:
    error = kind(*GIVEN.get(kind, ("steps 0: must be 1 or more",)))
    error.args = tuple(f"{words}, in other words" for words in error.args)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_what_has_diverged_keeps_what_it_was_told() -> None:
    again = pickle.loads(pickle.dumps(Diverged(3, "d_loss is nan", True)))
    assert (again.step, again.what, again.rolled_back) == (3, "d_loss is nan", True)
    assert "--on-nan" not in str(again)
    assert pickle.loads(pickle.dumps(Interrupted(Path("run")))).path == Path("run")
