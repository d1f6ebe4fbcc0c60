"""What Python hands over is held to the annotations, and told in its words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from shared.config.arguments import from_python, in_flags, in_python
from shared.errors import DamagedError, TrainingError, UsageError


@from_python
def take(
    number: int | None = None,
    word: Literal["red", "blue"] = "red",
    place: str | Path | None = None,
    call: Callable[[int], int] | None = None,
    size: int | tuple[int, int] = 1,
    whether: bool = False,
    any_of_them: Any = None,
) -> int:
    """Something that is called."""
    return 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": 1.5}, "number 1.5: must be None or a whole number"),
        ({"number": True}, "number True: must be None or a whole number"),
        ({"number": [1]}, "number of type list: must be None or a whole number"),
        ({"word": "green"}, "word 'green': must be one of red, blue"),
        ({"word": np.zeros(2)}, "word of type ndarray: must be one of red, blue"),
        ({"place": 3}, "place 3: must be None or a path"),
        ({"place": ""}, "place '': no file or folder can have this name"),
        ({"place": "a\0b"}, r"place 'a\x00b': no file or folder can have this name"),
        (
            {"place": Path("\ud800")},
            r"place '\ud800': no file or folder can have this name",
        ),
        ({"call": "it"}, "call 'it': must be None or a function"),
        ({"size": (1, 2.5)}, "size (1, 2.5): must be a whole number or 2 in a tuple"),
        ({"whether": "yes"}, "whether 'yes': must be True or False"),
        ({"whether": 1, "number": ""}, "whether 1: must be True or False"),
    ],
)
def test_an_argument_of_another_type_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        take(**arguments)
    assert str(error.value) == message


def test_what_fits_is_handed_on() -> None:
    found: list[dict[str, Any]] = [
        {"number": 3, "word": "blue", "place": "here", "call": abs, "size": (1, 2)},
        {"number": np.int64(3), "place": Path("\udcff"), "whether": True},
    ]
    for arguments in found:
        assert take(**arguments) == 1
    assert take.__name__ == "take"
    unknown: dict[str, Any] = {"other": 3}
    with pytest.raises(TypeError, match=r"take\(\) got an unexpected keyword"):
        take(**unknown)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("--batch-size 3: needs --g-lr", "batch_size 3: needs g_lr"),
        (
            "--step 3: use python -m gans_torch.x RUN --step 4; or --keep all",
            "step 3: use python -m gans_torch.x RUN --step 4; or keep all",
        ),
        (
            "--devices 2: torchrun --nproc-per-node=2 -m x does it; or --keep all",
            "devices 2: torchrun --nproc-per-node=2 -m x does it; or keep all",
        ),
        ("--run-dir a\nb: is one", "run_dir a b: is one"),
        ("--run-dir lr--g-lr: needs (--g-lr)", "run_dir lr--g-lr: needs (g_lr)"),
        (
            "--run-dir a b: is one; resume it with --resume a b, or --keep all",
            'run_dir a b: is one; resume it with resume="a b", or keep all',
        ),
    ],
)
def test_flags_are_arguments_but_in_a_command(said: str, told: str) -> None:
    for kind in (UsageError, DamagedError, TrainingError):
        with pytest.raises(kind) as error, in_python():
            raise kind(said)
        assert str(error.value) == told
        with pytest.raises(kind) as error, in_flags(), in_python():
            raise kind(said)
        assert str(error.value) == said
