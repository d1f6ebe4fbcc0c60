"""The launch lines of docs/devices.md reach the program, by torchrun's own reading."""

import re
import shlex
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "docs" / "devices.md"
# Each in one line, with numbers for what SLURM says.
_TEXT = re.sub(r"\$\w+", "2", _PAGE.read_text("utf-8").replace("\\\n", " "))
_LINES = re.findall(r"^    (?:srun )?torchrun (.*)$", _TEXT, re.M)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("line", _LINES)
def test_torchrun_takes_no_flag_of_the_program(line: str) -> None:
    from torch.distributed.run import get_args_parser

    words = shlex.split(line)
    found = get_args_parser().parse_args(words)
    assert re.fullmatch(r"gans_\w+\.(train|sample|evaluate)", found.training_script)
    after = words[words.index(found.training_script) + 1 :]
    given = [word for word in found.training_script_args if word != "--"]
    assert given == [word for word in after if word != "--"]


def test_all_launch_lines_are_read() -> None:
    assert len(_LINES) >= 8
