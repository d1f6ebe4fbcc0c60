"""PyTorch's own modes, where a user has chosen others around a call."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def usual_modes() -> Iterator[None]:
    """With gradients, and without autocast, whatever a user has chosen around it.

    What is made inside ``torch.inference_mode()`` could never be trained.
    """
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield
