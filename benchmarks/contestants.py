"""Who competes: the textbook loop and the twins, behind one small interface."""

import importlib
import itertools
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import Case
from shared.backend import Backend
from shared.drawing.images import to_uint8
from shared.evaluation.samples import GeneratedSamples
from shared.training.background import prefetch
from shared.training.session import Prepared, Session


class Contestant(Protocol):
    """Something that trains."""

    images_per_call: int
    """Real images that one call of `step` or `step_with_data` consumes."""

    def step(self) -> None:
        """Train on data that are at hand, without waiting for the device."""
        ...

    def step_with_data(self) -> None:
        """Train as in earnest: with fetched data and numbers, and metrics read."""
        ...

    def wait(self) -> None:
        """Until the device has done all it was given."""
        ...

    def sample(self) -> None:
        """Draw one grid of images, on the host."""
        ...

    def images(self, num: int) -> NDArray[np.uint8]:
        """Images of new latents, in evaluation mode, for a judge.

        Args:
            num: how many.

        Returns:
            Shape [num, height, width, channels].
        """
        ...


class TextbookContestant:
    """The textbook loop; ``.item()`` waits in every step."""

    def __init__(self, case: Case, device: str) -> None:
        import torch

        from benchmarks import textbooks

        self.images_per_call = case.config.batch_size * case.config.n_critic
        self._torch = torch
        torch.manual_seed(case.config.seed)
        self._textbook = textbooks.build(case, device)
        self._batches = self._textbook.batches()
        self._at_hand = tuple(
            batch.to(self._textbook.device) for batch in next(self._batches)
        )

    def step(self) -> None:
        """Train on one batch, again and again."""
        self._textbook.step(self._at_hand)

    def step_with_data(self) -> None:
        """Train on what the DataLoader yields."""
        self._textbook.step(next(self._batches))

    def wait(self) -> None:
        """Nothing is under way: every step waits."""

    def sample(self) -> None:
        """Draw 64 images."""
        with self._torch.no_grad():
            z = self._torch.randn(64, self._textbook.config.z_dim, 1, 1)
            self._textbook.sampler()(z.to(self._textbook.device)).cpu()

    def images(self, num: int) -> NDArray[np.uint8]:
        """Draw in evaluation mode, as textbooks forget to do."""
        generator = self._textbook.sampler().eval()
        with self._torch.no_grad():
            z = self._torch.randn(num, self._textbook.config.z_dim, 1, 1)
            drawn = generator(z.to(self._textbook.device)).cpu()
        generator.train()
        return to_uint8(drawn.permute(0, 2, 3, 1).numpy())


class TwinContestant:
    """A twin, used just as `shared.training.loop` uses it."""

    def __init__(self, case: Case, framework: str, device: str) -> None:
        backend = _backend(case, framework, device)
        self._session = Session(case.config, case.data(), backend)
        self._session.start()
        self._count = backend.steps_per_call
        batch = case.config.batch_size * case.config.n_critic
        self.images_per_call = batch * self._count
        self._at_hand = self._prepare(0)
        self._inputs = prefetch(self._prepare, itertools.count())
        self._read: Callable[[], object] = dict

    def step(self) -> None:
        """Train on the same draws, again and again."""
        self._read = self._session.train(self._at_hand)

    def step_with_data(self) -> None:
        """Train on what is drawn meanwhile, and read the metrics of the call before."""
        read = self._session.train(next(self._inputs))
        self.wait()
        self._read = read

    def wait(self) -> None:
        """Read the metrics of the last call, which waits for it."""
        self._read()

    def sample(self) -> None:
        """Draw 64 images."""
        config = self._session.config
        labels = np.arange(64, dtype=np.int32) % 10 if config.conditional else None
        self._session.backend.sample(np.zeros((64, config.z_dim), np.float32), labels)

    def images(self, num: int) -> NDArray[np.uint8]:
        """Draw as `evaluate` does, from G's average where there is one."""
        session = self._session
        labels = session.data.labels if session.config.conditional else None
        samples = GeneratedSamples(session.backend, session.config, labels)
        return samples.draw(num, seed=0, number=0)

    def _prepare(self, call: int) -> Prepared:
        steps = range(call * self._count, (call + 1) * self._count)
        return self._session.prepare(steps)


def build(case: Case, framework: str, device: str) -> Contestant:
    """The contestant of that framework; names as in `benchmarks.race.Entry`."""
    if framework == "textbook":
        return TextbookContestant(case, device)
    return TwinContestant(case, framework, device)


def _backend(case: Case, framework: str, device: str) -> Backend:
    # Imported here: a process measures one framework, with no other in it.
    twin = importlib.import_module(f"gans_{framework.removesuffix('-eager')}")
    backend = twin.make_backend(case.config, case.data_info, device)
    if framework == "torch-eager":
        backend._graphs = None
    return backend
