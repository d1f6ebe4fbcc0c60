"""TensorBoard's event files, without TensorFlow and without either twin's framework."""

import io
import itertools
import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

# Both modules make their classes when they are imported.
from tensorboard.compat.proto.event_pb2 import (
    Event,  # pyrefly: ignore[missing-module-attribute]
)
from tensorboard.compat.proto.summary_pb2 import (
    Summary,  # pyrefly: ignore[missing-module-attribute]
)
from tensorboard.summary.writer.record_writer import RecordWriter

from shared.errors import UsageError
from shared.files.atomic import append, make_folder
from shared.quantities import numbers
from shared.run.run_dir import RunDir

# Of what a process writes anew, so that TensorBoard takes it for another file.
_numbers = itertools.count()


class EventFiles:
    """Writes a run's numbers and grids for TensorBoard.

    The run's own files are the record; event files are a copy. A run that goes on
    writes them anew from its past, so no step is in them twice.

    Raises:
        UsageError: they cannot be written, now or later.
    """

    def __init__(self, run: RunDir) -> None:
        folder = run.path / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        try:
            make_folder(folder)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made: {error.strerror}") from error
        names = f"{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / f"events.out.tfevents.{names}.{next(_numbers)}"
        self._append(Event(wall_time=time.time(), file_version="brain.Event:2"))
        for record in (*run.read_metrics(), *run.read_scores()):
            self.add_scalars(record)
        for record in run.read_sample_metrics():
            self.add_scalars(record)
            self.add_image(record["step"], run.sample_path(record["step"]))

    def add_scalars(self, record: Mapping[str, Any]) -> None:
        """Add every number of a record that has a ``step``."""
        values = [
            Summary.Value(tag=name, simple_value=value)
            for name, value in numbers(record).items()
        ]
        self._add(record["step"], values)

    def add_image(self, step: int, path: Path) -> None:
        """Add a PNG file, as it is; one that is damaged or gone is left out."""
        try:
            with Image.open(path) as picture:
                width, height = picture.size
        except (OSError, Image.DecompressionBombError):
            return
        image = Summary.Image(
            width=width, height=height, encoded_image_string=path.read_bytes()
        )
        self._add(step, [Summary.Value(tag="samples", image=image)])

    def _add(self, step: int, values: list[Summary.Value]) -> None:
        summary = Summary(value=values)
        self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def _append(self, event: Event) -> None:
        # Not by TensorBoard's writer, whose thread keeps to itself what a disk says.
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        append(self._path, record.getvalue())
