"""What people run today: GANs in PyTorch, in the common published manner.

Eager PyTorch in its default memory format; a DataLoader that resizes and normalises one
Pillow image at a time; default Adam; ``.item()`` on every step. Networks and
hyperparameters are those of the case, so only the manner differs. They are yardsticks,
not models to follow.
"""

from benchmarks.cases import Case
from benchmarks.textbooks.dcgan import DcganTextbook
from benchmarks.textbooks.loop import Textbook
from benchmarks.textbooks.r3gan import R3ganTextbook
from benchmarks.textbooks.sngan import SnganTextbook
from benchmarks.textbooks.stylegan2 import Stylegan2Textbook

TEXTBOOKS: dict[str, type[Textbook]] = {
    "dcgan": DcganTextbook,
    "sngan-resnet": SnganTextbook,
    "r3gan": R3ganTextbook,
    "stylegan2": Stylegan2Textbook,
}


def build(case: Case, device: str) -> Textbook:
    """The textbook of the case's architecture.

    Args:
        case: what it trains.
        device: name of a PyTorch device.
    """
    return TEXTBOOKS[case.config.architecture](case, device)
