"""Which twins are under test, and how a test reaches one of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import compiled
import messages
from shared.config.traits import ARCHITECTURES, OBJECTIVES, PENALTIES
from shared.drawing import plots
from shared.files.atomic import write_atomically
from shared.training.threads import use_one_thread
from support import SELECTED, TINY, TWINS, Twin
from support import ctrl_c_is_heard as ctrl_c_is_heard
from support import place as place

# Before PyTorch is imported, here and in the commands that tests run.
use_one_thread()


# The same inputs each time, for as long as they take: `fuzz/search.py` tries others.
settings.register_profile(
    "gans",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gans")

_plot_losses = plots.plot_losses
_provoked: dict[str, set[str]] = {}


@pytest.fixture(autouse=True)
def has_its_messages_made(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that the list of messages names must provoke these."""
    messages.take()
    yield
    test = request.node.nodeid
    made = messages.take()
    # What makes its inputs by chance provokes others once it is changed.
    by_chance = getattr(request.function, "is_hypothesis_test", False)
    _provoked[test] = set() if by_chance else made
    if not os.environ.get("GANS_NOTE_MESSAGES"):
        missing = messages.claims().get(test, set()) - _provoked[test]
        assert not missing, "messages that this test no longer provokes"


@pytest.fixture(autouse=True)
def leaves_no_names() -> Iterator[None]:
    """What a test registers is a choice until it ends: others count the choices."""
    tables = (ARCHITECTURES, OBJECTIVES, PENALTIES)
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        for name in [*table]:
            if name not in rows:
                del table[name]
                for members in table.members:
                    members.pop(name, None)


def pytest_sessionfinish() -> None:
    messages.enter(_provoked)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="run what takes minutes, too: runs that are trained until they fail",
    )
    parser.addoption(
        "--every-moment",
        action="store_true",
        help="try faults at every moment of a run, not only at some",
    )


def pytest_configure() -> None:
    compiled.keep()
    messages.install()
    if not set(SELECTED) <= set(TWINS):
        names = ",".join(SELECTED)
        raise pytest.UsageError(f"GANS_TWINS={names}: must be torch, jax or torch,jax")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("long") and not item.config.getoption("--long"):
        pytest.skip("takes minutes; --long runs it")
    needed = [mark.args[0] for mark in item.iter_markers("needs")]
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        needed.append(item.callspec.params.get("twin", SELECTED[0]))
    for twin in needed:
        if twin not in SELECTED:
            pytest.skip(f"GANS_TWINS leaves {twin} out")


@pytest.fixture(params=SELECTED, scope="session")
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each twin under test in turn."""
    if request.param == "jax":
        compiled.share()
    return Twin(request.param)


@pytest.fixture(autouse=True, scope="session")
def cheap_plots() -> Iterator[None]:
    """No plots of losses: making one takes longer than a tiny training."""

    def plot_losses(
        path: Path,
        metrics: list[dict[str, Any]],
        title: str,
        chance: float | None,
    ) -> None:
        steps = [record["step"] for record in metrics]
        write_atomically(path, f"{title} {steps}".encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "plot_losses", plot_losses)
        yield


@pytest.fixture
def true_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots of losses all the same."""
    monkeypatch.setattr(plots, "plot_losses", _plot_losses)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of data sets, for ``--data-dir``."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def train(twin: Twin, data_dir: Path) -> Callable[..., None]:
    """``train(*arguments)`` calls this twin's ``train`` in this process."""

    def call(*arguments: object) -> None:
        twin.main("train")([*map(str, arguments), "--data-dir", str(data_dir)])

    return call


@pytest.fixture(scope="session")
def sample(twin: Twin) -> Callable[..., None]:
    """``sample(*arguments)`` calls this twin's ``sample`` in this process."""

    def call(*arguments: object) -> None:
        twin.main("sample")([*map(str, arguments), "--device", "cpu"])

    return call


@pytest.fixture(scope="session")
def finished(
    twin: Twin, train: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished `dcgan` of this twin, with the flags `TINY`; copy it to change it."""
    run = tmp_path_factory.mktemp(f"finished-{twin.name}") / "run"
    train("dcgan", *TINY, "--run-dir", run)
    return run
