"""Compiled programs are kept for the next start, which computes the same."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import TINY, Twin, contents, last_checkpoint

pytestmark = pytest.mark.needs("jax")
_NAMES = (
    *("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE"),
    *("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "PYTHONWARNINGS"),
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, in which nothing is kept yet."""
    for name in _NAMES:
        monkeypatch.setenv(name, "")  # so that what is set is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gans-twins"


def _keep() -> None:
    importlib.import_module("gans_jax._compiled").keep_compiled()


def _programs(cache: Path) -> dict[str, bytes]:
    return {name: x for name, x in contents(cache).items() if name.endswith("-cache")}


def test_the_next_start_takes_what_was_kept(
    cache: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of it: which programs take longer than a limit, chance decides.
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    flags = [*TINY, "--steps", "2", "--data-dir", data_dir]
    kept = []
    for name in ("first", "second"):
        command = Twin("jax").command("train", *flags, "--run-dir", tmp_path / name)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert "Warning" not in done.stderr
        kept.append(_programs(cache))
    assert kept[0]
    assert kept[1] == kept[0]
    first, second = (last_checkpoint(tmp_path / x) for x in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_nothing_is_kept_where_the_user_does_not_want_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train = importlib.import_module("gans_jax.train")
    asked = []
    monkeypatch.setattr(train, "keep_compiled", lambda: asked.append(True))
    words = ["--dataset", "folder:nowhere", "--run-dir", str(tmp_path / "run")]
    for flags, count in (([], 1), (["--no-compile-cache"], 1)):
        with pytest.raises(SystemExit):
            train.main([*words, *flags])
        assert len(asked) == count
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/mine")
    _keep()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/mine"
    assert "JAX_COMPILATION_CACHE_MAX_SIZE" not in os.environ
    assert not cache.exists()


def test_it_is_bounded_and_nobody_elses(cache: Path) -> None:
    _keep()
    (folder,) = cache.iterdir()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]) == 2**30
    assert folder.stat().st_mode & 0o077 == 0


def test_what_was_half_written_is_removed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keep()
    (folder,) = cache.iterdir()
    for name in ("whole-cache", "whole-atime", "half-cache"):
        (folder / name).write_text("x")
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    _keep()
    assert _programs(cache) == {f"{folder.name}/whole-cache": b"x"}


def test_without_a_place_nothing_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.write_text("no folder")
    _keep()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_what_tests_share_may_be_half_written(tmp_path: Path) -> None:
    """By a process that is under way, or was killed: the folder has no locks."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", "import jax; jax.jit(lambda x: x + 1)(1)"],
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        programs = list(tmp_path.glob("*-cache"))
        assert programs
        for path in programs:
            path.write_bytes(path.read_bytes()[:-9])
