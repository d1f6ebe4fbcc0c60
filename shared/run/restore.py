"""A stored state back into a twin's networks."""

import dataclasses

from shared.backend import Backend, MakeBackend
from shared.config.train_config import TrainConfig
from shared.errors import UsageError
from shared.files.arrays import Arrays
from shared.run import checkpoint


def load_backend(
    stored: checkpoint.Checkpoint, name: str, make_backend: MakeBackend, device: str
) -> Backend:
    """A twin's backend in the state of a checkpoint.

    Args:
        stored: the state.
        name: what an error calls it.
        make_backend: makes the twin's backend.
        device: name of a device, or auto.

    Raises:
        UsageError: there is no such device, or the arrays do not fit the networks.
    """
    backend = make_backend(drawing_config(stored.config), stored.data, device)
    check_arrays(backend.shapes(), stored.arrays, name)
    backend.load(stored.arrays)
    return backend


def drawing_config(trained: TrainConfig) -> TrainConfig:
    """What networks are built by that only draw."""
    # Float32 draws the same images as TF32 does, and not only where there is TF32.
    if trained.precision == "tf32":
        return dataclasses.replace(trained, precision="float32")
    return trained


def check_arrays(shapes: dict[str, tuple[int, ...]], arrays: Arrays, name: str) -> None:
    """Refuse a checkpoint whose arrays are not those of the networks.

    Args:
        shapes: of the networks' arrays, by name.
        arrays: those of the checkpoint.
        name: what the error calls it.

    Raises:
        UsageError: an array is missing or of another shape.
    """
    for key, shape in shapes.items():
        found = arrays[key].shape if key in arrays else "missing"
        if found != shape:
            raise UsageError(
                f"{name}: the checkpoint's {key} is {found}, its configuration"
                f" needs {shape}"
            )
