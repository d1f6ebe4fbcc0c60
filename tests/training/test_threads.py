import os
import subprocess
import sys

import pytest

_SCRIPT = """
from gans_torch.train import make_backend
from shared.data.image_data import DataInfo
from shared.config.presets import PRESETS

make_backend(PRESETS["dcgan"], DataInfo(1, 2, 6, ""), "cpu")
"""


@pytest.mark.needs("torch")
@pytest.mark.parametrize(
    ("given", "spins"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_threads_spin_briefly_unless_told_otherwise(
    given: dict[str, str], spins: str
) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    env = {k: v for k, v in os.environ.items() if k not in names}
    shown = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env=env | given | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("PyTorch comes with another OpenMP library")
    assert f"GOMP_SPINCOUNT = '{spins}'" in shown
