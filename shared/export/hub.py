"""The folder that the Hugging Face Hub expects, the same from both twins.

::

    config.json        what the generator is: the run's configuration, its step, what
                       is known of its data, and whether its batch norm goes by
                       statistics of new samples
    model.safetensors  the weights that are drawn with, by PyTorch's names
    README.md          the model card

The weights' header holds what config.json says, and a digest of both: a folder of which
one file was exchanged is refused. The path of a folder of images stays at home; its
name does not.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from shared.config.choices import portable_name
from shared.config.train_config import config_from_json, config_to_json
from shared.config.values import Mismatch, conform
from shared.data.image_data import DataInfo
from shared.errors import DamagedError, UsageError
from shared.export.card import model_card
from shared.files.arrays import ArrayFile, canonical_json
from shared.files.atomic import remove, temporaries, write_atomically, write_object
from shared.files.reading import read_file, read_object
from shared.plugins import Plugin
from shared.run.evaluations import StoredEvaluation
from shared.run.exported import WEIGHTS
from shared.run.generator import PREFIX, GeneratorState
from shared.run.outputs import check_folder, made_out

# Raised when an older program would misread the folder.
FORMAT_VERSION = 1

_CARD = "README.md"
_FILE = ArrayFile("gan_generator", "file of a generator's weights")


class _Values(TypedDict):
    """What config.json holds, and the weights' header again."""

    version: int
    step: int
    config: dict[str, Any]
    data: DataInfo
    plugin: NotRequired[Plugin]
    standing_stats: NotRequired[int]


def write(
    folder: Path,
    state: GeneratorState,
    evaluations: Sequence[StoredEvaluation] = (),
    card: bytes | None = None,
) -> None:
    """Write a generator as a folder.

    Args:
        folder: new, or empty.
        state: the generator.
        evaluations: of this generator, for the model card.
        card: the model card; None: it is made anew.

    Raises:
        UsageError: the folder holds anything, or cannot be written.
    """
    check_folder(folder)
    config = config_to_json(state.config)
    config["dataset"] = portable_name(config["dataset"])
    values = {
        "version": FORMAT_VERSION,
        "step": int(state.step),
        "config": config,
        "data": state.data.to_json(),
    }
    if state.plugin is not None:
        values["plugin"] = state.plugin._asdict()
    if state.standing_stats is not None:
        values["standing_stats"] = state.standing_stats
    weights = {name.removeprefix(PREFIX): x for name, x in state.arrays.items()}
    config_path, weights_path = _paths(folder)
    card_path = folder / _CARD
    with made_out(folder):
        remove(temporaries(folder))
        try:
            _FILE.write(weights_path, values, weights, verify=True)
            if card is None:
                card = model_card(state, evaluations).encode()
            write_atomically(card_path, card)
            # Last: with both files, the folder is an exported generator.
            write_object(config_path, values)
        except BaseException:
            # A `new_folder` could not take the place of one that is there as a mount.
            with contextlib.suppress(OSError):
                remove([config_path, card_path, weights_path])
            raise


def read(folder: Path) -> GeneratorState:
    """The generator in a folder, after checking every bit of it but the card's.

    Raises:
        UsageError: a file is missing, foreign or of a newer version.
        DamagedError: a file is damaged, or the two do not belong together.
    """
    config_path, weights_path = _paths(folder)
    values = read_object(config_path)
    metadata, weights = _FILE.read(weights_path)
    try:
        found = conform(values, _Values)
        if found["version"] < 1:
            raise Mismatch("version", found["version"], "must be 1 or more")
        if found["version"] > FORMAT_VERSION:
            raise UsageError(
                f"version {found['version']} of an exported generator: this program"
                f" reads versions up to {FORMAT_VERSION}; use a newer program"
            )
        if found["step"] < 0:
            raise Mismatch("step", found["step"], "must be 0 or more")
        if found.get("standing_stats", 1) < 1:
            rule = "must be 1 or more"
            raise Mismatch("standing_stats", found["standing_stats"], rule)
        config = config_from_json(found["config"])
    except (Mismatch, RecursionError) as error:
        raise UsageError(f"{config_path}: unreadable: {error}") from error
    except UsageError as error:
        raise UsageError(f"{config_path}: {error}") from error
    digest = metadata.pop("sha256", None)
    is_same = canonical_json(metadata) == canonical_json(values)
    if not is_same or not _FILE.is_intact({**metadata, "sha256": digest}, weights):
        raise DamagedError(
            f"{folder}: damaged: the weights are others than config.json was written"
            " with"
        )
    return GeneratorState(
        step=found["step"],
        config=config,
        data=found["data"],
        arrays={PREFIX + name: x for name, x in weights.items()},
        plugin=found.get("plugin"),
        standing_stats=found.get("standing_stats"),
    )


def read_card(folder: Path) -> bytes | None:
    """The model card in a folder, with what its owner has added; None: there is none.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / _CARD
    return read_file(path) if path.is_file() else None


def _paths(folder: Path) -> tuple[Path, Path]:
    return folder / "config.json", folder / WEIGHTS
