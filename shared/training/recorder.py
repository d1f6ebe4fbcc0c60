"""What becomes of a run's numbers, pictures and states: a folder, or kept at hand."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from shared.config.choices import Keep
from shared.plugins import Plugin
from shared.report import guide
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.rollbacks import Rollback
from shared.run.room import check_room
from shared.run.run_dir import RunDir
from shared.training.journal import Journal
from shared.training.pictures import Pictures
from shared.words import legible

Records = list[dict[str, Any]]
StepsChosen = Callable[[int], bool]

# Of the time between two pages of a run, the part that writing one may take.
_PAGE_SHARE = 0.02


class Kept(Protocol):
    """What a run has left, for whoever holds the run, in another process too."""

    def state(self) -> Checkpoint:
        """The last state."""
        ...

    def records(self) -> Records:
        """The metrics of all logged steps."""
        ...

    def scores(self) -> Records:
        """All scores."""
        ...


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

    def go_back(self, step: int, rollbacks: tuple[Rollback, ...]) -> None:
        """Forget what is newer than a step, from where training goes on.

        Args:
            step: the last state's, or 0.
            rollbacks: all that there were, with this one.
        """
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

    def last_state(self, among: StepsChosen = lambda step: True) -> Checkpoint | None:
        """The last state that was saved; None: there is none yet.

        Args:
            among: which steps come first; others, only if there is none of them.
        """
        ...

    def kept(self) -> Kept:
        """What is left of a run that has ended."""
        ...


class MemoryRecorder(Recorder, Kept):
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

    def go_back(self, step: int, rollbacks: tuple[Rollback, ...]) -> None:
        """Forget what is newer than a step; as `Recorder.go_back`."""
        self._records = [x for x in self._records if x["step"] <= step]
        self._scores = [x for x in self._scores if x["step"] <= step]

    def end(self) -> None:
        """Nothing is left to draw."""

    def conclude(self) -> None:
        """Nothing is left to say."""

    def finish(self) -> None:
        """Nothing is to be rounded off."""

    def last_state(self, among: StepsChosen = lambda step: True) -> Checkpoint | None:
        """The last state that was saved, or that training started from."""
        return self._state

    def kept(self) -> Kept:
        """This: it holds nothing else."""
        return self

    def state(self) -> Checkpoint:
        """The last state."""
        assert self._state is not None, "a run saves its last state"
        return self._state

    def records(self) -> Records:
        """The metrics of all logged steps, since the training began or went on."""
        return list(self._records)

    def scores(self) -> Records:
        """All scores, likewise."""
        return list(self._scores)


class FolderRecorder(Recorder):
    """Writes a run's folder, as `shared.run.run_dir` describes it.

    Args:
        run: the folder.
        pictures: what is drawn.
        journal: takes the numbers.
        write_report: writes the run's page anew.
        plugin: the user's file that the run needs.
        keep: which checkpoints stay.
        say: is told what is damaged.
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
        say: Callable[[str], object],
    ) -> None:
        self._say = say
        self.path = run.path
        self._run = run
        self._pictures = pictures
        self._journal = journal
        self._write_report = write_report
        self._plugin = plugin
        self._keep = keep
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
        self._run.check_place()
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
        self._run.keep_checkpoints(self._keep, state.config)
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

    def go_back(self, step: int, rollbacks: tuple[Rollback, ...]) -> None:
        """Take the folder back to a step; as `Recorder.go_back`."""
        self._run.truncate_after(step)
        self._run.config_file.note_rollbacks(rollbacks)
        self._journal.reopen()

    def end(self) -> None:
        """Draw what the final networks show."""
        self._pictures.end()

    def conclude(self) -> None:
        """Warn of what the end of the run shows."""
        self._journal.conclude()

    def finish(self) -> None:
        """Write the final pictures, and the page."""
        self._run.sync_records()
        config, _ = self._run.config_file.read()
        ends = guide.lines(config, "Output of D")
        chance = ends[0].value if ends else None
        for grid in self._run.finish(config.title, chance):
            self._say(f"{legible(grid)}: damaged; left out of the animation")
        self._write_report()

    def last_state(self, among: StepsChosen = lambda step: True) -> Checkpoint | None:
        """The last checkpoint, if there is one; as `Recorder.last_state`."""
        steps = self._run.checkpoint_steps()
        if not steps:
            return None
        step = max(filter(among, steps), default=steps[-1])
        return checkpoint.load(self._run.checkpoint_path(step))

    def kept(self) -> Kept:
        """What the folder holds: this holds the networks and the data, too."""
        return KeptFolder(self._run.path)


class KeptFolder(Kept):
    """What the folder of a run holds.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self._run = RunDir(path)

    def state(self) -> Checkpoint:
        """The last checkpoint."""
        _, state = checkpoint.find(self._run.path, None)
        return state

    def records(self) -> Records:
        """The lines of metrics.jsonl."""
        return self._run.read_metrics()

    def scores(self) -> Records:
        """The lines of scores.jsonl."""
        return self._run.read_scores()
