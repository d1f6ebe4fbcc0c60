"""A disk that can be watched, that fails when told to, and that forgets.

What this project writes goes through functions of `os`. They are wrapped here, so that
nothing of the program under test is replaced.
"""

import contextlib
import dataclasses
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

# The lock is filelock's, which asks for no promises of the disk.
_IGNORED = (".lock", ".lock.held")

Kind = Literal[
    "create", "write", "sync", "close", "sync folder", "rename", "mkdir", "unlink"
]


@dataclasses.dataclass(frozen=True)
class Operation:
    """What was done to the disk."""

    kind: Kind | Literal["saved"]
    path: Path
    target: Path | None = None
    """What a file is renamed to."""
    content: bytes = b""
    """What is written."""


@dataclasses.dataclass
class Watch:
    """Sees what is done below a folder; `before` may fail it."""

    folder: Path
    before: Callable[[Operation], int | None] = lambda operation: None
    """Is told what is about to be done; may raise an error; of a write it may say how
    many bytes are written."""
    log: list[Operation] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._files: dict[int, Path] = {}
        self._folders: dict[int, Path] = {}
        self._one = threading.RLock()

    def saved(self, path: Path) -> None:
        """Note that the program takes a checkpoint for saved."""
        self.log.append(Operation("saved", path))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch, within a ``with`` statement."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "write", "fsync", "close", "mkdir", "unlink"):
                patch.setattr(os, name, self._wrapped(name))
            # Path.replace calls the one, Path.rename the other.
            patch.setattr(os, "replace", self._wrapped("rename"))
            patch.setattr(os, "rename", self._wrapped("rename"))
            yield

    def _wrapped(self, name: str) -> Callable[..., Any]:
        real, ours = getattr(os, name), getattr(self, f"_{name}")

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self._one:
                return ours(real, *arguments, **keywords)

        return call

    def _is_ours(self, path: Any) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        found = Path(path)
        return found.is_relative_to(self.folder) and found.name not in _IGNORED

    def _do(self, operation: Operation, real: Callable[[], Any]) -> Any:
        self.before(operation)
        result = real()
        self.log.append(operation)
        return result

    def _open(self, real: Any, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if not self._is_ours(path):
            return real(path, flags, *rest, **more)
        found = Path(path)
        if flags & os.O_DIRECTORY:
            file = real(path, flags, *rest, **more)
            self._folders[file] = found
        elif flags & os.O_CREAT and not found.exists():
            operation = Operation("create", found)
            file = self._do(operation, lambda: real(path, flags, *rest, **more))
            self._files[file] = found
        else:
            file = real(path, flags, *rest, **more)
            self._files[file] = found
        return file

    def _write(self, real: Any, file: int, content: Any) -> int:
        if file not in self._files:
            return real(file, content)
        path, whole = self._files[file], bytes(content)
        size = self.before(Operation("write", path, content=whole))
        written = real(file, whole if size is None else whole[:size])
        self.log.append(Operation("write", path, content=whole[:written]))
        return written

    def _fsync(self, real: Any, file: int) -> None:
        if file in self._files:
            self._do(Operation("sync", self._files[file]), lambda: real(file))
        elif file in self._folders:
            folder = self._folders[file]
            self._do(Operation("sync folder", folder), lambda: real(file))
        else:
            real(file)

    def _close(self, real: Any, file: int) -> None:
        self._folders.pop(file, None)
        path = self._files.pop(file, None)
        real(file)  # a file is closed also where this fails
        if path is not None:
            self._do(Operation("close", path), lambda: None)

    def _rename(self, real: Any, path: Any, target: Any, **more: Any) -> None:
        if not self._is_ours(target):
            return real(path, target, **more)
        operation = Operation("rename", Path(path), Path(target))
        return self._do(operation, lambda: real(path, target, **more))

    def _mkdir(self, real: Any, path: Any, *rest: Any, **more: Any) -> None:
        if not self._is_ours(path) or Path(path).exists():
            return real(path, *rest, **more)
        return self._do(
            Operation("mkdir", Path(path)), lambda: real(path, *rest, **more)
        )

    def _unlink(self, real: Any, path: Any, **more: Any) -> None:
        if not self._is_ours(path) or not Path(path).exists():
            return real(path, **more)
        return self._do(Operation("unlink", Path(path)), lambda: real(path, **more))


@dataclasses.dataclass(eq=False)
class _File:
    written: bytes = b""
    synced: int = 0
    """So many bytes are on the disk."""


# A folder's files by path; None: a folder.
State = dict[Path, bytes | None]
_Names = dict[Path, _File | None]


class Disk:
    """What a disk may hold after the operations that it was given.

    What was not synced may be there or not, in part, or as zeros; a name that was not
    synced with its folder may be there or not.

    Args:
        root: where all is below; it is there from the start.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: _Names = {}
        self._synced_names: _Names = {}

    def do(self, operation: Operation) -> None:
        """Take in an operation."""
        path, names = operation.path, self._names
        match operation.kind:
            case "create":
                names[path] = _File()
            case "mkdir":
                names[path] = None
            case "write":
                self._file(path).written += operation.content
            case "sync":
                self._file(path).synced = len(self._file(path).written)
            case "rename":
                assert operation.target is not None
                names[operation.target] = names.pop(path)
            case "unlink":
                del names[path]
            case "sync folder":
                self._sync(path)

    def _file(self, path: Path) -> _File:
        found = self._names[path]
        assert found is not None, f"{path} is a folder"
        return found

    def _sync(self, folder: Path) -> None:
        for path in {*self._names, *self._synced_names}:
            if path.parent != folder:
                continue
            if path in self._names:
                self._synced_names[path] = self._names[path]
            else:
                del self._synced_names[path]

    def whole(self) -> State:
        """What a process finds, as after another was killed."""
        return _contents(self._root, self._names, lambda file: file.written)

    def after_power_loss(self, draws: int = 0, seed: int = 0) -> Iterator[State]:
        """What may be found when the power comes back.

        Args:
            draws: how many mixtures of all that may happen are drawn besides.
            seed: of these.
        """
        for names in (self._synced_names, self._names):
            for survive in _FATES:
                yield _contents(self._root, names, survive)
        rng = random.Random(seed)
        for _ in range(draws):
            names = self._drawn_names(rng)
            yield _contents(self._root, names, _Drawn(rng))

    def _drawn_names(self, rng: random.Random) -> _Names:
        names: _Names = {}
        for path in {**self._synced_names, **self._names}:
            source = rng.choice((self._names, self._synced_names))
            if path in source:
                names[path] = source[path]
        return names


def _lost(file: _File) -> bytes:
    return file.written[: file.synced]


def _torn(file: _File) -> bytes:
    return file.written[: (file.synced + len(file.written) + 1) // 2]


def _zeros(file: _File) -> bytes:
    return _lost(file).ljust(len(file.written), b"\0")


# What may become of the bytes that were not synced.
_FATES: tuple[Callable[[_File], bytes], ...] = (
    *(_lost, _torn, _zeros),
    lambda file: file.written,
)


class _Drawn:
    """A fate for each file."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __call__(self, file: _File) -> bytes:
        return self._rng.choice(_FATES)(file)


def _contents(root: Path, names: _Names, survive: Callable[[_File], bytes]) -> State:
    state: State = {}
    for path, file in sorted(names.items(), key=lambda item: len(item[0].parts)):
        # What is in a folder that is not there is not there.
        if path.parent == root or path.parent in state:
            state[path] = None if file is None else survive(file)
    return state


def make(state: State, old: Path, new: Path) -> None:
    """Write a state that was seen below one folder below another one."""
    for path, content in state.items():
        place = new / path.relative_to(old)
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
