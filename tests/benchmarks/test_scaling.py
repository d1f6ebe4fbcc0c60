"""What several devices send, and how it is measured what they gain."""

from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.messages import Sent, count

# The bytes are those of all parameters, once each network, and of eleven numbers.
_RING = Sent(sums=13, numbers=11, size=268_856, gradients=268_812)


@pytest.mark.parametrize(
    "twin",
    [pytest.param(x, marks=pytest.mark.needs(x)) for x in ("torch", "jax")],
)
def test_messages_are_counted_without_a_second_device(twin: str) -> None:
    assert count(twin, "ring") == _RING


@pytest.mark.long
@pytest.mark.needs("torch")
def test_a_table_of_what_is_sent_and_gained(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--counted", "ring", "--timed", "ring", "--twins", "torch"]
    once = ["--rounds", "1", "--steps", "1", "--data-dir", str(data_dir)]
    scaling.main([*flags, *once])
    lines = capsys.readouterr().out.splitlines()
    assert "| `ring` | torch | 13 | 11 | 269 kB | 269 kB |" in lines
    *_, strong, weak, _ = lines[-1].split("|")
    assert float(strong) > 0
    assert float(weak) > 0
