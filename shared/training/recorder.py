"""What becomes of a run's numbers, pictures and states: a folder, or kept at hand."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from shared.plugins import Plugin
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.retention import Keep
from shared.run.room import check_room
from shared.run.run_dir import RunDir
from shared.training.journal import Journal
from shared.training.pictures import Pictures

Records = list[dict[str, Any]]

# Of the time between two pages of a run, the part that writing one may take.
_PAGE_SHARE = 0.02


class Recorder(Protocol):
    """Takes what a training leaves.

    `begin`, `draw` and `end` come from the thread that trains; the rest may come from
    another, one after the other.
    """

    path: Path | None
    """The run's folder, if it has one."""

    def begin(self) -> None:
        """Before the first step."""
        ...

    def log(self, record: Mapping[str, Any]) -> None:
        """Take the metrics of a step."""
        ...

    def has_picture(self, step: int) -> bool:
        """Whether nothing is to be drawn at this step any more."""
        ...

    def draw(self, step: int) -> Callable[[], None]:
        """Have the networks draw.

        Returns:
            Keeps what was drawn; needs the networks no more, so that another thread can
            do it while they train on.
        """
        ...

    def log_scores(self, record: Mapping[str, Any]) -> None:
        """Take the scores of an evaluation."""
        ...

    def save(self, state: Checkpoint) -> None:
        """Take the whole state of a step."""
        ...

    def log_divergence(self, step: int) -> None:
        """Take in that training ends here; the error that ends it says so."""
        ...

    def end(self) -> None:
        """After the last step."""
        ...

    def conclude(self) -> None:
        """Take in that the run ends well, before `finish`."""
        ...

    def finish(self) -> None:
        """Round off what is kept, however the run has ended."""
        ...

    def state(self) -> Checkpoint:
        """The last state that was saved."""
        ...

    def records(self) -> Records:
        """The metrics of all logged steps."""
        ...

    def scores(self) -> Records:
        """All scores."""
        ...


class MemoryRecorder(Recorder):
    """Keeps numbers and the last state at hand; writes nothing, and draws nothing.

    Args:
        stored: the state that training starts from, if it is not the seed's.
    """

    path = None

    def __init__(self, stored: Checkpoint | None) -> None:
        self._state = stored
        self._records: Records = []
        self._scores: Records = []

    def begin(self) -> None:
        """Nothing is to be prepared."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Take the metrics of a step."""
        self._records.append(dict(record))

    def has_picture(self, step: int) -> bool:
        """Whether nothing is to be drawn: it never is."""
        return True

    def draw(self, step: int) -> Callable[[], None]:
        """Nothing."""
        return lambda: None

    def log_scores(self, record: Mapping[str, Any]) -> None:
        """Take the scores of an evaluation."""
        self._scores.append(dict(record))

    def save(self, state: Checkpoint) -> None:
        """Take the whole state of a step; the one before is forgotten."""
        self._state = state

    def log_divergence(self, step: int) -> None:
        """Nothing: the error says so."""

    def end(self) -> None:
        """Nothing is left to draw."""

    def conclude(self) -> None:
        """Nothing is left to say."""

    def finish(self) -> None:
        """Nothing is to be rounded off."""

    def state(self) -> Checkpoint:
        """The last state that was saved."""
        assert self._state is not None, "a run saves its last state"
        return self._state

    def records(self) -> Records:
        """The metrics of all logged steps, since the training began or went on."""
        return self._records

    def scores(self) -> Records:
        """All scores, likewise."""
        return self._scores


class FolderRecorder(Recorder):
    """Writes a run's folder, as `shared.run.run_dir` describes it.

    Args:
        run: the folder.
        pictures: what is drawn.
        journal: takes the numbers.
        write_report: writes the run's page anew.
        plugin: the user's file that the run needs.
        keep: which checkpoints stay.
        save_every: steps between them.
    """

    def __init__(
        self,
        run: RunDir,
        pictures: Pictures,
        journal: Journal,
        write_report: Callable[[], None],
        *,
        plugin: Plugin | None,
        keep: Keep,
        save_every: int,
    ) -> None:
        self.path = run.path
        self._run = run
        self._pictures = pictures
        self._journal = journal
        self._write_report = write_report
        self._plugin = plugin
        self._keep = keep
        self._save_every = save_every
        self._next_page = 0.0

    def begin(self) -> None:
        """Draw what samples are to be compared with."""
        self._pictures.begin()

    def log(self, record: Mapping[str, Any]) -> None:
        """Take the metrics of a step."""
        self._journal.log(record)

    def has_picture(self, step: int) -> bool:
        """Whether the picture of this step is there."""
        return self._run.sample_path(step).exists()

    def draw(self, step: int) -> Callable[[], None]:
        """Have the networks draw the picture of a step; as `Recorder.draw`."""
        finish = self._pictures.draw(step)
        return lambda: self._journal.log_samples({"step": step, **finish()})

    def log_scores(self, record: Mapping[str, Any]) -> None:
        """Take the scores of an evaluation."""
        self._journal.log_scores(record)

    def save(self, state: Checkpoint) -> None:
        """Write a checkpoint, and the page; remove a checkpoint that need not stay."""
        state = state._replace(plugin=self._plugin)
        path = self._run.checkpoint_path(state.step)
        size = sum(array.nbytes for array in state.arrays.values())
        check_room(self._run.path, size, f"the checkpoint of step {state.step}")
        # First: a run goes on from its checkpoint, and does not look back.
        self._run.sync_records()
        checkpoint.save(path, state)
        # Last: until the new one is on the disk, an old one may be needed.
        self._run.keep_checkpoints(self._keep, self._save_every)
        # A run that is killed leaves a page too, and one that goes on can be looked at.
        # It takes the longer the longer the run is, so it is not written every time.
        if time.monotonic() >= self._next_page:
            start = time.monotonic()
            self._write_report()
            end = time.monotonic()
            self._next_page = end + (end - start) / _PAGE_SHARE

    def log_divergence(self, step: int) -> None:
        """Take in that training ends here; the error that ends it says so."""
        self._journal.log_divergence(step)

    def end(self) -> None:
        """Draw what the final networks show."""
        self._pictures.end()

    def conclude(self) -> None:
        """Warn of what the end of the run shows."""
        self._journal.conclude()

    def finish(self) -> None:
        """Write the final pictures, and the page."""
        config, _ = self._run.read_config()
        self._run.finish(config.title)
        self._write_report()

    def state(self) -> Checkpoint:
        """The last checkpoint."""
        return checkpoint.load(self._run.latest_checkpoint())

    def records(self) -> Records:
        """The lines of metrics.jsonl."""
        return self._run.read_metrics()

    def scores(self) -> Records:
        """The lines of scores.jsonl."""
        return self._run.read_scores()
