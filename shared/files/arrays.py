"""Named arrays, and the safetensors files that hold them with metadata and a digest."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import numpy as safetensors_numpy

from shared.config.values import printable
from shared.errors import DamagedError, UsageError
from shared.files.atomic import write_atomically
from shared.files.reading import check_regular, parse_json
from shared.words import reason_of

# Named arrays of a whole training state, in PyTorch's names and layouts.
Arrays = dict[str, NDArray[Any]]


def canonical_json(values: Any) -> str:
    """JSON with one spelling, so that equal values give equal bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def digest(metadata: Mapping[str, Any], arrays: Arrays) -> str:
    """SHA-256 over metadata and over name, type, shape and bytes of every array.

    Args:
        metadata: JSON's types; without a digest.
        arrays: contiguous.
    """
    found = hashlib.sha256(canonical_json(metadata).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(canonical_json([name, array.dtype.name, array.shape]).encode())
        found.update(array.reshape(-1).view(np.uint8))
    return found.hexdigest()


class ArrayFile(NamedTuple):
    """A kind of safetensors file, and how one is written and read.

    The header's metadata hold a single entry: JSON of the metadata and their digest.
    """

    key: str
    """Of that entry: safetensors writes several in an order that differs between
    processes."""
    kind: str
    """For messages, such as ``checkpoint``."""
    digest: Callable[[Mapping[str, Any], Arrays], str] = digest
    """What ``sha256`` among the metadata is."""

    def write(
        self,
        path: Path,
        metadata: Mapping[str, Any],
        arrays: Arrays,
        *,
        verify: bool = False,
    ) -> None:
        """Write a file, whole or not at all; equal contents give equal bytes.

        Args:
            path: the file; its folder must exist.
            metadata: JSON's types.
            arrays: of any memory layout.
            verify: as `write_atomically`.

        Raises:
            UsageError: the file cannot be written.
        """
        # safetensors silently stores garbage for strided arrays (huggingface/
        # safetensors#825); np.ascontiguousarray would turn a scalar into a vector.
        arrays = {name: np.asarray(x, order="C") for name, x in arrays.items()}
        signed = {**metadata, "sha256": self.digest(metadata, arrays)}
        text = canonical_json(signed)
        content = safetensors_numpy.save(arrays, {self.key: text})
        write_atomically(path, content, verify=verify)

    def read(self, path: Path) -> tuple[dict[str, Any], Arrays]:
        """Metadata with their digest, which is still to be checked, and arrays.

        Raises:
            UsageError: the file is missing or foreign.
            DamagedError: it is damaged.
        """
        size = check_regular(path, f"{self.kind} file")
        try:
            with path.open("rb"):
                pass  # of one that may not be read the library says that it is missing
            with safe_open(path, framework="numpy") as file:
                entries = file.metadata() or {}
                if self.key not in entries:
                    raise UsageError(f"{path}: not a {self.kind} of this project")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {reason_of(error)}") from error
        # TypeError, AttributeError: of a type that NumPy has not.
        except (SafetensorError, TypeError, AttributeError) as error:
            # The library's words may hold all of the header.
            reason = "empty" if size == 0 else printable(str(error), most=100)
            raise DamagedError(
                f"{path}: no safetensors file, or truncated or damaged: {reason}"
            ) from error
        try:
            metadata = parse_json(entries[self.key].encode())
        except ValueError:
            metadata = None
        if not isinstance(metadata, dict):
            raise DamagedError(f"{path}: damaged: unreadable metadata")
        return metadata, arrays

    def is_intact(self, metadata: Mapping[str, Any], arrays: Arrays) -> bool:
        """Whether what `read` found is what was written.

        Raises:
            KeyError: the metadata have no digest.
        """
        unsigned = {name: x for name, x in metadata.items() if name != "sha256"}
        return metadata["sha256"] == self.digest(unsigned, arrays)
