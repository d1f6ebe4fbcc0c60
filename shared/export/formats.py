"""The formats that a generator leaves its run in, and what each needs."""

import importlib.util
from collections.abc import Mapping
from typing import Literal, NamedTuple

from shared.errors import UsageError

Format = Literal["hub", "onnx", "torch", "stablehlo"]


class FormatTraits(NamedTuple):
    """What is known of a format."""

    suffix: str
    """Of the file; empty: it is a folder."""
    twin: str = ""
    """The package that writes it; empty: both do."""
    packages: tuple[str, ...] = ()
    """What writing it takes beside that twin's framework."""


FORMATS: Mapping[str, FormatTraits] = {
    "hub": FormatTraits(suffix=""),
    "onnx": FormatTraits(".onnx", "gans_torch", ("onnx", "onnxscript")),
    "torch": FormatTraits(".pt2", "gans_torch"),
    "stablehlo": FormatTraits(".stablehlo", "gans_jax", ("flatbuffers",)),
}


def check_format(name: str, twin: str) -> None:
    """Refuse a format that cannot be written here.

    Args:
        name: of the format.
        twin: the package that is to write it.

    Raises:
        UsageError: there is no such format, it is the other twin's, or a package is
            missing.
    """
    if name not in FORMATS:
        raise UsageError(f"--format {name}: must be one of {', '.join(FORMATS)}")
    traits = FORMATS[name]
    if traits.twin not in ("", twin):
        raise UsageError(
            f"--format {name}: is written by {traits.twin}.export, from runs of either"
            " twin"
        )
    for package in traits.packages:
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"--format {name}: needs the package {package};"
                ' pip install "gans-twins[export]" brings it'
            )
